"""What is told of a wet sound alone: which of several effects it has, and its knobs where that is known.

    OMP_NUM_THREADS=1 python bench/blind.py CORPUS [--sounds 10] [--effects delay,...]

Sounds and settings as in `matching.py`. Writes bench/results/blind.md.
"""

from collections.abc import Iterator

import numpy as np
from matching import RATE, TEN, dry_sound
from result import FOLDER, busy, made_by, options, table, write

from timbrespace.data.corpus import Corpus
from timbrespace.effects.catalogue import EFFECTS
from timbrespace.matching.blind import match_blind


def blind(
    corpus: Corpus, names: list[str], count: int, rng: np.random.Generator
) -> Iterator[list[object]]:
    """By effect: the share of wet sounds whose effect is told, its mean probability, and the knobs' MAE."""
    rows = corpus.split_rows("test")
    for name in names:
        effect, right, sure, away = EFFECTS[name], [], [], []
        for number in range(count):
            dry, place = dry_sound(corpus, int(rng.choice(rows))), rng.random(len(effect.knobs))
            wet = effect.render(dry, RATE, effect.from_units(place))
            found = match_blind([EFFECTS[n] for n in names], wet, RATE, seed=number)
            knobs = match_blind([effect], wet, RATE, seed=number).setting
            right.append(found.effect.name == name)
            sure.append(found.probabilities[name])
            away.append(np.abs(effect.to_units(knobs) - place).mean())
        yield [name, *(f"{np.mean(column):.2f}" for column in (right, sure, away))]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--sounds", type=int, default=10)
    parser.add_argument("--effects", default=TEN)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    load, rng = busy(), np.random.default_rng(given.seed)
    rows = []
    for row in blind(Corpus.open(given.corpus), given.effects.split(","), given.sounds, rng):
        print(*row, flush=True)
        rows.append(row)
    rows.append(["mean", *(f"{np.mean([float(r[k]) for r in rows]):.2f}" for k in (1, 2, 3))])
    command = f"python bench/blind.py CORPUS --sounds {given.sounds} --seed {given.seed}"
    write(
        FOLDER / "blind.md", "Effects of a wet sound alone",
        made_by(command, f"{given.sounds} sounds an effect", load=load),
        "Share of wet sounds whose effect is told, its mean probability, and the mean absolute error (0..1) of "
        "the knobs where the effect is known; by chance an effect is told in one of "
        f"{len(rows) - 1}, and knobs at their centres are 0.25 off:",
        table(("effect", "told", "probability", "knob MAE"), rows),
    )  # fmt: skip


if __name__ == "__main__":
    main()
