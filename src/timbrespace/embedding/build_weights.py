"""Make the weights of the embedding from the wheel of musicnn 0.1.0, without TensorFlow.

Run `pip download musicnn --no-deps` and `python -m timbrespace.embedding.build_weights WHEEL OUT`. It
writes musicnn-front-end.safetensors, the authors' LICENSE and provenance.json. The same wheel gives
the same bytes.

A checkpoint of TensorFlow is a table of LevelDB (names and places of the arrays, `.index`) and the arrays
one after another (`.data`): LevelDB, doc/table_format.md; TensorFlow, core/protobuf/tensor_bundle.proto.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from timbrespace.atomic import write_bytes, write_text
from timbrespace.embedding.musicnn import TEMPORAL, TIMBRAL, WEIGHTS
from timbrespace.errors import TimbrespaceError

WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
CHECKPOINT = "musicnn/MTT_musicnn/."  # trained on MagnaTagATune
LICENCE = "musicnn-0.1.0.dist-info/LICENSE.md"
EPSILON = 1e-3  # of batch normalisation, as TensorFlow has it
ALIVE = (
    0.06  # norm of a filter: 185 have 0.089 or more, 376 were decayed in training to 0.042 or less
)
FLOAT = 1  # TensorFlow's number of float32


def build(wheel: Path, out: Path) -> Path:
    """The three files in `out`; TimbrespaceError when the wheel is another than that of 0.1.0."""
    from safetensors.numpy import save

    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise TimbrespaceError(
            f"{wheel.name} has the SHA-256 {digest[:12]}…, not that of musicnn-0.1.0-py3-none-any.whl; "
            "get it by `pip download musicnn==0.1.0 --no-deps`"
        )
    with zipfile.ZipFile(wheel) as opened:
        index = opened.read(CHECKPOINT + "index")
        data = opened.read(CHECKPOINT + "data-00000-of-00001")
        licence = opened.read(LICENCE)
    weights = save(folded(checkpoint(index, data)))
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / WEIGHTS.name, weights)
    write_bytes(out / "LICENSE", licence)
    facts = {
        "weights": WEIGHTS.name,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "source": "musicnn 0.1.0 (PyPI), model MTT_musicnn: Jordi Pons, Music Technology Group, "
        "Universitat Pompeu Fabra, 2019",
        "source_sha256": digest,
        "licence": "ISC",
        "trained_on": "tags of MagnaTagATune (Law et al. 2009), by the authors",
        "command": "python -m timbrespace.embedding.build_weights WHEEL OUT",
        "changes": "the front end only, without filters that answer to nothing; kernels in float16, "
        "laid out for matrix products; batch normalisation folded to a factor and an addend",
    }
    write_text(out / "provenance.json", json.dumps(facts, indent=1) + "\n")
    return out / WEIGHTS.name


def folded(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors that `musicnn` loads, from those of the checkpoint."""

    def affine(number: int) -> tuple[np.ndarray, np.ndarray]:
        """Factor and addend of a batch normalisation."""
        name = "batch_normalization" + (f"_{number}" if number else "")
        factor = arrays[f"{name}/gamma"] / np.sqrt(arrays[f"{name}/moving_variance"] + EPSILON)
        return factor, arrays[f"{name}/beta"] - factor * arrays[f"{name}/moving_mean"]

    tensors = {}
    tensors["input.factor"], tensors["input.addend"] = affine(0)
    for number, name in enumerate((*TIMBRAL, *TEMPORAL)):
        layer = "conv2d" + (f"_{number}" if number else "")
        kernel = arrays[f"{layer}/kernel"][:, :, 0]  # (frames, mels, filters)
        factor, addend = affine(number + 1)
        alive = np.sqrt(np.square(kernel).sum((0, 1))) > ALIVE
        kernel, factor, addend = kernel[..., alive], factor[alive], addend[alive]
        # the greatest of falling numbers is that of the least: the sign goes before the greatest
        kernel = kernel * np.sign(factor)
        if name in TIMBRAL:
            kernel = kernel.transpose(1, 0, 2).reshape(-1, kernel.shape[2])
        else:
            kernel = kernel.transpose(2, 1, 0)[..., None]
        tensors |= {
            f"{name}.kernel": np.ascontiguousarray(kernel, np.float16),
            f"{name}.bias": arrays[f"{layer}/bias"][alive],
            f"{name}.factor": factor,
            f"{name}.addend": addend,
        }
    return tensors


def checkpoint(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """The float32 arrays of a TensorFlow checkpoint in one shard, by name."""
    _, after = _place(index[-48:], 0)  # the footer: first the place of a block about blocks
    blocks, _ = _place(index[-48:], after)
    arrays = {}
    for _, value in _entries(index, *blocks):
        for name, entry in _entries(index, *_place(value, 0)[0]):
            facts = _fields(entry)
            if name and facts[1] == [FLOAT]:
                sizes = [_fields(one)[1][0] for one in _fields(facts.get(2, [b""])[0]).get(2, [])]
                (start,), (size,) = facts.get(4, [0]), facts[5]
                flat = np.frombuffer(data[start : start + size], "<f4")
                arrays[name.decode()] = flat.reshape(sizes)
    return arrays


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in seven bits a byte, the least first, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def _place(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Start and size of a block, and where the two numbers end."""
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return (start, size), at


def _entries(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of a block; a name begins with so many letters of the one before."""
    block, at, name = table[start : start + size], 0, b""
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        name = name[:shared] + block[at : at + own]
        yield name, block[at + own : at + own + length]
        at += own + length


def _fields(message: bytes) -> dict[int, list]:
    """A protocol buffer's values by field number: whole numbers, and bytes."""
    fields: dict[int, list] = defaultdict(list)
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
        else:  # 2: bytes of a length; 5: four bytes
            length, at = _varint(message, at) if kind == 2 else (4, at)
            value, at = message[at : at + length], at + length
        fields[tag >> 3].append(value)
    return fields


def main() -> int:
    """The command line; errors are one sentence and exit code 2."""
    parser = argparse.ArgumentParser(description="Make the weights of the embedding.")
    parser.add_argument("wheel", type=Path, help="musicnn-0.1.0-py3-none-any.whl")
    parser.add_argument("out", type=Path, help="the folder to write into")
    arguments = parser.parse_args()
    try:
        path = build(arguments.wheel, arguments.out)
    except (TimbrespaceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stderr.write(f"{path}: {path.stat().st_size / 1e3:.0f} kB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
