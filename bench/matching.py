"""How near a match comes, by every way of getting a setting, on held-out sounds with random settings.

    OMP_NUM_THREADS=1 python bench/matching.py CORPUS [--sounds 10] [--effects delay,...] [--run RUN]

Sounds are those of the corpus's test split, two seconds at 16 kHz, their peak at -12 dBFS; settings are drawn
evenly in 0..1 by a seed. Figures are the MR-STFT of `matching.distance`, as the ratio to doing nothing.
Nearest and forest learn from 120 renders of the very sound, as many as the search makes. For style, the
reference is another note of the same instrument, and the distance is taken from the true wet sound. Writes
bench/results/matching.md.
"""

import time
from collections import defaultdict

import numpy as np
from result import FOLDER, busy, made_by, options, table, write

from timbrespace.data.corpus import Corpus
from timbrespace.effects.catalogue import EFFECTS
from timbrespace.effects.effect import Effect
from timbrespace.evaluation.statistics import paired
from timbrespace.matching.distance import mr_stft, spectra
from timbrespace.matching.match import Match, Predict, match
from timbrespace.matching.prediction import predictor
from timbrespace.matching.search import sobol
from timbrespace.matching.style import WITHOUT, match_style

RATE, SAMPLES = 16000, 32768
TEN = "delay,overdrive,reverb,chorus,phaser,compressor,eq,bitcrush,multiband,ringmod"
BUDGETS = (20, 60, 120, 500)
RAIL = 0.02


def dry_sound(corpus: Corpus, row: int) -> np.ndarray:
    """(SAMPLES,), its peak at -12 dBFS."""
    sound = corpus.audio(row, RATE).mono()[:SAMPLES]
    sound = np.pad(sound, (0, SAMPLES - len(sound)))
    return (sound * 10.0 ** (-12.0 / 20.0) / max(float(np.abs(sound).max()), 1e-6)).astype(
        np.float32
    )


def learnt(effect: Effect, dry: np.ndarray, wet: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Places by nearest neighbour and by a forest, from 120 renders of this sound."""
    from sklearn.ensemble import ExtraTreesRegressor

    places = sobol(len(effect.knobs), 120, seed)
    heard = [spectra(effect.render(dry, RATE, effect.from_units(place))) for place in places]
    wanted = spectra(wet)
    nearest = places[int(np.argmin([np.abs(one - wanted).sum() for one in heard]))]
    forest = ExtraTreesRegressor(100, random_state=seed)
    forest.fit(np.stack([one[::64] for one in heard]), places)
    return {"nearest": nearest, "forest": np.asarray(forest.predict(wanted[None, ::64]))[0]}


def measured(
    corpus: Corpus, effect: Effect, count: int, rng: np.random.Generator, predict: Predict | None
) -> tuple[dict[str, list[dict[str, float]]], list[list[bool]]]:
    """By way, one row a sound: mr_stft, nothing, mae, squared error, spread of the true knobs about the centre,
    rails, seconds and, of a search, held; and of each sound, whether the reference of a style is said to be
    without the effect perhaps, where it has it and where it has not."""
    doubts: list[list[bool]] = []
    rows = corpus.split_rows("test")
    instruments = np.array([str(value) for value in corpus.labels("instrument")])
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(count):
        row = int(rng.choice(rows))
        alike = [r for r in rows if instruments[r] == instruments[row] and r != row]
        other = int(rng.choice(alike)) if alike else row
        dry, place = dry_sound(corpus, row), rng.random(len(effect.knobs))
        setting = effect.from_units(place)
        wet = effect.render(dry, RATE, setting)
        nothing = mr_stft(dry, wet)

        def tell(
            way: str, units: np.ndarray, seconds: float = 0.0, made: Match | None = None,
            dry: np.ndarray = dry, wet: np.ndarray = wet, place: np.ndarray = place,
            nothing: float = nothing, setting: dict[str, float] = setting,
        ) -> None:  # fmt: skip
            sound = effect.render(dry, RATE, effect.from_units(units))
            edge = (units < RAIL) | (units > 1.0 - RAIL)
            inside = (place > RAIL) & (place < 1.0 - RAIL)
            held = [k.low <= setting[k.knob] <= k.high for k in made.knobs] if made else []
            found[way].append({
                "mr_stft": mr_stft(sound, wet), "nothing": nothing, "seconds": seconds,
                "mae": float(np.abs(units - place).mean()), "rails": float((edge & inside).mean()),
                "squared": float(np.square(units - place).mean()),
                "spread": float(np.square(place - 0.5).mean()),
                "held": float(np.mean(held)) if held else np.nan,
            })  # fmt: skip

        tell("random", rng.random(len(effect.knobs)))
        tell("centre", np.full(len(effect.knobs), 0.5))
        for way, units in learnt(effect, dry, wet, number).items():
            tell(way, units)
        if predict is not None:
            told = predict(dry, wet, RATE).knobs.get(effect.name)
            if told is not None:
                tell("prediction", told.places)
        for renders in BUDGETS:
            began = time.perf_counter()
            made = match(
                effect, dry, wet, RATE, renders=renders, seed=number, predict=predict,
                intervals=renders == 120,
            )  # fmt: skip
            spent = time.perf_counter() - began
            tell(f"search {renders}", effect.to_units(made.setting), spent, made)
        reference = effect.render(dry_sound(corpus, other), RATE, setting)
        began = time.perf_counter()
        made = match_style(effect, dry, reference, RATE, seed=number)
        tell("style", effect.to_units(made.setting), time.perf_counter() - began, made)
        without = match_style(effect, dry, dry_sound(corpus, other), RATE, seed=number)
        doubts.append([WITHOUT in str(one.note) for one in (made, without)])
    return found, doubts


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--sounds", type=int, default=10)
    parser.add_argument("--effects", default=TEN)
    parser.add_argument("--run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    load, rng = busy(), np.random.default_rng(given.seed)
    corpus, predict = Corpus.open(given.corpus), None
    if given.run:
        predict = predictor(given.run)
    names = given.effects.split(",")
    all_found, doubts = {}, []
    for name in names:
        all_found[name], some = measured(corpus, EFFECTS[name], given.sounds, rng, predict)
        doubts += some
        print(
            name, {way: f"{ratio(rows):.2f}" for way, rows in all_found[name].items()}, flush=True
        )
    ways = list(all_found[names[0]])
    ratios = [
        [way, *(f"{ratio(all_found[n][way]):.3f}" for n in names),
         f"{np.mean([ratio(all_found[n][way]) for n in names]):.3f}",
         f"{sum(ratio(all_found[n][way]) < 1.0 for n in names)} of {len(names)}"]
        for way in ways
    ]  # fmt: skip
    rest = [
        summary(way, [r for n in names for r in all_found[n][way]], names, all_found, rng)
        for way in ways
    ]
    command = f"python bench/matching.py CORPUS --sounds {given.sounds} --seed {given.seed}"
    command += " --run RUN" if given.run else ""
    write(
        FOLDER / "matching.md", "Knobs from sound",
        made_by(command, f"{given.sounds} sounds an effect", load=load),
        "MR-STFT as a share of doing nothing (sum over sounds), the mean over effects, and effects that win:",
        table(("way", *names, "mean", "wins"), ratios),
        "Over all sounds: MR-STFT minus that of doing nothing (95 % interval, paired, effects drawn), mean "
        "absolute error of knobs (0..1), R2 (of the variance of all knobs about the centre), share of knobs "
        f"found within {RAIL} of a rail where the true is not, share of true knobs within their told interval, "
        "and seconds:",
        table(("way", "difference", "interval", "knob MAE", "R2", "rails", "held", "seconds"), rest),
        f"Of {len(doubts)} references of style with the effect {np.mean(doubts, 0)[0]:.0%} are said to be "
        f"without it perhaps, and of as many without it {np.mean(doubts, 0)[1]:.0%}.",
    )  # fmt: skip


def ratio(rows: list[dict[str, float]]) -> float:
    """The distance as a share of doing nothing."""
    return sum(r["mr_stft"] for r in rows) / sum(r["nothing"] for r in rows)


def summary(
    way: str, rows: list[dict[str, float]], names: list[str],
    found: dict[str, dict[str, list[dict[str, float]]]], rng: np.random.Generator,
) -> list[object]:  # fmt: skip
    groups = [name for name in names for _ in found[name][way]]
    apart = paired([r["mr_stft"] for r in rows], [r["nothing"] for r in rows], groups, rng=rng)
    mean = {key: float(np.mean([r[key] for r in rows])) for key in rows[0]}
    told = f"{apart.low:+.2f} to {apart.high:+.2f}" if apart else "one effect"
    gained = np.mean([r["mr_stft"] - r["nothing"] for r in rows])
    held = f"{mean['held']:.2f}" if np.isfinite(mean["held"]) else "not told"
    seconds = f"{mean['seconds']:.2f}" if mean["seconds"] else "not timed"
    return [
        way,
        f"{gained:+.3f}",
        told,
        f"{mean['mae']:.3f}",
        f"{1.0 - mean['squared'] / mean['spread']:+.2f}",
        f"{mean['rails']:.3f}",
        held,
        seconds,
    ]


if __name__ == "__main__":
    main()
