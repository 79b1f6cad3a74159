"""Shared by all tests: a small rendered data set, its corpus, and a run trained on it for a moment."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

# the tests' networks are tiny: more threads would only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
from browsing import FLAGS, PATIENCE  # noqa: E402
from playwright.sync_api import Browser, expect, sync_playwright  # noqa: E402

from timbrespace import verbs  # noqa: E402
from timbrespace.data import jobs  # noqa: E402

expect.set_options(timeout=1000 * PATIENCE)
jobs.LEAST = 0  # a worker takes a second to start; tests of workers ask for them

# big enough to have a few sounds of several families in each split, small enough to train in seconds
TINY = (
    "feature.mels=32", "feature.frames=64", "train.batch=16", "train.epochs=4",
    "model.encoder={kind: frames, channels: [32, 32], hidden: 64}",
    "model.decoder={kind: frames, channels: [32, 32], hidden: 64}",
    "model.bottleneck.latent=8", "objective.bits_per_sound=30",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> str | None:
    """The browser of the tests: that of CHROMIUM, else of PATH; None is the one that playwright installs."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, filter(None, names))), None)


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[Browser]:
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=chromium, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def opened(chromium) -> Iterator[SimpleNamespace]:
    """An empty `tab` of a browser, the addresses that it has `asked` for, and what went `wrong` in it."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1200, "height": 800})
        asked, wrong = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        yield SimpleNamespace(tab=tab, asked=asked, wrong=wrong)
        browser.close()


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
