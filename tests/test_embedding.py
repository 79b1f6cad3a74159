"""The fixed embedding: equal to its definition, blind to level and length, and never moving."""

import hashlib
import json
import struct

import numpy as np
import pytest
import torch

from timbrespace.embedding import DIMENSIONS, build_weights, embed, musicnn
from timbrespace.errors import AudioError
from timbrespace.features.mel import mel_filterbank

RATE = musicnn.SAMPLE_RATE


def note(seconds: float = 1.5, rate: int = RATE, partials: int = 6) -> np.ndarray:
    """A decaying note of 220 Hz, at a peak of about a half."""
    time = np.arange(round(seconds * rate)) / rate
    tones = [np.sin(2 * np.pi * 220 * k * time) / k for k in range(1, partials + 1)]
    return (0.3 * np.sum(tones, 0) * np.exp(-2 * time)).astype(np.float32)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return 1.0 - float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def by_definition(sound: np.ndarray) -> np.ndarray:
    """The authors' layers one after another: padding, convolution, ReLU, normalisation, maximum."""
    padded = np.pad(sound / np.abs(sound).max(), 256)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::256]
    power = np.abs(np.fft.rfft(frames * np.hanning(513)[:-1])) ** 2
    mel = power @ mel_filterbank(RATE, 512, 96).numpy().T
    weights = musicnn._weights()
    picture = torch.tensor(np.log10(1.0 + 1e4 * mel), dtype=torch.float32)
    picture = picture * weights["input.factor"] + weights["input.addend"]
    found = []
    for name, frames in zip(musicnn.TIMBRAL + musicnn.TEMPORAL, (7, 7, 128, 64, 32), strict=True):
        kernel, factor = weights[f"{name}.kernel"], weights[f"{name}.factor"]
        if name in musicnn.TIMBRAL:
            kernel = kernel.reshape(-1, 7, kernel.shape[1]).permute(2, 1, 0)[:, None]
        kernel = kernel * factor.sign()[:, None, None, None]
        padded = torch.nn.functional.pad(picture, (0, 0, (frames - 1) // 2, frames // 2))
        answer = torch.nn.functional.conv2d(padded[None, None], kernel, weights[f"{name}.bias"])[0]
        answer = answer.relu().permute(1, 2, 0) * factor + weights[f"{name}.addend"]
        found.append(answer.amax(1))
    features = torch.cat(found, 1)
    return torch.cat([features.mean(0), features.std(0, correction=0)]).numpy()


def test_it_is_the_front_end_of_the_paper():
    sound = note() + 1e-3 * np.random.default_rng(0).standard_normal(len(note()), np.float32)
    np.testing.assert_allclose(embed([sound], RATE)[0], by_definition(sound), atol=2e-3, rtol=1e-4)


def test_the_shipped_weights_give_the_same_numbers_for_ever():
    facts = json.loads((musicnn.WEIGHTS.parent / "provenance.json").read_text())
    assert hashlib.sha256(musicnn.WEIGHTS.read_bytes()).hexdigest() == facts["weights_sha256"]
    point = embed([note()], RATE)[0]
    frozen = [4.490, 3.395, 0.029, 0.045, 0.952, 0.467]
    np.testing.assert_allclose(point[[0, 60, 130, 180, 190, 300]], frozen, atol=1e-3)


def test_level_rate_and_blocks_do_not_move_a_sound(monkeypatch):
    (here,) = embed([note(4.0)], RATE)
    (half,) = embed([0.5 * note(4.0)], RATE)
    np.testing.assert_allclose(half, here, atol=1e-3)
    assert cosine(embed([note(4.0, 44100)], 44100)[0], here) < 0.001
    monkeypatch.setattr(musicnn, "BLOCK", 100000)
    np.testing.assert_allclose(embed([note(4.0)], RATE)[0], here, atol=1e-3)


def test_what_sounds_alike_lies_near():
    bright, dull, noise = embed(
        [note(), note(partials=2), np.random.default_rng(0).standard_normal(24000)], RATE
    )
    assert cosine(bright, dull) < 0.5 * cosine(bright, noise)


def test_silence_and_next_to_nothing_are_points_and_nonsense_is_refused():
    sounds = [np.zeros(0), np.zeros(RATE), np.ones(1), np.zeros(50)]
    points = embed(sounds, 44100)
    assert points.shape == (4, DIMENSIONS) and np.isfinite(points).all()
    np.testing.assert_array_equal(points[0], points[3])
    assert embed([], RATE).shape == (0, DIMENSIONS)
    with pytest.raises(AudioError, match="mono"):
        embed([np.zeros((2, 100))], RATE)
    with pytest.raises(AudioError, match="sound 1 .* not finite"):
        embed([np.zeros(10), np.array([0.0, np.nan])], RATE)


def test_a_checkpoint_is_read_without_its_library():
    """A table of two names that share letters, as LevelDB lays it out."""
    data = struct.pack("<6f", 1, 2, 3, 4, 5, 6)
    shape = bytes([0x12, 8, 0x12, 2, 8, 2, 0x12, 2, 8, 2])  # 2 by 2
    first = bytes([8, 1, *shape, 0x28, 16, 0x35, 0, 0, 0, 0])
    second = bytes([8, 1, 0x12, 4, 0x12, 2, 8, 2, 0x20, 16, 0x28, 8])
    block = bytes([0, 3, len(first)]) + b"a/b" + first + bytes([2, 1, len(second)]) + b"c" + second
    block += struct.pack("<II", 0, 1)
    blocks = bytes([0, 1, 2]) + b"z" + bytes([0, len(block)]) + struct.pack("<II", 0, 1)
    footer = bytes([0, 0, len(block) + 5, len(blocks)]).ljust(48, b"\0")
    table = block + bytes(5) + blocks + bytes(5) + footer
    arrays = build_weights.checkpoint(table, data)
    np.testing.assert_array_equal(arrays["a/b"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(arrays["a/c"], [5, 6])


def test_another_wheel_is_refused(tmp_path, capsys, monkeypatch):
    (tmp_path / "other.whl").write_bytes(b"no wheel")
    arguments = ["build_weights", str(tmp_path / "other.whl"), str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", arguments)
    assert build_weights.main() == 2
    assert "pip download musicnn==0.1.0" in capsys.readouterr().err
