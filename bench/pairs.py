"""Pairs per second of one core: reading, each effect, writing as FLAC; and what the formats take.

    python bench/pairs.py CORPUS [--pairs 200]

CORPUS is a prepared corpus of dry sounds. Writes bench/results/pairs.md.
"""

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from result import FOLDER, busy, made_by, options, table, write

from timbrespace.data.corpus import Corpus
from timbrespace.data.pair_parts import STATE, Part, Renderer, dry_sound
from timbrespace.data.pair_settings import ALL, Request, plans_of

RESULT = FOLDER / "pairs.md"
TIMES = 50


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of some work in this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def alone_on(renderer: Renderer, place: int) -> None:
    """An effect TIMES at random settings, on the first sound that is not silent."""
    plan, effect, rng = renderer.plans[place], renderer.effects[place], np.random.default_rng(0)
    found = (dry_sound(renderer.corpus, int(row), plan.request) for row in renderer.rows[0])
    dry = next(sound for sound in found if sound is not None)
    for _ in range(TIMES):
        effect.render(dry, 16000, effect.from_units(rng.random(len(effect.knobs))))


def rendering(corpus: Corpus, number: int, folder: Path) -> list[tuple[str, str, str]]:
    """For each effect: pairs a second whole, and what its rendering alone takes in ms."""
    plans = plans_of(Request(ALL, number=number), corpus)
    renderer = Renderer(corpus, plans, folder)
    (folder / STATE).mkdir()
    rows, total, made = [], 0.0, 0
    for place, plan in enumerate(plans):
        (folder / "sounds" / plan.folder).mkdir(parents=True)
        part = Part(place, 0, plan.units)
        renderer.make(Part(place, 0, 1), lambda _: None)  # what is prepared once
        seconds = cpu(lambda part=part: renderer.make(part, lambda _: None))
        pairs = plan.units * plan.sounds
        total, made = total + seconds, made + pairs
        alone = cpu(lambda place=place: alone_on(renderer, place))
        rows.append((plan.name, f"{pairs / seconds:.0f}", f"{1000 * alone / TIMES:.1f}"))
    return [*rows, ("all", f"{made / total:.0f}", "")]


def writing(folder: Path) -> list[tuple[str, str, str]]:
    """Milliseconds and kB of a pair, by format."""
    files = sorted((folder / "sounds").rglob("*.flac"))
    # softer, so that they are no longer whole numbers of 16 bit
    sounds = [0.9 * soundfile.read(file, dtype="float32")[0] for file in files]
    rows = []
    for name, subtype in (("FLAC 16", "PCM_16"), ("FLAC 24", "PCM_24")):
        sizes: list[int] = []

        def encode(subtype: str = subtype, sizes: list[int] = sizes) -> None:
            for sound in sounds:
                data = io.BytesIO()
                soundfile.write(data, sound, 16000, format="FLAC", subtype=subtype)
                sizes.append(len(data.getvalue()))

        seconds = cpu(encode)
        rows.append((name, f"{1000 * seconds / len(sounds):.2f}", f"{np.mean(sizes) / 1000:.0f}"))
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--pairs", type=int, default=200, help="of each effect")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    load, corpus = busy(), Corpus.open(arguments.corpus)
    with tempfile.TemporaryDirectory() as name:
        speed = rendering(corpus, arguments.pairs, Path(name))
        formats = writing(Path(name))
    write(
        arguments.out, "Pairs of dry and wet sounds",
        made_by(f"python bench/pairs.py CORPUS --pairs {arguments.pairs}", load=load),
        "Pairs of 2.048 s at 16 kHz: the dry sound read and levelled, the wet one rendered, both "
        "written; CPU time of one core.",
        table(("effect", "pairs/s", "the effect alone, ms"), speed),
        table(("format", "ms a pair", "kB a pair"), formats),
    )  # fmt: skip


if __name__ == "__main__":
    main()
