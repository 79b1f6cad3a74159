"""The card of a run in Markdown: its data, what it may be used for, and what was measured of its limits."""

from collections.abc import Iterator

from timbrespace.audio.files import printable
from timbrespace.writeup.evidence import Evidence
from timbrespace.writeup.latex import plain

FAMILIES_NAMED = 3  # of those that come back worst


def card(found: Evidence) -> str:
    """Data card and model card."""
    parts = {
        "Data": _data(found), "Model": _model(found), "Intended use": _use(found),
        "Limits that were measured": _limits(found),
    }  # fmt: skip
    lines = [f"# {_text(found.name)}", _text(found.run.recipe.about), ""]
    for title, said in parts.items():
        lines += [f"## {title}", *(f"- {_text(line)}" for line in said), ""]
    return "\n".join(lines)


def _data(found: Evidence) -> Iterator[str]:
    health, bank = found.health, found.bank
    for split, count in sorted(found.splits.items()):
        yield f"{split}: {count:,} sounds"
    if not found.corpus:
        yield (
            f"The corpus ({found.run.provenance['corpus']}) is gone or has changed, so that nothing more is "
            "known of it than its digest."
        )
    for label, count in (health.get("labels") or {}).items():
        if isinstance(count, int):
            yield f"values of {label}: {count:,}"
    seconds = (health.get("seconds") or {}).get("total")
    if seconds is not None:
        yield f"together {seconds / 3600.0:.1f} hours; {health['skipped']:,} files skipped"
    yield f"digest of the corpus: {found.run.provenance['corpus_digest']}"
    if bank is None:
        yield (
            "Licence: timbrespace does not know that of these sounds. Whoever publishes this card states "
            "it here."
        )
    else:
        source = bank["source"]
        yield (
            f"Licence: {source['licence']}. Rendered from the built-in instruments, which are made from "
            f"{source['name']} ({source['authors']})."
        )


def _model(found: Evidence) -> Iterator[str]:
    recipe, provenance = found.run.recipe, found.run.provenance
    model = recipe.model
    yield f"recipe {recipe.name}, seed {recipe.seed}, timbrespace {provenance.get('timbrespace')}"
    yield f"feature: {found.run.feature.words} at {recipe.feature.sample_rate:,} Hz"
    yield (
        f"encoder {model.encoder.kind}, bottleneck {model.bottleneck.kind} of "
        f"{model.bottleneck.size:,} numbers, decoder {model.decoder.kind}"
    )
    yield f"told: {plain(tuple(model.condition.labels)) or 'nothing'}"
    yield f"rate: {found.number('rate.bits_per_sound', 1)} bits a sound, at most"
    yield f"error: {found.number('distortion.rmse_db', 2)} dB RMSE, z sampled"
    yield f"verdict: {found.at('verdict')}"


def _use(found: Evidence) -> Iterator[str]:
    seconds, rate = found.run.feature.seconds, found.run.recipe.feature.sample_rate
    yield (
        f"Research on timbre, and making sound: mono windows of {seconds:.2f} s at {rate:,} Hz of sounds "
        "such as it was trained on."
    )
    yield (
        "Not to tell who or what made a sound, and not where sounds of other kinds matter: of these "
        "nothing was measured."
    )


def _limits(found: Evidence) -> Iterator[str]:
    yield f"figures are of {found.number('sounds')} sounds of the {found.at('split')} split"
    shared = found.at("probes.instruments_shared_with_training")
    if shared is not None:
        yield (
            f"instruments of them that were trained on: {shared} of {found.number('distortion.groups')}"
        )
    yield f"training sounds come back at {found.number('distortion.train_rmse_db', 2)} dB RMSE"
    worst = sorted(found.metrics["families"].items(), key=lambda item: -item[1]["rmse_db"])
    for name, line in worst[:FAMILIES_NAMED]:
        yield f"among the families that come back worst: {name}, {line['rmse_db']:.1f} dB RMSE"
    yield from (f"fault: {fault}" for fault in found.at("faults") or [])
    yield from (f"{sentence}." for sentence in found.missing)


def _text(text: str) -> str:
    """One line of Markdown that shows names as they are."""
    return "".join(f"\\{c}" if c in "\\`*_<>[]#|" else c for c in printable(text))
