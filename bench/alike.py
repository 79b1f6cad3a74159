"""What the health report calls a near copy: how many changed copies it finds, and what else it takes.

    OMP_NUM_THREADS=1 python bench/alike.py CORPUS [--sounds 200]

CORPUS was made by prepare from pitched notes. Copies of sounds drawn at random are changed and looked
for beside their originals. Of all other pairs of the corpus, those above the threshold are counted by
what their labels do not share: two pitches are never copies of each other. Writes
bench/results/alike.md.
"""

import io
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from result import FOLDER, made_by, options, table, write

from timbrespace.audio.files import resample
from timbrespace.data import duplicates
from timbrespace.data.corpus import Corpus, FeatureStore
from timbrespace.features.log_mel import LogMel


def coded(samples: np.ndarray, rate: int, form: str, subtype: str) -> np.ndarray:
    data = io.BytesIO()
    soundfile.write(data, samples, rate, format=form, subtype=subtype)
    data.seek(0)
    return soundfile.read(data, dtype="float32")[0][: len(samples)]


def through(samples: np.ndarray, rate: int, other: int) -> np.ndarray:
    return resample(rounded(resample(samples, rate, other), 16), other, rate)[: len(samples)]


def rounded(samples: np.ndarray, bits: int) -> np.ndarray:
    return (np.round(samples * 2 ** (bits - 1)) / 2 ** (bits - 1)).astype(np.float32)


def later(samples: np.ndarray, rate: int, ms: float) -> np.ndarray:
    silence = np.zeros(round(rate * ms / 1000), np.float32)
    return np.concatenate([silence, samples])[: len(samples)]


def noisy(samples: np.ndarray, db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    return samples + noise * float(np.abs(samples).max()) * 10 ** (db / 20)


Change = Callable[[np.ndarray, int], np.ndarray]
CHANGES: dict[str, Change] = {
    "12 dB softer, 16 bits": lambda x, r: rounded(x * 10**-0.6, 16),
    "30 dB softer, 16 bits": lambda x, r: rounded(x * 10**-1.5, 16),
    "12 bits": lambda x, r: rounded(x, 12),
    "8 bits": lambda x, r: rounded(x, 8),
    "through 44.1 kHz": lambda x, r: through(x, r, 44100),
    "through 11.025 kHz": lambda x, r: through(x, r, 11025),
    "Vorbis": lambda x, r: coded(x, r, "OGG", "VORBIS"),
    "MP3": lambda x, r: coded(x, r, "MP3", "MPEG_LAYER_III"),
    "noise at -60 dB of the peak": lambda x, r: noisy(x, -60),
    "1 ms later": lambda x, r: later(x, r, 1),
    "5 ms later": lambda x, r: later(x, r, 5),
    "20 ms later": lambda x, r: later(x, r, 20),
}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--sounds", type=int, default=200)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Corpus.open(chosen.corpus)
    facts = corpus.path / "features" / corpus.facts["feature"] / "feature.json"
    feature = LogMel.from_settings(json.loads(facts.read_text())["settings"])
    store: FeatureStore = corpus.features(feature)
    rng = np.random.default_rng(0)
    rows = np.sort(
        rng.choice(len(corpus.rows), min(chosen.sounds, len(corpus.rows)), replace=False)
    )
    sounds = [corpus.audio(int(row), feature.sample_rate).mono() for row in rows]
    sounds = [x for x in sounds if np.abs(x).max() > 1e-3]

    def pictures(some: list[np.ndarray]) -> np.ndarray:
        return np.stack([feature.analyse(torch.from_numpy(x)).values.numpy() for x in some])

    originals = pictures(sounds)
    lines = []
    for name, change in CHANGES.items():
        copies = pictures([np.ascontiguousarray(change(x, feature.sample_rate)) for x in sounds])
        both, count = np.concatenate([originals, copies]), len(sounds)
        length, none = np.ones(2 * count), np.zeros(2 * count, bool)
        found = set(map(tuple, duplicates.alike(both, length, none).pairs.tolist()))
        share = sum((k, k + count) in found for k in range(count)) / count
        lines.append((name, f"{share:.1%}"))

    seconds = np.array([row.seconds for row in corpus.rows])
    began = time.perf_counter()
    pairs = duplicates.alike(store.values, seconds, np.zeros(len(seconds), bool)).pairs
    took = time.perf_counter() - began
    names = ("instrument", "pitch", "velocity")
    labels = [row.labels for row in corpus.rows]
    kinds = Counter(
        " and ".join(n for n in names if labels[a].get(n) != labels[b].get(n)) or "nothing"
        for a, b in pairs.tolist()
    )
    pitched = sum(count for kind, count in kinds.items() if "pitch" in kind)
    command = f"OMP_NUM_THREADS=1 python bench/alike.py CORPUS --sounds {chosen.sounds}"
    write(
        FOLDER / "alike.md",
        "Near copies",
        f"{made_by(command, 'one thread')} CORPUS = {len(labels)} sounds, pictures {feature.mels} by "
        f"{feature.frames}; alike: cosine at least {duplicates.ALIKE}.",
        table((f"copies of {len(sounds)} sounds", "found"), lines),
        f"All sounds of the corpus were compared in {took:.1f} s. Pairs that are alike, by the labels "
        "that differ:",
        table(
            ("labels that differ", "pairs"),
            [*kinds.most_common(), ("pitch, alone or with others", pitched)],
        ),
    )


if __name__ == "__main__":
    main()
