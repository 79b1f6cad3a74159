"""The report: one page for people, that holds everything it shows.

Conventions
-----------
The page stays under 20 MB. What is heard and seen of the model is decode(mu), as in the explorer; figures are
with z sampled unless they say otherwise.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.atomic import write_text
from timbrespace.audio.scratch import whole
from timbrespace.errors import MissingExtra, RunError, TimbrespaceError
from timbrespace.evaluation import catalogue, figures, figures_page
from timbrespace.evaluation.figures.style import Drawing
from timbrespace.evaluation.latent import ACTIVE_NATS, bits
from timbrespace.page import (
    cards,
    contents,
    document,
    drawn_of,
    escape,
    image,
    player,
    plus_minus,
    table,
)
from timbrespace.render.explain import phase_alone

if TYPE_CHECKING:
    from timbrespace.data.corpus import Corpus
    from timbrespace.runs import Run

NEW_SOUNDS = "<section id='new-sounds'>"
AUDIO_BYTES = 10_000_000  # of WAV in the page; longer windows show fewer seconds of each sound
NAMED = 8  # sounds that are left out
Progress = Any  # Callable[[str, int, int, dict[str, float]], None] | None


@dataclass(frozen=True)
class Map:
    """One map of the report: xy (N, 2) of rows (N,) of a corpus, whose labels are in the same order."""

    name: str
    rows: np.ndarray
    xy: np.ndarray
    measured: np.ndarray  # (N,) bool: evaluated here; the rest are other sounds of the corpus
    families: list[Any] | None
    pitches: list[Any] | None


@dataclass(frozen=True)
class Example:
    """One sound of the report: its pictures (mels, frames), and WAV bytes of its sounds by name; a
    recording that cannot be read is not among them."""

    group: str
    row: int
    title: str
    rmse_db: float
    original: np.ndarray
    made: np.ndarray
    audio: dict[str, bytes]


def report(
    run: "Run",
    metrics: dict[str, Any],
    *,
    corpus: "Corpus | None" = None,
    maps: Sequence[Map] = (),
    drawn: Mapping[str, catalogue.Shown] = catalogue.NOTHING,
    interactive: str = "",
    progress: Progress = None,
) -> Path:
    """Write evaluation/report.html of `metrics` (see `evaluate`), with figures.html, figures/ and audio/
    beside.

    `drawn` is what `catalogue.draw` made, `interactive` a paragraph on the page of maps, as HTML. Needs
    the corpus that was measured (`corpus`, or the run's own) for the examples.
    """
    folder = run.path / "evaluation"
    said, pngs = content(run, metrics, maps, drawn)
    examples = _examples(run, metrics, corpus or run.corpus, progress)
    if examples:
        seen = figures.sounds([(e.original, e.made) for e in examples], run.feature.yardstick)
        pngs |= {f"example-{index}": png for index, png in enumerate(seen)}
    try:
        interactive += _pointed_at(folder, run.name, pngs)
        page = _page(run, metrics, [interactive, *said], pngs, examples)
        _replace(folder / "figures", _files(pngs))
        _replace(
            folder / "audio",
            {
                f"{e.group}-{e.row}-{kind.split()[0]}.wav": wav
                for e in examples
                for kind, wav in e.audio.items()
            },
        )
        write_text(folder / "report.html", page)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from None
    return folder / "report.html"


def report_recorded(run: "Run", metrics: dict[str, Any]) -> Path:
    """The same of `recorded.measure`: what is known of a run whose sounds are not at hand."""
    folder = run.path / "evaluation"
    found = metrics["last_epoch"]
    pngs = _figures_of_training(run, {}, catalogue.at(found, "rate", "bits_per_dimension"))
    settings = escape(run.recipe.to_yaml())
    body = [
        f"<h1>{escape(run.name)}: what its folder knows</h1>",
        f"<p class='note look' role='note'>{escape(_sentence(metrics['verdict']))}</p>",
        *contents([
            *_training({} if found is None else found["rate"], pngs),
            "<h2>Settings</h2>", f"<pre>{settings}</pre>",
            *(part.html for part in catalogue.show(metrics).values()), _not_asked(metrics),
        ]),
    ]  # fmt: skip
    try:
        _replace(folder / "figures", _files(pngs))
        write_text(folder / "report.html", document(run.name, body))
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from None
    return folder / "report.html"


def content(
    run: "Run",
    metrics: dict[str, Any],
    maps: Sequence[Map] = (),
    drawn: Mapping[str, catalogue.Shown] = catalogue.NOTHING,
) -> tuple[list[str], dict[str, bytes]]:
    """What the page says between its head and its sounds, as HTML with all pictures in it, and the
    pictures by name. Needs neither corpus nor weights."""
    pngs = _figures(run, metrics, maps)
    parts = catalogue.show(metrics, drawn)
    pngs |= {name: png for part in parts.values() for name, png in part.figures.items()}
    return _body(run, metrics, pngs, parts), pngs


def show_new_sounds(folder: Path) -> None:
    """Bring what evaluation/generation.json says into evaluation/report.html, where there is one."""
    page = folder / "report.html"
    try:
        text = page.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    before, opened, rest = text.partition(NEW_SOUNDS)
    _, closed, after = rest.partition("</section>")
    if opened and closed:
        write_text(page, before + _new_sounds(folder) + after)


def _pointed_at(folder: Path, name: str, pngs: dict[str, bytes]) -> str:
    """Write figures.html; what the report says of it, as HTML: nothing without Plotly, of which the word on
    the maps tells."""
    place = folder / "figures.html"
    charts = {key: png for key, png in pngs.items() if "map-" not in key}  # they are in map.html
    try:
        write_text(place, figures_page.page(charts, f"{name}: its figures"))
    except MissingExtra:
        place.unlink(missing_ok=True)
        return ""
    return (
        "<p><a href='figures.html'>Its figures, to point at</a>: the numbers behind each mark.</p>"
    )


def _files(pngs: dict[str, bytes]) -> dict[str, bytes]:
    """Figures by file name, as PNG and as SVG; the examples are pictures, and stay so."""
    files = {f"{name}.png": png for name, png in pngs.items()}
    for name, png in pngs.items():
        if isinstance(png, Drawing):
            files[f"{name}.svg"] = png.svg()
    return files


def _replace(folder: Path, files: dict[str, bytes]) -> None:
    # renamed but not synced, fifty small files take seconds to sync: the page holds them all anyway
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        fresh = folder / f"{name}.tmp.{os.getpid()}"
        try:
            fresh.write_bytes(data)
            fresh.replace(folder / name)
        finally:
            fresh.unlink(missing_ok=True)
    for old in folder.iterdir():  # of an earlier report
        if old.is_file() and old.suffix in (".png", ".svg", ".wav") and old.name not in files:
            old.unlink(missing_ok=True)


def _figures(run: "Run", metrics: dict[str, Any], maps: Sequence[Map]) -> dict[str, bytes]:
    drawn: dict[str, bytes] = {"standing": figures.standing(standing(metrics))}
    lines = {
        "mean sound": metrics["floors"]["mean_sound_rmse_db"],
        "PCA-32": metrics["floors"]["pca_rmse_db"]["32"],
    }
    drawn["where"] = figures.where(
        metrics["distortion"]["by_band"], metrics["distortion"]["by_time"]
    )
    drawn |= _figures_of_training(run, lines, metrics["rate"]["bits_per_dimension"])
    for m in maps:
        if m.families is not None:
            drawn[f"map-{m.name}-family"] = figures.map_by_name(
                m.xy, m.families, m.measured, f"{_map_name(m.name)} by family"
            )
        if m.pitches is not None:
            drawn[f"map-{m.name}-pitch"] = figures.map_by_number(
                m.xy, m.pitches, m.measured, f"{_map_name(m.name)} by pitch", "MIDI pitch"
            )
        if m.families is None and m.pitches is None:
            drawn[f"map-{m.name}"] = figures.map_by_name(
                m.xy, ["sounds"] * len(m.xy), m.measured, _map_name(m.name)
            )
    return drawn


def _figures_of_training(
    run: "Run", floors: dict[str, float | None], each: Sequence[float] | None
) -> dict[str, bytes]:
    """Curves over the epochs, with floors {name: dB} as lines, and the bits of each dimension."""
    drawn = {}
    curves = figures.training_curves(run.history(), floors)
    if curves is not None:
        drawn["training"] = curves
    if each is not None:
        drawn["bits"] = figures.bits_per_dimension(each, bits(ACTIVE_NATS))
    return drawn


def _map_name(name: str) -> str:
    return {"pca": "PCA", "umap": "UMAP"}.get(name, name)


def standing(metrics: dict[str, Any]) -> list[tuple[str, float, str]]:
    """The model's figures among its floors and ceiling, the worst first."""
    distortion, floors = metrics["distortion"], metrics["floors"]
    rate = f"{metrics['rate']['bits_per_sound']:.3g} bits"
    rows: list[tuple[str, float | None, str]] = [
        ("mean sound", floors["mean_sound_rmse_db"], "floor"),
        ("mean of each pitch", floors["mean_per_pitch_rmse_db"], "floor"),
        *((f"PCA-{k}, unlimited rate", v, "floor") for k, v in floors["pca_rmse_db"].items()),
        *(
            (f"PCA-{k} beside the mean of the pitch", v, "floor")
            for k, v in (floors.get("pca_given_pitch_rmse_db") or {}).items()
        ),
        (f"the best linear code of {rate}", floors.get("linear_code_rmse_db"), "floor"),
        (f"model, z sampled ({rate})", distortion["rmse_db"], "model"),
        ("model, decode(mu)", distortion["rmse_db_at_mean"], "model"),
        ("model, another sound's latent", distortion.get("rmse_db_shuffled"), "model"),
        ("model, training sounds", distortion.get("train_rmse_db"), "model"),
        (
            "the feature's own way to sound and back",
            (metrics.get("ceilings") or {}).get("inversion_rmse_db"),
            "ceiling",
        ),
    ]
    return sorted([r for r in rows if r[1] is not None], key=lambda r: -r[1])  # type: ignore


def _examples(
    run: "Run", metrics: dict[str, Any], corpus: "Corpus", progress: Progress
) -> list[Example]:
    import torch

    from timbrespace.audio.files import to_wav_bytes
    from timbrespace.batches import Pictures

    feature = run.feature
    wanted = [(g, row) for g, rows in metrics["examples"].items() for row in rows]
    if not wanted:
        return []
    rows = np.array([row for _, row in wanted])
    store = corpus.features(feature)
    pictures = Pictures.of(corpus, store, rows, run.vocabulary)
    with torch.no_grad():
        x, labels = pictures.batch(torch.arange(len(rows)), torch.device("cpu"))
        made = run.model.decode(run.model.encode(x, labels).mean, labels)[:, 0].clamp(-1, 1)
    x = x[:, 0]
    level = torch.from_numpy(np.asarray(store.level_db)[rows].astype(np.float32))
    if progress:
        progress("report", 0, 3, {})
    size = feature.span
    inverted = feature.invert(x, level, length=size).numpy()
    if progress:
        progress("report", 1, 3, {})
    loud = feature.rms_db(x, level) - feature.rms_db(made)
    heard = feature.invert(made, loud, length=size).numpy()
    if progress:
        progress("report", 2, 3, {})
    most = min(int(feature.seconds * feature.sample_rate), AUDIO_BYTES // (8 * len(rows)))
    original, seen = feature.compared(x, made)
    error = np.square((seen - original).numpy()).mean((1, 2))
    examples = []
    for i, (group, row) in enumerate(wanted):
        clips = {
            "inversion of the original picture": inverted[i][:most], "model": heard[i][:most],
        }  # fmt: skip
        with suppress(TimbrespaceError, OSError):  # `heard` says in the page why there is none
            sound = corpus.audio(row, sample_rate=feature.sample_rate).mono()[:most]
            clips = {k: clip[: len(sound)] for k, clip in clips.items()}
            if not feature.keeps_phase:
                clips = {
                    "phase found for the true magnitudes": phase_alone(feature, sound, whole)
                } | clips
            clips = {"original": sound} | clips
        examples.append(
            Example(
                group,
                row,
                corpus.rows[row].title,
                float(np.sqrt(error[i])) * feature.yardstick.db_per_unit,
                original[i].numpy(),
                seen[i].numpy(),
                {k: to_wav_bytes(v, feature.sample_rate) for k, v in clips.items()},
            )
        )
    return examples


STYLE = """
figure { margin: 1rem 0 1.6rem; }
.players { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; }
.players label { font-size: .85rem; color: #333; display: block; }
"""


def _body(
    run: "Run",
    metrics: dict[str, Any],
    drawn: dict[str, bytes],
    parts: dict[str, catalogue.Shown],
) -> list[str]:
    body = [
        "<h2>Distortion beside floors and ceiling</h2>",
        "<p>Root mean squared error of the log-mel picture. A floor is what costs no learning: "
        "one average sound, one average of each pitch, or linear algebra (PCA) with as many "
        "numbers at any precision, fitted on training sounds only. The ceiling (green) is what "
        "is lost on the way to sound and back without any model.</p>",
        image(drawn["standing"], "Bars of dB RMSE of the model, its floors and its ceiling"),
        _closeness(metrics),
        "<h2>Where the error lies</h2><p>Over the frequencies of the picture and over its time, z "
        "sampled. A mean error below 0: the model is too soft there.</p>",
        image(drawn["where"], "Curves of the error in dB by frequency band and by time"),
    ]
    places = [name for name in drawn if name.startswith("map-")]
    if places:
        body += [
            "<h2>Map</h2>",
            f"<p>Large marks: the {metrics['sounds']} sounds measured here, of instruments "
            f"{_disjoint(metrics)}. Small marks: other sounds of the corpus.</p>",
            *(image(drawn[n], n.replace("-", " ")) for n in places),
        ]
    body += [
        *_training(metrics["rate"], drawn),
        _codes(metrics),
        _levels(metrics),
        *(part.html for part in parts.values()),
        _not_asked(metrics),
        _probes(metrics),
        _new_sounds(run.path / "evaluation"),
    ]
    for name, one in (("families", "family"), ("registers", "register")):
        if metrics.get(name):
            body += [f"<h2>{name.capitalize()}</h2>", _parts(metrics[name], one)]
    return body


def _training(rate: dict[str, Any], drawn: dict[str, bytes]) -> list[str]:
    """Curves over the epochs and what each dimension keeps, as far as they are drawn."""
    body = []
    if "training" in drawn:
        body += ["<h2>Training</h2>", image(drawn["training"], "Curves over the epochs")]
    if "bits" in drawn:
        body += [
            "<h2>Bits of each dimension</h2>",
            f"<p>{rate['active_units']} of {rate['dimensions']} dimensions are active (the variance "
            f"of mu is above 0.01), {rate['active_units_by_rate']} keep more than {ACTIVE_NATS} nat "
            "(the dotted line; the others are grey). Together they keep at most "
            f"{rate['bits_per_sound']:.3g} bits of a sound.</p>",
            image(drawn["bits"], "Bars of bits per dimension"),
        ]
    return body


def _not_asked(metrics: dict[str, Any]) -> str:
    """Which questions this report has no part of, and how to ask them."""
    names = catalogue.not_asked(metrics)
    if not names:
        return ""
    whole = [n for n in catalogue.QUESTIONS if n in names or metrics.get(n) is not None]
    return (
        f"<p>Not asked: {', '.join(names)}. To ask them beside those answered: <code>timbrespace evaluate "
        f"RUN --ask {','.join(whole)}</code>.</p>"
    )


def _page(
    run: "Run",
    metrics: dict[str, Any],
    said: Sequence[str],
    drawn: dict[str, bytes],
    examples: Sequence[Example],
) -> str:
    distortion, rate = metrics["distortion"], metrics["rate"]
    status = metrics.get("training") or {}
    feature = run.feature
    kind = "note" if metrics.get("healthy") else "note look"
    trained = ""
    if status.get("epochs"):
        trained = f", after epoch {status['epoch']:.0f} of {status['epochs']:.0f}"
        trained += "" if status.get("finished") else " (training goes on)"
    sounds = drawn_of(metrics["sounds"], metrics.get("of_sounds", 0))
    about = f"{run.recipe.about}. " if run.recipe.about else ""
    body = [
        f"<h1>{escape(run.name)}: what this space knows</h1>",
        f"<p class='quiet'>{escape(about)}{sounds} sounds of the {escape(metrics['split'])} "
        f"split{escape(trained)}; {escape(feature.words)} ({feature.seconds:.2f} s at "
        f"{feature.sample_rate} Hz).</p>",
        f"<p class='{kind}' role='note'>{escape(_sentence(metrics['verdict']))}</p>",
        _left_out(metrics),
        _key(metrics),
    ]
    headings = {
        "best": "The best sounds", "worst": "The worst sounds",
        "random": "Sounds drawn at random",
    }  # fmt: skip
    below = [*said]
    if examples:
        below.append(
            "<h2>Listen</h2><p>What is seen and heard of the model is decode(mu). The inversion "
            "is the original's own picture made sound again: what no model of this feature can "
            "exceed. Phase found for the true magnitudes is what no picture without phase can.</p>"
        )
    for group, heading in headings.items():
        chosen = [(i, x) for i, x in enumerate(examples) if x.group == group]
        if chosen:
            below.append(f"<h3>{heading}</h3>")
            below += [_example(x, drawn[f"example-{i}"]) for i, x in chosen]
    below += ["<h2>All figures</h2>", _details(metrics)]
    title = f"{run.name}: {distortion['rmse_db']:.1f} dB at {rate['bits_per_sound']:.3g} bits"
    return document(title, [*body, *contents(below)], STYLE)


def _left_out(metrics: dict[str, Any]) -> str:
    """Which sounds no figure is of, since their latents are not finite."""
    files = catalogue.at(metrics, "not_finite", "files")
    if not files:
        return ""
    named = ", ".join(files[:NAMED]) + (f" and {len(files) - NAMED} more" * (len(files) > NAMED))
    return (
        f"<p>Not measured, since the latent is not finite: {escape(named)}. All figures are of the other "
        "sounds.</p>"
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _disjoint(metrics: dict[str, Any]) -> str:
    shared = (metrics.get("probes") or {}).get("instruments_shared_with_training")
    if shared is None:
        return "that may or may not have been trained on"
    return "never trained on" if shared == 0 else f"of which {shared} were also trained on"


def _key(metrics: dict[str, Any]) -> str:
    distortion, rate, floors = metrics["distortion"], metrics["rate"], metrics["floors"]
    figures = [
        (
            f"{distortion['rmse_db']:.1f}{plus_minus(distortion['rmse_db_interval'], 1)} dB",
            f"distortion (RMSE); mean sound {floors['mean_sound_rmse_db']:.1f} dB, "
            f"PCA-32 {floors['pca_rmse_db']['32']:.1f} dB",
        ),
        (
            f"{rate['bits_per_sound']:.3g}{plus_minus(rate['bits_per_sound_interval'], 1)} bits",
            "rate per sound, at most",
        ),
        (f"{rate['active_units']} of {rate['dimensions']}", "dimensions active")
        if rate.get("codes") is None
        else (f"{rate['codes_used']} of {rate['codes']}", "codes used"),
        (
            f"{distortion['rmse_db_at_mean']:.1f}"
            f"{plus_minus(distortion['rmse_db_at_mean_interval'], 1)} dB",
            "distortion of decode(mu), what is played",
        ),
    ]
    if rate.get("separation") is not None:
        figures.append((f"{rate['separation']:.1f}", "noise widths between two random sounds"))
    return cards(figures)


def _probes(metrics: dict[str, Any]) -> str:
    probes = metrics.get("probes") or {}
    lines = []
    for label, found in probes.items():
        if not isinstance(found, dict):
            continue
        for where, name in (("on_z", "z sampled"), ("on_mu", "mu")):
            p = found[where]
            shares = (
                f"{p[reader]:.0%}{_points(p.get(f'{reader}_interval'))}"
                for reader in ("knn", "linear", "majority")
            )
            lines.append((label, name, *shares, p["labels"]))
    if not lines:
        return ""
    return (
        "<h2>What the latent knows</h2><p>Share of right answers of two simple readers, trained on "
        f"{probes['train_rows']} training sounds and asked about the sounds measured here. mu is "
        "free of noise and flatters; z sampled is what the space really keeps. A model that is "
        "told a label does not need to keep it.</p>"
        + table(
            ("label", "read from", "5 nearest", "linear", "always the commonest", "labels"),
            lines,
            words=2,
        )
    )


def _points(interval: Sequence[float] | None) -> str:
    """Half the width of an interval of shares, in points of 100."""
    return "" if interval is None else plus_minus([100.0 * end for end in interval], 0)


def _new_sounds(folder: Path) -> str:
    """A table of the ways to new sounds, and what codes cost by their prior; an empty part where
    nobody has measured it."""
    try:
        found = json.loads((folder / "generation.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{NEW_SOUNDS}</section>"
    names = {
        "real": "training sounds in their place", "reconstructed": "the real ones, decoded",
        "sounds": "from near real sounds", "normal": "from N(0, I)", "mixture": "from a mixture",
        "flow": "from a flow", "codes": "from a prior of codes",
    }  # fmt: skip
    forms = {"kernel_distance": "{:.3f}", "nearest_share": "{:.2f}", "novelty": "{:.2f}"}
    lines = [
        (words, *(form.format(found[name][key]) for key, form in forms.items()))
        for name, words in names.items()
        if name in found
    ]
    codes = ""
    if "codes" in found:
        nats = {
            "when all codes are as likely": "uniform_nats",
            "by how often each comes at its place": "marginal_nats",
            "by the prior of codes": "nats",
        }
        codes = (
            f"<p>What the codes of a {escape(found['split'])} sound cost, which nothing was fitted to. "
            "What the prior saves is what codes say of each other, beside pitch and loudness.</p>"
            + table(
                ("", "nats per sound"),
                [(words, f"{found['codes'][key]:.1f}") for words, key in nats.items()],
            )
        )
    return (
        f"{NEW_SOUNDS}<h2>New sounds</h2><p>{found['sounds']} sounds of each way, against as many real "
        f"ones of the {escape(found['split'])} split. Kernel distance: 0 for sounds of one kind. Nearest "
        "share: how often the nearest other sound is of the same set, 0.5 when they cannot be told "
        "apart. Novelty: well below 1 they are copies of training sounds. The first line is the floor, "
        "and no prior can do better with this decoder than the second.</p>"
        + table(("", "kernel distance", "nearest share", "novelty"), lines)
        + f"{codes}</section>"
    )


def _codes(metrics: dict[str, Any]) -> str:
    """A table of the codebooks of a quantised latent; nothing for others."""
    rate = metrics["rate"]
    if rate.get("codes") is None:
        return ""
    lines = [
        (number, f"{line['codes_used']} of {line['codes']}", f"{line['perplexity']:.1f}")
        for number, line in enumerate(rate["codebooks"], start=1)
    ]
    return (
        f"<h2>The codes</h2><p>A sound's codes could say {rate['bits_per_sound']:.3g} bits, which is "
        "their fixed rate. For who knows from training how often each comes at its place they cost "
        f"{rate['entropy_bits_per_sound']:.3g}. With as many sounds, even use would reach "
        f"{rate['codes_expected']:.0f} codes. Perplexity is that of one codebook, over all sounds "
        "measured here. Active units and distances in noise widths make no sense for codes and are "
        "left out.</p>" + table(("level", "codes used", "perplexity"), lines)
    )


def _levels(metrics: dict[str, Any]) -> str:
    """A table of the levels of a hierarchical latent, or the parts of a divided one; nothing for a flat one."""
    levels = metrics["rate"].get("levels")
    if not levels:
        return ""
    lines = []
    for number, line in enumerate(levels, start=1):
        saved = "" if line["saved_bits"] is None else f"{line['saved_bits']:.1f}"
        cost, exchanged = f"{line['bits_per_sound']:.1f}", f"{line['rmse_db_exchanged']:.1f}"
        lines.append((number, line["size"], cost, saved, exchanged))
    heads = ("level", "numbers", "bits per sound", "bits saved", "dB RMSE, exchanged")
    return (
        "<h2>The levels</h2><p>Level 1 is the top. What a level saves: how many bits fewer it costs "
        "because the levels above it shape its prior, where they do (of a divided latent level 1 is what "
        "lies between the two sounds, level 2 the dry one, and neither shapes the other). The error once "
        "another sound's level is in its place says how much the decoder listens to it.</p>"
        + table(heads, lines)
    )


def _parts(parts: dict[str, dict[str, Any]], kind: str) -> str:
    """A table of the families or registers, the best first."""
    heads = (
        kind, "sounds", "instruments", "dB RMSE", "at mu", "mean sound", "bits per sound",
        "log-spectral distance, dB", "MR-STFT (sounds)", "within 50 cents (sounds)",
    )  # fmt: skip
    lines = []

    def of_some(f: dict[str, Any], figure: str) -> str:
        return "" if f[figure] is None else f"{f[figure]:.2f} ({f[f'{figure}_sounds']})"

    for name, f in sorted(parts.items(), key=lambda item: item[1]["rmse_db"]):
        numbers = [
            f[key] for key in ("rmse_db_at_mean", "mean_sound_rmse_db", "bits_per_sound", "lsd_db")
        ]
        rmse = f"{f['rmse_db']:.1f}{plus_minus(f['rmse_db_interval'], 1)}"
        some = (of_some(f, figure) for figure in ("mr_stft", "pitch_kept"))
        lines.append((name, f["sounds"], f["groups"], rmse, *(f"{v:.1f}" for v in numbers), *some))
    alone = any(f["groups"] == 1 for f in parts.values())
    note = "<p class='quiet'>Of one instrument alone no interval can be told.</p>" if alone else ""
    return table(heads, lines) + note


def _closeness(metrics: dict[str, Any]) -> str:
    """The figures of the field beside dB RMSE, and what the intervals are of."""
    distortion, floors, ceilings = (metrics[k] for k in ("distortion", "floors", "ceilings"))
    names = {
        "cosine": ("cosine of the pictures above their floor, 1 is perfect", 3),
        "lsd_db": ("log-spectral distance, dB", 2),
        "l1_db": ("mean absolute error, dB (of mels: mel distance)", 2),
    }
    lines = [
        (
            words,
            f"{floors[f'mean_sound_{name}']:.{digits}f}",
            f"{distortion[name]:.{digits}f}{plus_minus(distortion[f'{name}_interval'], digits)}",
            f"{ceilings[f'inversion_{name}']:.{digits}f}",
        )
        for name, (words, digits) in names.items()
    ]
    groups = distortion["groups"]
    known = (
        f"± is half the width of a 95 % interval: what {groups} other instruments (files, where no "
        "instrument is named) would have changed."
        if groups > 1
        else "There are no intervals: all sounds are of one instrument, which says nothing of others."
    )
    return (
        table(("", "mean sound", "model, z sampled", "inversion"), lines)
        + f"<p class='quiet'>{known}</p>"
    )


def _example(example: Example, png: bytes) -> str:
    players = "".join(
        f"<label>{escape(kind)}{player(wav)}</label>" for kind, wav in example.audio.items()
    )
    title = escape(example.title)
    picture = image(png, f"Original, model and difference: {example.title}")
    return (
        f"<figure><figcaption><b>{title}</b> (row {example.row}): {example.rmse_db:.1f} dB "
        f"with decode(mu)</figcaption>{picture}"
        f"<div class='players'>{players}</div></figure>"
    )


def _details(metrics: dict[str, Any]) -> str:
    lines = []

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key not in ("examples", "families", "registers"):
                    walk(inner, f"{name}.{key}" if name else key)
        elif not isinstance(value, list) and value is not None:
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            lines.append((name, text))

    walk({k: v for k, v in metrics.items() if k != "verdict"}, "")
    return (
        "<details><summary>The numbers of metrics.json (docs/metrics.md defines them)</summary>"
        f"{table(('figure', 'value'), lines, words=2)}</details>"
    )
