"""Sound files: what goes in comes out, and nothing that comes from outside can hurt."""

import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbrespace.audio import files, level
from timbrespace.audio.files import Unusable
from timbrespace.errors import AudioError

RATE = 16000


def tone(hz: float, amplitude: float, n: int = 8000, rate: int = RATE) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(n) / rate)).astype(np.float32)


def chunk(name: bytes, data: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if size is None else size) + data


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16))
SOUND = chunk(b"data", tone(440, 0.5).__mul__(32767).astype("<i2").tobytes())


def code_of(path: Path) -> str:
    with pytest.raises(Unusable) as caught:
        files.read(path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message
    return caught.value.code


def test_a_written_sound_is_read_back_within_half_a_step_of_16_bit(tmp_path: Path) -> None:
    x = tone(440, 0.5)
    files.write(tmp_path / "a.wav", x, RATE)
    back = files.read(tmp_path / "a.wav")
    assert back.sample_rate == RATE and back.seconds == 0.5
    assert np.abs(back.mono() - x).max() <= 1.01 / 32768


@pytest.mark.parametrize(
    ("format", "suffix", "step"),
    [
        ("wav16", ".wav", 2.0**-15),
        ("wav24", ".wav", 2.0**-23),
        ("flac", ".flac", 2.0**-23),
        ("float", ".wav", 0.0),
    ],
)
def test_each_format_keeps_both_channels_to_its_own_step(tmp_path, format, suffix, step) -> None:
    x = np.stack([tone(440, 0.5), tone(550, 1e-6)])
    files.write(tmp_path / f"a{files.suffix_of(format)}", x, RATE, format=format)
    back = files.read(tmp_path / f"a{suffix}")
    assert back.samples.shape == x.shape and np.abs(back.samples - x).max() <= 1.01 * step
    with pytest.raises(AudioError, match="wav24, float, flac"):
        files.write(tmp_path / "a.mp3", x, RATE, format="mp3")


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_short_way_for_plain_wav_gives_the_decoders_values(
    tmp_path: Path, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).integers(-32768, 32767, (999, channels), dtype=np.int16)
    soundfile.write(tmp_path / "x.wav", x, RATE)
    short = files.read(tmp_path / "x.wav")
    monkeypatch.setattr(files, "_plain_wav", lambda data, limit: None)
    long = files.read(tmp_path / "x.wav")
    assert (short.samples == long.samples).all() and short.sample_rate == long.sample_rate
    assert short.samples.dtype == np.float32 and short.samples.flags.c_contiguous


def test_channels_are_averaged_to_mono(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "s.wav", np.stack([tone(440, 0.5), -tone(440, 0.1)], 1), RATE)
    assert np.abs(files.read(tmp_path / "s.wav").mono() - tone(440, 0.2)).max() < 1e-4


def test_resampling_keeps_a_tone_and_folds_nothing_back(tmp_path: Path) -> None:
    low, high = tone(440, 0.5, 44100, 44100), tone(11000, 0.5, 44100, 44100)
    soundfile.write(tmp_path / "low.wav", low, 44100, subtype="FLOAT")
    soundfile.write(tmp_path / "high.wav", high, 44100, subtype="FLOAT")
    kept = files.read(tmp_path / "low.wav", sample_rate=RATE).mono()
    gone = files.read(tmp_path / "high.wav", sample_rate=RATE).mono()
    assert len(kept) == RATE
    assert np.abs(kept - tone(440, 0.5, RATE))[500:-500].max() < 1e-3
    assert level.rms_db(gone[500:-500]) < -80  # above the new Nyquist: must not alias


def test_a_loud_clip_is_lowered_as_a_whole_and_a_quiet_one_left_alone(tmp_path: Path) -> None:
    files.write(tmp_path / "loud.wav", tone(440, 3.0), RATE)
    loud = files.read(tmp_path / "loud.wav").mono()
    assert level.peak_db(loud) <= -0.09
    scale = np.dot(loud, tone(440, 1.0)) / np.dot(tone(440, 1.0), tone(440, 1.0))
    assert np.abs(loud - scale * tone(440, 1.0)).max() < 1e-4  # lowered, not clipped
    files.write(tmp_path / "quiet.wav", tone(440, 0.01), RATE)
    assert level.peak_db(files.read(tmp_path / "quiet.wav").mono()) == pytest.approx(-40, abs=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sound_that_is_not_finite_is_not_written(tmp_path: Path, bad: float) -> None:
    x = tone(440, 0.5)
    x[100] = bad
    with pytest.raises(AudioError, match="NaN or infinite"):
        files.write(tmp_path / "x.wav", x, RATE)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(tmp_path / "x.wav", tone(440, 0.5), RATE)
    before = (tmp_path / "x.wav").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AudioError, match="No space left"):
        files.write(tmp_path / "x.wav", tone(220, 0.5), RATE)
    assert (tmp_path / "x.wav").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.wav"]


LOOPS = {
    "info": wav(FMT, chunk(b"LIST", b"INFO" + b"ABCD" + struct.pack("<I", 0xFFFFFFF8)), SOUND),
    "adtl": wav(FMT, chunk(b"LIST", b"adtl" + b"ABCD" + struct.pack("<I", 0xFFFFFFF8)), SOUND),
    "second": wav(
        FMT, SOUND,
        chunk(b"LIST", b"INFO" + chunk(b"INAM", b"x\0") + b"ABCD" + struct.pack("<I", 0xFFFFFFF0)),
    ),
    "far into a long file": wav(FMT, chunk(b"data", bytes(2**20 - 62)))
    + chunk(b"LIST", b"INFO" + b"ABCD" + struct.pack("<I", 0xFFFFFFF8)),
    "behind ID3": b"ID3\x03\0\0\0\0\0\x04" + b"\0" * 4
    + wav(FMT, chunk(b"LIST", b"INFO" + b"ABCD" + struct.pack("<I", 0xFFFFFFF8)), SOUND),
}  # fmt: skip
SVX = b"FORM" + struct.pack(">I", 72) + b"8SVXANNO" + struct.pack(">I", 0xFFFFFFF8) + b"\0" * 60


@pytest.mark.parametrize("name", [*LOOPS, "svx"])
def test_files_that_hang_the_decoder_are_refused_at_once(tmp_path: Path, name: str) -> None:
    """libsndfile issue 1118. In a process of its own, so that a hang fails and does not hang us."""
    path = tmp_path / "loop.wav"
    path.write_bytes(SVX if name == "svx" else LOOPS[name])
    script = (
        "import sys\nfrom timbrespace.audio.files import Unusable, read\n"
        "try:\n    read(sys.argv[1])\nexcept Unusable as e:\n    sys.exit('refused: ' + e.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, timeout=20, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stderr.strip() in ("refused: malformed", "refused: unsupported")


def test_harmless_lists_are_read(tmp_path: Path) -> None:
    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"name\0\0") + chunk(b"IART", b"me\0\0"))
    for name, data in (("a", wav(FMT, info, SOUND)), ("b", wav(FMT, SOUND, info))):
        (tmp_path / f"{name}.wav").write_bytes(data)
        assert files.read(tmp_path / f"{name}.wav").seconds == 0.5


def test_every_kind_of_unusable_file_has_its_code(tmp_path: Path) -> None:
    def put(data: bytes) -> Path:
        (tmp_path / "x.wav").write_bytes(data)
        return tmp_path / "x.wav"

    def rate(hz: int) -> bytes:
        return wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, hz, hz * 2, 2, 16)), SOUND)

    assert code_of(put(b"")) == "empty"
    assert code_of(put(b"this is no sound at all, but a text")) == "not_audio"
    assert code_of(put(b"version https://git-lfs.github.com/spec/v1\n")) == "not_audio"
    assert code_of(put(wav(FMT, chunk(b"data", b"\0\0" * 5)))) == "too_short"
    assert code_of(put(wav(SOUND))) == "malformed"
    assert code_of(put(rate(1))) == "implausible_rate"
    assert code_of(put(rate(2_000_000))) == "implausible_rate"
    assert code_of(tmp_path / "absent.wav") == "not_found"
    (tmp_path / "folder.wav").mkdir()
    assert code_of(tmp_path / "folder.wav") == "not_regular"
    os.mkfifo(tmp_path / "pipe.wav")
    assert code_of(tmp_path / "pipe.wav") == "not_regular"
    soundfile.write(tmp_path / "nan.wav", np.full(1000, np.nan), RATE, subtype="FLOAT")
    assert code_of(tmp_path / "nan.wav") == "nonfinite"
    soundfile.write(tmp_path / "huge.wav", np.full(1000, 1e29), RATE, subtype="FLOAT")
    assert code_of(tmp_path / "huge.wav") == "out_of_range"
    with pytest.raises(Unusable) as caught:
        files.write(tmp_path / "long.wav", tone(440, 0.5, 3 * RATE), RATE)
        files.read(tmp_path / "long.wav", max_seconds=2.0)
    assert caught.value.code == "too_long"


def facts_of(path: Path) -> files.Facts:
    with files.Sound(path) as sound:
        for _ in sound:
            pass
    return sound.facts


def test_what_a_damaged_flac_still_has_is_not_passed_off_as_the_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, 40000), RATE)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    try:
        assert facts_of(tmp_path / "cut.flac").truncated
    except Unusable as error:
        assert error.code == "malformed"


def test_half_a_wav_is_marked_as_cut_and_a_stream_is_not(tmp_path: Path) -> None:
    whole = wav(FMT, SOUND)
    (tmp_path / "half.wav").write_bytes(whole[: len(whole) // 2])
    half = facts_of(tmp_path / "half.wav")
    assert half.truncated and half.samples < 8000
    (tmp_path / "pipe.wav").write_bytes(wav(FMT, chunk(b"data", SOUND[8:], 0xFFFFFFFF)))
    streamed = facts_of(tmp_path / "pipe.wav")
    assert not streamed.truncated and streamed.samples == 8000


def test_names_of_any_bytes_are_read_and_shown_escaped(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m.wav"
    with open(name, "wb") as file:
        file.write(wav(FMT, SOUND))
    path = os.fsdecode(name)
    assert files.read(path).seconds == 0.5
    assert "\x1b" not in files.printable(path) and "\\x1b" in files.printable(path)


def test_reading_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(wav(SOUND))
    files.write(tmp_path / "good.wav", tone(440, 0.5), RATE)
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        files.read(tmp_path / "good.wav")
        with pytest.raises(AudioError):
            files.read(tmp_path / "bad.wav")
    assert len(os.listdir("/dev/fd")) == before


def test_wav_bytes_are_a_wav_file_of_the_asked_rate() -> None:
    import io

    with wave.open(io.BytesIO(files.to_wav_bytes(tone(440, 0.5), RATE))) as file:
        assert (file.getframerate(), file.getnframes(), file.getsampwidth()) == (RATE, 8000, 2)


def test_levels_of_known_signals() -> None:
    square = np.where(np.arange(1000) % 2, 1.0, -1.0)
    assert level.peak_db(square) == level.rms_db(square) == 0.0
    assert level.rms_db(tone(1000, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level.peak_db(np.zeros(10)) == level.rms_db(np.zeros(0)) == -120.0


def test_fades_start_and_end_at_nothing_and_leave_the_middle(tmp_path: Path) -> None:
    x = np.ones(8000, np.float32)
    faded = level.fade_edges(x, RATE, ms=5.0)
    assert faded[0] == 0 and faded[-1] == 0 and (faded[80:-80] == 1).all()
    assert (np.diff(faded[:80]) > 0).all() and (x == 1).all()
    assert level.fade_edges(np.ones(3, np.float32), RATE).shape == (3,)


def test_dc_is_removed_per_channel() -> None:
    x = np.stack([tone(1000, 0.5) + 0.1, tone(1000, 0.5) - 0.2])
    assert np.abs(level.remove_dc(x) - np.stack([tone(1000, 0.5)] * 2)).max() < 1e-4
