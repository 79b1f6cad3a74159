"""A small run with structure, for the explorer's tests: three families on three islands of a map.

The stand-in model makes a harmonic tone: the pitch it is told sets the frequency, the latent's last
number the brightness, the level the loudness. So a test can hear whether the right thing was asked.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from timbrespace.audio.files import Audio
from timbrespace.errors import RunError
from timbrespace.features.log_mel import LogMel
from timbrespace.features.phase import Recovery
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe import GaussianSection
from timbrespace.recipe.heads import HeadsSection

FAMILIES = ["bass", "flute", "organ"]
CENTRES = np.array([[-4.0, 0.0], [4.0, 0.0], [0.0, 6.0]])
NASTY = '<img src=x onerror="document.title=1">'
SIZE = 90
LATENT = SimpleNamespace(
    model=SimpleNamespace(bottleneck=GaussianSection(latent=3), heads=HeadsSection()),
    hears_alone=False,
)


def tone(pitch: float, brightness: float, level: float, feature: LogMel) -> np.ndarray:
    """A tone of six harmonics, peak 10 ** (level / 20)."""
    n = feature.frames * feature.hop
    t = np.arange(n) / feature.sample_rate
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    weights = np.exp(-np.arange(6) * (2.0 - np.clip(brightness, -1, 1)))
    waves = [w * np.sin(2 * np.pi * frequency * (k + 1) * t) for k, w in enumerate(weights)]
    wave = np.sum(waves, 0)
    return (10 ** (level / 20) * wave / np.abs(wave).max()).astype(np.float32)


class Synth:
    """Latents (N, 3): x, y of the map and brightness. `said` is what it was told last. A `vocoder` is
    whatever changes samples."""

    def __init__(self, feature: LogMel, pitched: bool = True, told: tuple[str, ...] = ()) -> None:
        self.pitched, self.feature = pitched, feature
        self.told = ("pitch", *told) if pitched else told
        self.continuous = frozenset({"pitch"})
        self.vocabulary = Vocabulary.of({"family": FAMILIES, "pitch": (), "velocity": ()})
        self.said: dict[str, Any] = {}
        self.recovery = Recovery()
        self.vocoder = None
        self.model = SimpleNamespace(decoder=SimpleNamespace(net=None))
        self.decoded = self.encoded = 0
        self.broken = False

    def encode(self, samples: np.ndarray, *, pitch: Any = None, labels: Any = None) -> Any:
        self.encoded += 1
        return SimpleNamespace(pitch=pitch, length=len(samples), jumps=(False, False))

    def made(self, sound: np.ndarray) -> np.ndarray:
        return sound if self.vocoder is None else self.vocoder(sound)

    def joined(self, windows: Any, pitch: Any, length: int) -> Any:
        return self.feature.joined(windows, length=length)

    def decode_long(self, encoded: Any, keep: Any) -> np.ndarray:
        """An octave above the recording."""
        sound = tone(encoded.pitch + 12, 0.5, -6.0, self.feature)[: encoded.length]
        return self.made(sound) * (np.nan if self.broken else 1)

    def decode(
        self, latents: np.ndarray, *, pitch: Any = None, labels: Any = None, rms_db: Any = None
    ) -> np.ndarray:
        self.decoded += len(latents)
        self.said = {name: list(values) for name, values in (labels or {}).items()}
        notes = np.broadcast_to(60 if pitch is None else pitch, len(latents))
        levels = np.broadcast_to(-12.0 if rms_db is None else rms_db, len(latents))
        sounds = [
            tone(note, z[2], level, self.feature)
            for z, note, level in zip(latents, notes, levels, strict=True)
        ]
        return self.made(np.stack(sounds)) * (np.nan if self.broken else 1)

    def play(
        self, latent: np.ndarray, *, seconds: float | None = None, pitch: Any = None,
        labels: Any = None, rms_db: float = -12.0,
    ) -> np.ndarray:  # fmt: skip
        self.decoded += 1
        self.said = dict(labels or {})
        sound = tone(pitch, latent[2], rms_db, self.feature)
        return self.made(sound)[
            : None if seconds is None else round(seconds * self.feature.sample_rate)
        ]

    def decode_path(
        self, latents: np.ndarray, times: np.ndarray, *, seconds: float, pitch: Any = None,
        labels: Any = None, rms_db: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """A sine of the pitches on the way."""
        self.said = dict(labels or {})
        moments = np.arange(round(seconds * self.feature.sample_rate)) / self.feature.sample_rate
        notes = np.interp(
            moments, times, np.broadcast_to(60 if pitch is None else pitch, len(times))
        )
        turns = np.cumsum(440.0 * 2 ** ((notes - 69) / 12)) / self.feature.sample_rate
        return self.made((0.25 * np.sin(2 * np.pi * turns)).astype(np.float32))

    def picture(self, latents: np.ndarray, pitch: Any = None, labels: Any = None) -> np.ndarray:
        notes = np.broadcast_to(60 if pitch is None else pitch, len(latents))
        mels, frames = self.feature.shape
        pictures = np.full((len(latents), mels, frames), -1.0, np.float32)
        for picture, note in zip(pictures, notes, strict=True):
            picture[int(note) * mels // 129] = np.linspace(1, -0.5, frames)
        return pictures


@dataclass
class Row:
    row: int
    file: str

    @property
    def name(self) -> str:
        return Path(self.file).stem


class Rows:
    """A corpus' sounds by row id; the ids below `first` are of no use to anybody."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows, self.first = rows, rows[0].row

    def __len__(self) -> int:
        return self.first + len(self.rows)

    def name(self, row: int) -> str:
        return self.rows[row - self.first].name if row >= self.first else ""


class Corpus:
    def __init__(self, rows: list[Row], pitches: list[int], feature: LogMel) -> None:
        self.rows, self.feature = Rows(rows), feature
        self.pitches = {row.row: pitch for row, pitch in zip(rows, pitches, strict=True)}
        self.path, self.gone = Path("no-such-corpus"), False

    def audio(self, row: int, sample_rate: int | None = None) -> Audio:
        if self.gone:
            raise FileNotFoundError("/somewhere/private/sound.wav")
        samples = tone(self.pitches[row], 0.5, -6.0, self.feature)
        return Audio(np.stack([samples, samples]), self.feature.sample_rate)


@dataclass
class Space:
    rows: np.ndarray
    mean: np.ndarray
    logvar: np.ndarray
    rms_db: np.ndarray
    maps: dict[str, np.ndarray]
    labels: dict[str, list]
    split: list[str]
    version: str = "one"


def training() -> dict[str, Any]:
    """What the trainer writes after its third epoch."""
    figures = {
        "valid_rmse_db": 5.4, "valid_rmse_db_at_mean": 5.0, "valid_nats": 29.0,
        "valid_active_units": 3.0,
    }  # fmt: skip
    return {"epoch": 3, "epochs": 12, "finished": False, "figures": figures}


@dataclass
class Run:
    feature: LogMel
    corpus: Any
    name: str = "stand-in"
    path: Path = Path("no-such-run")
    state: dict = field(default_factory=training)
    recipe: Any = field(default_factory=lambda: LATENT)

    @property
    def lock_path(self) -> Path:
        return self.path / "training.lock"

    def status(self) -> dict:
        return self.state


def build(
    pitched: bool = True, size: int = SIZE, told: tuple[str, ...] = ()
) -> tuple[Any, Any, Any]:
    """A run of `size` sounds, whose model is `told` other labels than the pitch; row ids start at
    100: an index is never mistaken for an id."""
    rng = np.random.default_rng(5)
    feature = LogMel(mels=40, frames=64)
    family = np.arange(size) % 3
    points = CENTRES[family] + rng.normal(0, 0.8, (size, 2))
    pitches = [int(p) for p in 48 + (np.arange(size) * 7) % 36]
    names = [FAMILIES[f] for f in family]
    rows = [Row(100 + i, f"{name}/{name}_{i:03d}.wav") for i, name in enumerate(names)]
    rows[7].file = f"flute/{NASTY}.wav"
    mean = np.column_stack([points, rng.uniform(-1, 1, size)]).astype(np.float32)
    labels: dict[str, list] = {
        "family": names,
        "pitch": list(pitches),
        "velocity": [25 + 25 * (i % 4) for i in range(size)],
        "comment": [NASTY if i == 7 else "" for i in range(size)],
    }
    space = Space(
        rows=np.arange(100, 100 + size),
        mean=mean,
        logvar=np.zeros_like(mean),
        rms_db=np.full(size, -12.0, np.float32),
        maps={
            "pca": points.astype(np.float32),
            "umap": (points[:, ::-1] * 2).astype(np.float32),
        },
        labels=labels,
        split=["train" if i % 5 else "valid" for i in range(size)],
    )
    return Run(feature, Corpus(rows, pitches, feature)), space, Synth(feature, pitched, told)


def with_directions(parts: tuple[Any, Any, Any], path: Path) -> tuple[Any, Any, Any]:
    """The same, in a folder whose space has two named directions: bright, and a weak one that says it is
    rough."""
    run, space, synth = parts
    facts = {
        "about": "more of it",
        "of": "brightness",
        "linear": 0.7,
        "local": 0.6,
        "of_sounds": [1.0],
    }
    rough = {"step": [0.0, 0.0, -0.1], "correlation": 0.1, "monotonicity": None}
    found = [
        {"name": "bright", "step": [0.0, 0.0, 0.5], "correlation": 0.81, "monotonicity": 1.0},
        {"name": "rough", **rough},
    ]
    made = {
        "version": space.version, "found": [{**facts, "moves": {}, **one} for one in found],
        "missing": {"slow": "only 3 sounds have it"}, "there": 72, "here": 18, "instruments": [],
        "source": "the recordings",
    }  # fmt: skip
    (path / "space").mkdir(parents=True)
    (path / "space" / "axes.json").write_text(json.dumps(made), encoding="utf-8")
    run.path = path
    return run, space, synth


def refuse() -> tuple[Any, Any, Any]:
    raise RunError("The run is being written.")
