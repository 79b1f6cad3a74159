"""The verbs of effects, one function each, as the command line and Python have them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbrespace.controller import Controller
    from timbrespace.data.pairs import Pairs
    from timbrespace.effects import Effect, Setting
    from timbrespace.matching.blind import Blind
    from timbrespace.matching.match import Match

StrPath = str | Path
Progress = Callable[[str, int, int, dict[str, float]], None]

log = logging.getLogger(__name__)


def effects_list(name: str | None = None) -> list[dict[str, Any]]:
    """All effects, or the one of this name: name, host, words, level, whether it is differentiable, its
    dry setting (None where it has none), and its knobs with unit, range, default, curve and what cannot
    be heard. Among all, no plug-in is loaded: those of hosts say name, host, words and knobs, None where
    only loading would tell them; of one by name it is also listened which knobs change nothing in mono."""
    from timbrespace.effects import hosts
    from timbrespace.effects.catalogue import EFFECTS, find
    from timbrespace.effects.mono import listened

    if name is not None:
        return [listened(find(name)).facts]
    found = [
        {
            "name": one.name, "host": one.name.partition(":")[0], "words": one.words,
            "knobs": None if one.knobs is None else [knob.facts for knob in one.knobs],
        }
        for one in hosts.described()
    ]  # fmt: skip
    return [*(effect.facts for effect in EFFECTS.values()), *found]


MOST_LOUDER = 40.0  # dB that an effect's level is made up for: what is softer than that is noise


@dataclass(frozen=True)
class Applied:
    """What came of a sound: the file written, or None and the sentence that says why; by how many dB all of
    it was made louder, and the highest peak lowered by the limiter; and what was set that cannot be heard
    in such a sound."""

    sound: str
    file: Path | None
    error: str | None = None
    louder: float = 0.0
    limited: float = 0.0
    unheard: tuple[str, ...] = ()


def effects_apply(
    files: Sequence[StrPath], out: StrPath, *, effect: str, setting: "Setting | None" = None,
    same_level: bool = False, format: str = "wav16", progress: Progress | None = None,
) -> list[Applied]:  # fmt: skip
    """Each sound with an effect, as STEM.EFFECT in the folder `out`, at its own rate, with its own length
    and channels.

    setting: knobs by name, those left out at their defaults. same_level: as loud (RMS) as the sound was dry,
    by 40 dB more at most. format: one of audio.files.FORMATS. What would pass -0.1 dBFS is limited. A file
    that cannot be used is told of, and the rest goes on; EffectError for an effect or knob that is not there,
    before anything is read.
    """
    import re

    from timbrespace.audio.files import suffix_of
    from timbrespace.effects.catalogue import find
    from timbrespace.effects.mono import listened
    from timbrespace.errors import TimbrespaceError
    from timbrespace.verbs import folder_for, free_names

    found = find(effect)
    found.complete(setting or {})
    found = listened(found, setting or {})
    ending = suffix_of(format)
    folder, title = folder_for(out), re.sub(r"[^\w.+-]+", "-", effect)
    made = []
    for name, file in zip(free_names(files, f".{title}"), files, strict=True):
        try:
            to = folder / f"{name}{ending}"
            made.append(_apply(found, setting or {}, file, to, format, same_level=same_level))
        except TimbrespaceError as error:
            words = str(error)
            made.append(
                Applied(str(file), None, words if str(file) in words else f"{file}: {words}")
            )
        if progress:
            progress("apply", len(made), len(files), {})
    return made


def _apply(
    effect: "Effect", setting: "Setting", file: StrPath, to: Path, format: str, *, same_level: bool
) -> Applied:
    from timbrespace.audio.files import read, write
    from timbrespace.audio.level import FLOOR_DB, limit, peak_db, rms_db

    dry = read(file)
    wet = effect.render(dry.samples, dry.sample_rate, setting)
    louder = 0.0
    if same_level:
        was, now = rms_db(dry.samples), rms_db(wet)
        louder = min(MOST_LOUDER, was - now) if min(was, now) > FLOOR_DB else 0.0
        wet = wet * wet.dtype.type(10.0 ** (louder / 20.0))
    safe = limit(wet, dry.sample_rate)
    write(to, safe, dry.sample_rate, format=format)
    lowered = peak_db(wet) - peak_db(safe)
    unheard = effect.unheard(setting, len(wet), dry.seconds)
    return Applied(str(file), to, None, louder, lowered, unheard)


def effects_pairs(
    out: StrPath, *, corpus: StrPath | None = None, effects: str | Sequence[str] = "all",
    settings: str = "random", n: int = 1000, seconds: float = 2.048, sample_rate: int = 16000,
    level: str = "kept", seed: int = 0, workers: int | None = None, progress: Progress | None = None,
) -> "Pairs":  # fmt: skip
    """Render `n` pairs of a dry and a wet sound for each effect, as a corpus in the folder `out`.

    corpus: a prepared one of dry sounds; without it the built-in instruments become one beside `out`,
    as OUT.dry. effects: names, or "all" for ten of our own. The rest as in
    data.pair_rendering.render_pairs. Their pictures are those of the recipe `effects`. The same call again
    goes on where it was interrupted.
    """
    from timbrespace.data.pair_rendering import render_pairs
    from timbrespace.data.pair_settings import ALL
    from timbrespace.features.pair import Pair
    from timbrespace.recipe import load

    names = effects.split(",") if isinstance(effects, str) else list(effects)
    names = [one for name in names for one in (ALL if name.strip() == "all" else (name.strip(),))]
    names = [name for name in names if name]
    if corpus is None:
        corpus = _built_in(Path(out), names, progress)
    tell = None
    if progress is not None:
        tell = lambda stage, done, total: progress(stage, done, total, {})  # noqa: E731
    return render_pairs(
        out, corpus, names, settings=settings, number=n,
        seconds=seconds, sample_rate=sample_rate, level=level, seed=seed,
        feature=Pair.from_settings(load("effects").feature.model_dump()), workers=workers,
        progress=tell,
    )  # fmt: skip


def _built_in(out: Path, names: list[str], progress: Progress | None) -> Path:
    """A corpus of the built-in instruments beside `out`, made once; EffectError first, where none of the
    effects is there."""
    from timbrespace import verbs
    from timbrespace.effects.catalogue import found

    found(names)
    return verbs.built_in_corpus(out.with_name(f"{out.name}.dry"), progress=progress)


def effects_play(
    *sounds: StrPath, effect: str | None = None, controller: StrPath | Sequence[StrPath] = (),
    port: int | None = None, browser: bool = True, ready: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Play effects in the browser until Ctrl-C: on files, on the sounds of one corpus, or without any on
    built-in instruments. `effect` is chosen first; `controller`: a file or several, whose pads can be
    chosen; `ready` is told the page's address."""
    from timbrespace.explorer.effects_server import serve

    files = [controller] if isinstance(controller, str | Path) else controller
    serve(sounds, effect=effect, controllers=files, port=port, browser=browser, ready=ready)


def effects_controller(
    effect: str, out: StrPath, *, sounds: Sequence[StrPath] = (), kind: str = "bottleneck",
    dimensions: int = 2, settings: int = 1000, seed: int = 0, run: StrPath | None = None,
    progress: Progress | None = None,
) -> "Controller":  # fmt: skip
    """Make a controller of an effect, measure it on settings and a sound that it does not know, and write
    it to `out`. sounds: a corpus, or files; without any, notes of the built-in instruments. run: a space of
    effects, whose latents are laid out in place of what the ear hears."""
    from dataclasses import replace

    from timbrespace.controller.make import check, make
    from timbrespace.controller.measure import measure
    from timbrespace.controller.sounds import dry_sounds
    from timbrespace.effects.catalogue import find
    from timbrespace.errors import EffectError
    from timbrespace.runs import Run

    found = find(effect)
    check(found, kind, dimensions, settings)
    if Path(out).is_dir() or not Path(out).absolute().parent.is_dir():
        raise EffectError(f"{out} cannot be written; give a file in a folder that is there")
    dry = dry_sounds(sounds, seed=seed)
    made = make(
        found, dry.made_on, kind=kind, dimensions=dimensions, settings=settings, seed=seed,
        run=None if run is None else Run.open(run), progress=progress,
    )  # fmt: skip
    measures = {**measure(made, dry.kept, progress=progress), "held_out_sound": dry.apart}
    about = {"about": dry.about, "run": None if run is None else Path(run).name}
    whole = replace(made, made={**made.made, **about}, measures=measures)
    whole.save(out)
    return whole


@dataclass(frozen=True)
class Matched:
    """What a match is and where it lies: the rendered sound, the picture, all numbers as JSON, and what was
    left out, or done to the sounds before, in words."""

    match: "Match"
    sound: Path
    picture: Path
    file: Path
    words: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """All numbers: effect, setting, knobs with intervals, steps, other effects, and what to know."""
        match = self.match
        return {
            "effect": match.effect.name, "setting": match.setting, "sure": match.sure,
            "measure": match.measure, "ratio": match.ratio, "steps": [vars(s) for s in match.steps],
            "knobs": [vars(k) for k in match.knobs], "others": dict(match.others),
            "probabilities": dict(match.probabilities),
            "notes": [*self.words, *([match.note] if match.note else [])],
        }  # fmt: skip


def effects_match(
    sound: StrPath, reference: StrPath, out: StrPath, *, effect: str | Sequence[str] | None = None,
    style: bool = False, run: StrPath | None = None, renders: int = 120, seconds: float = 5.0,
    seed: int = 0, progress: Progress | None = None,
) -> Matched:  # fmt: skip
    """The setting with which `sound` comes nearest to `reference`, the same sound with the effect, or with
    `style` another sound with it; into the folder `out`: result.wav, match.json and match.png.

    effect: one effect or chain, several to choose from, or None for all our own. run: a run with heads, which
    says where the search starts, and which of nearly equal settings is likelier; with `style` one that has
    learnt to hear wet sounds alone, which says which of several effects it is. The search makes at most
    `renders` renders of each effect that it goes into, in about `seconds`. The result is rendered at the
    sound's own rate and length, and limited.
    """
    import json

    from timbrespace.atomic import write_bytes
    from timbrespace.audio.files import read, write
    from timbrespace.audio.level import limit
    from timbrespace.errors import EffectError
    from timbrespace.evaluation.figures.pictures import spectrograms
    from timbrespace.matching.match import match_one_of
    from timbrespace.matching.pairing import paired
    from timbrespace.matching.prediction import listener, predictor
    from timbrespace.matching.style import match_style_of_one
    from timbrespace.verbs import folder_for

    effects, left_out = _found(effect)
    if style and run is not None and len(effects) == 1:
        raise EffectError(
            f"of another sound a run only says which effect it has, and {effects[0].name} is the only one; "
            "leave run out"
        )
    whole = read(sound)
    pair = paired(whole, read(reference), style=style)
    folder = folder_for(out)
    files = [folder / name for name in ("result.wav", "match.png", "match.json")]
    for given in (sound, reference):
        if Path(given).absolute() in [file.absolute() for file in files]:
            raise EffectError(f"{given} would be written over; give another folder than {out}")
    if style:
        found = match_style_of_one(
            effects, pair.dry, pair.reference, pair.sample_rate, renders=renders, seconds=seconds,
            seed=seed, listen=None if run is None else listener(run), progress=progress,
        )  # fmt: skip
    else:
        predict = None if run is None else predictor(run)
        found = match_one_of(
            effects, pair.dry, pair.reference, pair.sample_rate, renders=renders, seconds=seconds,
            seed=seed, predict=predict, progress=progress,
        )  # fmt: skip
    made = limit(
        found.effect.render(whole.samples, whole.sample_rate, found.setting), whole.sample_rate
    )
    sound_file, picture_file, numbers_file = files
    matched = Matched(found, sound_file, picture_file, numbers_file, (*left_out, *pair.words))
    result = found.effect.render(pair.dry, pair.sample_rate, found.setting)
    panels = {"dry": pair.dry, "reference": pair.reference, "result": result}
    mono = {title: x.reshape(-1, x.shape[-1]).mean(0) for title, x in panels.items()}
    picture = spectrograms(mono, pair.sample_rate)
    write(matched.sound, made, whole.sample_rate, format="wav24")
    write_bytes(matched.picture, picture)
    write_bytes(matched.file, json.dumps(matched.facts, indent=1).encode())
    return matched


def effects_blind(
    sound: StrPath, *, effect: str | Sequence[str] | None = None, run: StrPath | None = None,
    seconds: float = 15.0, seed: int = 0, progress: Progress | None = None,
) -> "Blind":  # fmt: skip
    """Which effect `sound` has, and with which knobs, where there is no dry sound: how probable each is, in
    about `seconds`. effect: several to choose from, or one whose knobs are asked for; None for all our own.
    run: one that has learnt to hear wet sounds alone, which answers at once; None for `effect` is then all that
    it has learnt."""
    from timbrespace.audio.files import read
    from timbrespace.matching.blind import match_blind, told_by
    from timbrespace.matching.match import check
    from timbrespace.matching.pairing import comparable
    from timbrespace.matching.prediction import listener

    audio = read(sound)
    rate = comparable(audio.sample_rate)
    samples = audio.at(rate).samples
    if run is not None:
        check(samples, samples)
        prediction = listener(run)(samples, rate)
        effects, _ = _found(effect or list(prediction.probabilities))
        return told_by(prediction, effects, samples, rate)
    effects, _ = _found(effect)
    return match_blind(effects, samples, rate, seconds=seconds, seed=seed, progress=progress)


def _found(effect: str | Sequence[str] | None) -> "tuple[list[Effect], list[str]]":
    """The effects of these names, all our own where none is given; and of each that is missing a sentence,
    which is logged."""
    from timbrespace.effects.catalogue import EFFECTS, found

    names = [effect] if isinstance(effect, str) else effect
    there, missing = found(EFFECTS if names is None else names)
    told = [f"{name} is left out: {why}" for name, why in missing.items()]
    for sentence in told:
        log.warning(sentence)
    return list(there.values()), told
