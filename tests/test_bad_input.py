"""Every kind of bad file at once, on the real command line: named, counted, survived, untouched."""

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from timbrespace.audio import files
from timbrespace.audio.files import Unusable
from timbrespace.features.log_mel import LogMel

RATE = 16000
SMALL = LogMel(mels=16, frames=20, n_fft=512)
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / RATE)).astype(np.float32)
PCM = (TONE * 32767).astype("<i2").tobytes()
MOST_MEMORY = 600 << 10  # KiB


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data


def wav(*chunks: bytes, form: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return chunk(form, body)


def fmt(tag: int = 1, rate: int = RATE, bits: int = 16, channels: int = 1) -> bytes:
    align = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * align, align % 65536, bits)
    )


def put(path: Path, samples: np.ndarray = TONE, rate: int = RATE, **kind: Any) -> bytes:
    soundfile.write(path, samples, rate, **kind)
    return path.read_bytes()


def good_files(root: Path) -> None:
    """Readable files, one of each kind, and names that are hard to write down."""
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff", "caf", "au"):
        put(root / f"good.{suffix}")
    put(root / "384khz.wav", np.tile(TONE, 24), 384_000)
    put(root / "12channels.wav", np.stack([TONE] * 12, axis=1))
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM"):
        put(root / f"{subtype}.wav", subtype=subtype)
    put(root / "extensible.wav", format="WAVEX", subtype="DOUBLE")
    put(root / "long.w64", format="W64")
    put(root / "long.rf64", format="RF64")
    (root / "inside is.wav").write_bytes((root / "good.mp3").read_bytes())  # an MP3
    tag = b"ID3\x03\0\0" + bytes([(20 << 20 >> s) & 0x7F for s in (21, 14, 7, 0)])
    (root / "tagged.mp3").write_bytes(tag + bytes(20 << 20) + (root / "good.mp3").read_bytes())
    for name in ("naïve 音.wav", "two\nlines.wav", "\"quoted'.wav", "-rf.wav", "=1+1.wav"):
        put(root / name)
    with open(os.fsencode(root) + b"/not\xffutf8.wav", "wb") as file:
        file.write((root / "good.wav").read_bytes())
    put(root / "GOOD.WAV", format="WAV")
    os.link(root / "good.wav", root / "hard link.wav")
    (root / "folder.wav").mkdir()
    put(root / "folder.wav" / "inside.wav")
    for number in range(300):
        (root / "empty" / str(number)).mkdir(parents=True)


def bad_files(root: Path) -> dict[str, str]:
    """Files that cannot be used, with the code that each should get."""
    codes: dict[str, str] = {}

    def bad(name: str, code: str, data: bytes | None = None) -> Path:
        codes[name] = code
        if data is not None:
            (root / name).write_bytes(data)
        return root / name

    bad("empty.wav", "empty", b"")
    bad("text.wav", "not_audio", b"this is a text, not a sound")
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff"):
        bad(f"head.{suffix}", "malformed", (root / f"good.{suffix}").read_bytes()[:20])
    codes["head.mp3"] = "any"
    flac = (root / "good.flac").read_bytes()
    bad("cut.flac", "any", flac[: len(flac) // 2])
    put(bad("nan.wav", "nonfinite"), np.where(TONE > 0.2, np.nan, TONE), subtype="FLOAT")
    put(bad("inf.wav", "nonfinite"), np.where(TONE > 0.2, np.inf, TONE), subtype="DOUBLE")
    bad(
        "overflow.wav",
        "nonfinite",
        wav(fmt(3, bits=64), chunk(b"data", struct.pack("<d", 1e300) * 99)),
    )
    put(bad("loud.wav", "out_of_range"), TONE * 1e9, subtype="FLOAT")
    bad("0hz.wav", "any", wav(fmt(rate=0), chunk(b"data", PCM)))
    bad("1hz.wav", "implausible_rate", wav(fmt(rate=1), chunk(b"data", PCM)))
    bad("1sample.wav", "too_short", wav(fmt(), chunk(b"data", b"\0\1")))
    bad("channels.wav", "malformed", wav(fmt(channels=65535), chunk(b"data", PCM)))
    for bits in (32, 64):  # 4 GB in 100 bytes
        data = chunk(b"data", b"\0" * 56, 0xFFFFFFF0)
        bad(f"4gb{bits}.wav", "too_short", wav(fmt(3, bits=bits), data))
    sizes = struct.pack("<QQQI", 2**63, 2**63, 2**62, 2**28)
    lie = wav(chunk(b"ds64", sizes), fmt(), chunk(b"data", PCM, 2**32 - 1), form=b"RF64")
    bad("lie.rf64", "malformed", lie)
    bad("fmt.wav", "malformed", wav(b"fmt \xf0\xff\xff\xff" + bytes(16), chunk(b"data", PCM)))
    bad(
        "lists.wav", "malformed", wav(fmt(), chunk(b"LIST", b"INFO") * 100_000, chunk(b"data", PCM))
    )
    bad("tags.mp3", "malformed", b"ID3\x03\0\0\0\0\0\0" * 17 + (root / "good.mp3").read_bytes())
    bad("tag.mp3", "any", b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + (root / "good.mp3").read_bytes())
    bad("dangling.wav", "not_found").symlink_to("nowhere.wav")
    bad("circle.wav", "not_regular").symlink_to("circle.wav")
    bad("zero.wav", "not_regular").symlink_to("/dev/zero")
    bad("random.wav", "not_regular").symlink_to("/dev/random")
    os.mkfifo(bad("pipe.wav", "not_regular"))
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)  # the path of a socket is short
        try:
            server.bind("socket.wav")
        finally:
            os.chdir(here)
    bad("socket.wav", "not_regular")
    if os.geteuid() != 0:
        bad("closed.wav", "permission", wav(fmt(), chunk(b"data", PCM))).chmod(0)
    (root / "around.wav").symlink_to(root, target_is_directory=True)  # told, not followed
    return codes


def touched(root: Path) -> str:
    """A digest of all names, kinds, times and bytes below root."""
    digest = hashlib.sha256()
    for folder, inner, names in os.walk(os.fsencode(root)):
        for name in sorted(inner + names):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            regular = os.path.isfile(path) and not os.path.islink(path)
            data = Path(os.fsdecode(path)).read_bytes() if regular else b""
            digest.update(repr((path, status.st_mode, status.st_size, status.st_mtime_ns)).encode())
            digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


# a process's child is said to need what the process has had before: so a small one starts the command
WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("memory", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def run(*words: object) -> tuple[int, str]:
    """Exit code and all that was said, at the end "memory" in KiB; fails on a traceback and on a hang."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, sys.executable, "-m", "timbrespace", "prepare",
         *map(str, words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True,
        text=True, timeout=90,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return done.returncode, said


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory):
    """Everything in one folder, prepared with --strict by the real command."""
    base = tmp_path_factory.mktemp("bad")
    root = base / "sounds"
    root.mkdir()
    good_files(root)
    codes = bad_files(root)
    before, beside = touched(root), sorted(os.listdir(base))
    code, said = run(root, "--out", base / "c", "--strict")
    assert touched(root) == before
    assert sorted(os.listdir(base)) == sorted([*beside, "c"])
    return base, codes, code, said


def test_each_broken_file_is_named_once_with_its_reason_and_the_others_are_done(walked) -> None:
    base, codes, _, _ = walked
    health = json.loads((base / "c/health.json").read_text())
    skipped = {line["path"]: line for line in health["skipped_files"]}
    assert set(skipped) == set(codes)
    for name, code in codes.items():
        assert code in ("any", skipped[name]["code"]), (name, skipped[name])
        message = skipped[name]["message"]
        assert message and "\n" not in message and str(base) not in message
    lines = [json.loads(line) for line in (base / "c/report.jsonl").read_text().splitlines()]
    used = [line for line in lines if line["status"] != "skipped"]
    assert health["skipped"] == len(codes) and health["used"] == len(used) == len(lines) - len(
        codes
    )
    assert len(used) == 30
    seconds = {line["path"]: line["seconds"] for line in used}
    assert all(0.45 < length < 0.6 for length in seconds.values()), seconds


def test_strict_is_2_and_memory_stays_small(walked) -> None:
    _, codes, code, said = walked
    assert code == 2 and f"{len(codes)} of " in said
    assert int(said.split()[-1]) < MOST_MEMORY


@pytest.mark.parametrize("way", ["grows", "shrinks", "rewritten"])
def test_a_file_that_changes_while_it_is_read_is_not_used(tmp_path: Path, way: str) -> None:
    path = tmp_path / "x.wav"
    put(path, np.tile(TONE, 40), subtype="PCM_24")
    with pytest.raises(Unusable) as caught, files.Sound(path, block_seconds=1.0) as sound:
        for number, _ in enumerate(sound):
            if number == 1:
                size = path.stat().st_size
                with open(path, "r+b") as file:
                    file.truncate(size + 999 if way == "grows" else size // 2)
                    if way == "rewritten":
                        file.truncate(size)
    assert caught.value.code == "changed"


def test_a_recording_that_goes_on_does_not_hold_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, reads = tmp_path / "x.wav", os.read, 0
    path.write_bytes(wav(fmt(), chunk(b"data", PCM)))

    def read(descriptor: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        assert reads < 50, "it reads for as long as somebody writes"
        with open(path, "ab") as file:
            file.write(bytes(size))
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(Unusable) as caught:
        files.read(path)
    assert caught.value.code == "changed"


def test_thousands_of_lists_are_refused_without_a_walk(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(fmt(), chunk(b"LIST", b"INFO") * 300_000, chunk(b"data", PCM)))
    began = time.process_time()
    with pytest.raises(Unusable) as caught:
        files.read(path)
    assert caught.value.code == "malformed" and time.process_time() - began < 1


@pytest.mark.parametrize("name", ["labels", "split_lists", "examples"])
@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_lists_that_never_end_are_one_sentence(tmp_path: Path, name: str, kind: str) -> None:
    """In a process of its own with little memory, so that a hang fails and does not hang us."""
    root = tmp_path / "nsynth-valid"
    (root / "audio").mkdir(parents=True)
    put(root / "audio/bass_electronic_000-060-100.wav")
    path = root / "examples.json" if name == "examples" else tmp_path / "list.csv"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    script = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from timbrespace.data import splits\nfrom timbrespace.data.sources import nsynth, table\n"
        "from timbrespace.errors import CorpusError\n"
        "signal.alarm(10); resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "name, path, root = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])\n"
        "try:\n"
        "    if name == 'labels': table.label(path, ['a.wav'])\n"
        "    if name == 'split_lists': splits.listed_in(path, [])\n"
        "    if name == 'examples': nsynth._examples(path, [])\n"
        "except CorpusError as error:\n    sys.exit(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, name, path, root], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stderr.strip().endswith("is a pipe or a device; save it as a regular file")
