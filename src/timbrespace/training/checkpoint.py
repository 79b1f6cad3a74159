"""Checkpoints: a folder of plain tensors and a JSON with a checksum; the old one stays until the new is whole.

checkpoints/last is replaced by renaming: a killed process leaves last or previous intact.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from timbrespace.atomic import sync_folder, write_text
from timbrespace.errors import RunError


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(folder: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write `folder` as a whole; the folder that was there becomes `previous` beside it."""
    fresh = folder.with_name(f"{folder.name}.tmp.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        save_file(
            {k: v.detach().contiguous() for k, v in tensors.items()}, fresh / "state.safetensors"
        )
        with open(fresh / "state.safetensors", "rb+") as file:
            os.fsync(file.fileno())
        facts = {**facts, "sha256": _digest(fresh / "state.safetensors")}
        write_text(fresh / "state.json", json.dumps(facts, indent=1))
        previous = folder.with_name("previous")
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        fresh.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and facts of one checkpoint folder, or None when it is missing or damaged."""
    try:
        facts = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if facts.get("sha256") != _digest(folder / "state.safetensors"):
            return None
        return load_file(folder / "state.safetensors"), facts
    except (OSError, ValueError, AttributeError, SafetensorError):
        return None


def load_newest(checkpoints: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The last checkpoint that is whole; RunError when there is none."""
    for name in ("last", "previous"):
        found = load(checkpoints / name)
        if found is not None:
            return found
    raise RunError(
        f"{checkpoints} holds no whole checkpoint (last and previous are missing or damaged); "
        "start again in a new folder"
    )
