"""The sounds that an evaluation left in its folder, by what they are."""

import csv
from pathlib import Path

KINDS = {
    "original": "original", "phase": "its true magnitudes made sound",
    "inversion": "inversion: its own picture made sound", "model": "model",
}  # fmt: skip


def lines(folder: Path) -> dict[str, dict[str, str]]:
    """sounds.csv of an evaluation's folder: the line of each row that was measured; {} without it."""
    try:
        with open(folder / "sounds.csv", newline="", encoding="utf-8") as file:
            return {line["row"]: line for line in csv.DictReader(file)}
    except (OSError, KeyError):
        return {}


def sounds(folder: Path, group: str, row: int) -> dict[str, bytes]:
    """WAV of an example by kind, in the order of KINDS; without those that are not there."""
    found = {kind: read(folder / "audio" / f"{group}-{row}-{kind}.wav") for kind in KINDS}
    return {kind: wav for kind, wav in found.items() if wav}


def read(path: Path) -> bytes:
    """A file, b"" where there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
