"""What is told of a wet sound alone: which of several effects it has, and its knobs where that is known.

    OMP_NUM_THREADS=1 python bench/blind.py CORPUS [--sounds 10] [--effects delay,...] [--run RUN]

Sounds and settings as in `matching.py`. By forests of what is tried on built-in notes, and by a run of recipe
effects-blind, if one is given. Writes bench/results/blind.md.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matching import RATE, TEN, dry_sound
from result import FOLDER, busy, made_by, options, table, write

from timbrespace.data.corpus import Corpus
from timbrespace.effects.catalogue import EFFECTS
from timbrespace.effects.effect import Effect
from timbrespace.matching.blind import Blind, match_blind, told_by
from timbrespace.matching.prediction import listener

# What a wet sound says of effects, by a seed.
Way = Callable[[Sequence[Effect], np.ndarray, int], Blind]


def tried(effects: Sequence[Effect], wet: np.ndarray, seed: int) -> Blind:
    return match_blind(effects, wet, RATE, seed=seed)


def learnt(run: str) -> Way:
    listen = listener(run)
    return lambda effects, wet, seed: told_by(listen(wet, RATE), effects, wet, RATE)


def blind(
    corpus: Corpus, names: list[str], count: int, rng: np.random.Generator, ways: Sequence[Way]
) -> Iterator[list[float]]:
    """By effect and way: the share of wet sounds whose effect is told, its mean probability, the knobs' MAE."""
    rows = corpus.split_rows("test")
    for name in names:
        effect, found = EFFECTS[name], []
        for number in range(count):
            dry, place = dry_sound(corpus, int(rng.choice(rows))), rng.random(len(effect.knobs))
            wet, line = effect.render(dry, RATE, effect.from_units(place)), []
            for way in ways:
                told = way([EFFECTS[n] for n in names], wet, number)
                units = effect.to_units(way([effect], wet, number).setting)
                line += [
                    told.effect.name == name,
                    told.probabilities[name],
                    np.abs(units - place).mean(),
                ]
            found.append(line)
        yield np.mean(found, axis=0).tolist()


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--sounds", type=int, default=10)
    parser.add_argument("--effects", default=TEN)
    parser.add_argument("--run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    load, rng, names = busy(), np.random.default_rng(given.seed), given.effects.split(",")
    ways = {"": tried} | ({"run: ": learnt(given.run)} if given.run else {})
    figures = []
    for figure in blind(Corpus.open(given.corpus), names, given.sounds, rng, [*ways.values()]):
        print(names[len(figures)], *figure, flush=True)
        figures.append(figure)
    rows = [
        (name, *(f"{value:.2f}" for value in figure))
        for name, figure in zip([*names, "mean"], [*figures, np.mean(figures, axis=0)], strict=True)
    ]
    command = f"python bench/blind.py CORPUS --sounds {given.sounds} --seed {given.seed}"
    command += " --run RUN" if given.run else ""
    write(
        FOLDER / "blind.md", "Effects of a wet sound alone",
        made_by(command, f"{given.sounds} sounds an effect", load=load),
        "Share of wet sounds whose effect is told, its mean probability, and the mean absolute error (0..1) of "
        "the knobs where the effect is known; by chance an effect is told in one of "
        f"{len(names)}, and knobs at their centres are 0.25 off"
        + (f"; first without, then by a run ({Path(given.run).name}):" if given.run else ":"),
        table(
            ("effect", *(way + column for way in ways for column in ("told", "probability", "knob MAE"))), rows
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
