"""Shared by all tests: a small rendered data set, its corpus, and a run trained on it for a moment."""

import os
from pathlib import Path

# the tests' networks are tiny: more threads would only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
from playwright.sync_api import expect  # noqa: E402

from timbrespace import verbs  # noqa: E402
from timbrespace.data import jobs  # noqa: E402

expect.set_options(timeout=20_000)  # a page that shares two cores with other tests answers late
jobs.LEAST = 0  # a worker takes a second to start; tests of workers ask for them

# big enough to have a few sounds of several families in each split, small enough to train in seconds
TINY = (
    "feature.mels=32", "feature.frames=64", "train.batch=16", "train.epochs=4",
    "model.encoder={kind: frames, channels: [32, 32], hidden: 64}",
    "model.decoder={kind: frames, channels: [32, 32], hidden: 64}",
    "model.bottleneck.latent=8", "objective.bits_per_sound=30",
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny_notes(tmp_path_factory) -> Path:
    """About a hundred notes of the built-in instruments in the NSynth layout."""
    out = tmp_path_factory.mktemp("notes") / "notes"
    verbs.instruments(out, notes=110, workers=1)
    return out


@pytest.fixture(scope="session")
def tiny_corpus(tiny_notes, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "corpus"
    verbs.prepare(tiny_notes, out, workers=0)
    return out


@pytest.fixture(scope="session")
def tiny_run(tiny_corpus, tmp_path_factory) -> Path:
    """A finished run with space and evaluation; read it, do not change it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    verbs.train("instruments", tiny_corpus, out, settings=TINY)
    verbs.space(out, umap=False)
    verbs.evaluate(out)
    return out
