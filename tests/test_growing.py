"""A store read while another process writes it: what is finished is whole, the rest is not there."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from timbrespace.data.corpus import Corpus
from timbrespace.data.growing import Growing
from timbrespace.data.prepare import prepare
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

RATE = 8000
SMALL = LogMel(sample_rate=RATE, mels=16, frames=20, n_fft=512, hop=128)
OTHER = LogMel(sample_rate=RATE, mels=24, frames=10, n_fft=512, hop=128, dtype="float32")

# A writer that stops after three parts until it is told to go on; parts come a few writes apart.
WRITER = """
import sys
from pathlib import Path
from timbrespace import atomic
from timbrespace.data import jobs
from timbrespace.data.corpus import Corpus
from timbrespace.data.prepare import prepare
from timbrespace.features.log_mel import LogMel
sounds, out, go, settings = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), eval(sys.argv[4])
import time
def wait(done, total):
    if done >= total // 4:
        go.with_suffix(".waiting").touch()
        while not go.exists():
            time.sleep(0.01)
feature = LogMel.from_settings(settings)
if (Path(out) / "corpus.json").exists():
    Corpus.open(out).features(feature, workers=0, progress=wait)
else:
    prepare(sounds, out, feature=feature, workers=0, progress=wait)
"""


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(60):
        path = tmp_path / "sounds" / f"f{i % 3}" / f"s{i:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * rng.standard_normal(2000), RATE)
    (tmp_path / "sounds/f0/broken.wav").write_bytes(b"no sound")
    return tmp_path / "sounds"


def started(sounds: Path, out: Path, go: Path, feature: LogMel) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(sounds), str(out), str(go), repr(feature.settings())],
        env=environment,
    )
    deadline = time.monotonic() + 60
    while not go.with_suffix(".waiting").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    return process


def check(growing: Growing, sounds: Path, feature: LogMel) -> None:
    """Every finished sound is the picture of its place."""
    values = growing.read(np.arange(len(growing)))
    for place, picture in zip(growing.places, values, strict=True):
        samples, _ = soundfile.read(sounds / place.file, dtype="float32")
        truth = feature.analyse(torch.from_numpy(samples)).values.numpy()
        assert np.abs(picture - truth).max() < 1e-3
        assert place.seconds == 0.25 and place.start == 0.0


def test_a_corpus_is_read_while_it_is_prepared(sounds: Path, tmp_path: Path) -> None:
    out, go = tmp_path / "c", tmp_path / "go"
    with pytest.raises(CorpusError, match="or being made"):
        Growing.open(out, SMALL)
    process = started(sounds, out, go, SMALL)
    growing = Growing.open(out, SMALL)
    before = len(growing)
    assert growing.at_work and not growing.finished
    assert 15 <= before < 60 and 0 < growing.files < growing.files_in_all == 61
    assert (growing.row == -1).all()  # until all are known
    check(growing, sounds, SMALL)
    kept = list(growing.places)
    # a part that is only half there: its pictures without its lines
    folder = out / "features" / SMALL.fingerprint
    last = json.loads((folder / "plan.json").read_text())["parts"][-1][0]
    (folder / f"{last}.npy").write_bytes(b"half")
    assert growing.refresh() == 0
    go.touch()
    seen = [before]
    while not growing.finished:
        growing.refresh()
        seen.append(len(growing))
        assert growing.places[:before] == kept
        assert process.poll() in (None, 0)
        time.sleep(0.005)
    assert process.wait(60) == 0 and seen == sorted(seen) and seen[-1] == 60
    check(growing, sounds, SMALL)
    corpus = Corpus.open(out)
    assert sorted(growing.row) == list(range(60)) and not growing.at_work
    assert [corpus.rows[int(row)].file for row in growing.row] == [p.file for p in growing.places]
    assert (growing.read([5]) == corpus.features(SMALL).read([int(growing.row[5])])).all()


def test_rows_of_a_further_feature_are_known_at_once(sounds: Path, tmp_path: Path) -> None:
    out, go = tmp_path / "c", tmp_path / "go"
    corpus = prepare(sounds, out, feature=SMALL, workers=0)
    process = started(sounds, out, go, OTHER)
    growing = Growing.open(out, OTHER)
    assert 15 <= len(growing) < 60 and (growing.row >= 0).all()
    assert [corpus.rows[int(row)].file for row in growing.row] == [p.file for p in growing.places]
    check(growing, sounds, OTHER)
    assert len(corpus.features(SMALL)) == 60  # what is there is read as ever
    go.touch()
    assert process.wait(60) == 0
    growing.refresh()
    assert growing.finished and len(growing) == 60


def test_other_files_are_another_corpus(sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"

    def stop(done: int, total: int) -> None:
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(sounds, out, feature=SMALL, workers=0, progress=stop)
    growing = Growing.open(out, SMALL)
    values = growing.read([0, 1])
    assert not growing.at_work and not growing.finished
    for path in list((sounds / "f0").iterdir())[:10]:
        path.unlink()
    prepare(sounds, out, feature=SMALL, workers=0)
    with pytest.raises(CorpusError, match="open it again"):
        growing.refresh()
    assert (growing.read([0, 1]) == values).all()  # what was found stays readable
