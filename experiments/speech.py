"""Real speech from Debian's packages, as clips that `timbrespace prepare` takes.

    python experiments/speech.py OUT [PACKAGE ...]

Nine speakers of seven languages in eight packages (310 MB), all of them when none is named. Needs apt (Debian,
Ubuntu, with the lists that `apt-get update` brings; no root) and, for the prompts of Asterisk,
`pip install G722`. OUT/clips holds FLAC of 2.048 s at 16 kHz, OUT/metadata.csv says file, split, speaker,
language and licence; no speaker is in two splits. A package that was done is not fetched again, so a
run that was stopped goes on where it was. Some four minutes on a busy core.
"""

import csv
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timbrespace.atomic import write_text
from timbrespace.audio import files
from timbrespace.errors import AudioError, CorpusError, MissingExtra, TimbrespaceError
from timbrespace.terminal import Bars

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))
import result

RATE = 16000  # Hz
CLIP = 32768  # samples
LEAST = 16000  # samples of speech in a clip
QUIET_DB = -45.0  # dBFS; edges and clips whose RMS is below are left out
FRAME = 320  # samples over which the RMS of edges is taken
COLUMNS = ("file", "split", "speaker", "language", "licence")


@dataclass(frozen=True)
class Voice:
    """One speaker: whose files are those of the package that match `pattern`."""

    speaker: str
    language: str
    split: str
    pattern: str


@dataclass(frozen=True)
class Package:
    """A Debian package with speech."""

    name: str
    megabytes: int
    licence: str
    voices: tuple[Voice, ...]


def asterisk(language: str, speaker: str, split: str, megabytes: int, licence: str) -> Package:
    """Prompts of a telephone system, without its silences and the monkeys that all of them share."""
    voice = Voice(speaker, language, split, r"/sounds/(?!.*(/silence/|tt-monkeys)).*\.g722$")
    return Package(f"asterisk-core-sounds-{language}-g722", megabytes, licence, (voice,))


def fillets(language: str, small: str, big: str) -> Package:
    """The two fish that talk all through a game; other voices of it are left out."""
    voices = tuple(
        Voice(
            f"{language}-{size}-fish", language, split, rf"/{language}/[^/]*-{letter}-[^/]*\.ogg$"
        )
        for size, letter, split in (("small", "m", small), ("big", "v", big))
    )
    megabytes = {"cs": 39, "nl": 33}[language]
    return Package(f"fillets-ng-data-{language}", megabytes, "GPL-2", voices)


PACKAGES = {
    package.name: package
    for package in (
        asterisk("en", "allison-smith", "train", 11, "CC-BY-SA-3.0"),
        asterisk("es", "allison-smith", "train", 13, "CC-BY-SA-3.0"),
        asterisk("fr", "june-wallack", "valid", 11, "CC-BY-SA-3.0"),
        asterisk("it", "carlo-flora", "test", 10, "CC-BY-3.0"),
        asterisk("ru", "asterisk-ru", "train", 11, "CC-BY-3.0"),
        Package(
            "festvox-ru", 179, "BSD-like",
            (Voice("festvox-ru", "ru", "train", r"/wav/[^/]*\.wav$"),),
        ),
        fillets("cs", "test", "train"),
        fillets("nl", "train", "test"),
    )
}  # fmt: skip


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=", ".join(PACKAGES))
    given = parser.parse_args()
    try:
        fetch(given.out, given.packages or list(PACKAGES))
    except (TimbrespaceError, OSError) as error:
        sys.exit(str(error))


def fetch(out: Path, names: list[str]) -> None:
    """Clips of these packages and a table of all that lie in `out`."""
    for name in names:
        if name not in PACKAGES:
            raise CorpusError(f"{name} is no package known here; those are {', '.join(PACKAGES)}")
    tables = out / "packages"
    tables.mkdir(parents=True, exist_ok=True)
    for name in names:
        package, table = PACKAGES[name], tables / f"{name}.csv"
        if table.exists():
            print(f"{name}: done before")
            continue
        print(f"{name}: {package.megabytes} MB, {package.licence}", flush=True)
        write_text(table, as_csv(made_clips(package, out)))
    rows = [row for table in sorted(tables.glob("*.csv")) for row in rows_of(table)]
    write_text(out / "metadata.csv", as_csv(rows))
    hours = len(rows) * CLIP / RATE / 3600
    speakers = {row["speaker"] for row in rows}
    print(
        f"{len(rows)} clips, {hours:.1f} hours, {len(speakers)} speakers; licences: {out / 'licences'}\n"
        f"next: timbrespace prepare {out / 'metadata.csv'} --out CORPUS"
    )


def made_clips(package: Package, out: Path) -> list[dict[str, str]]:
    """Fetch, unpack and cut a package; a row for each clip."""
    inside = out / "unpacking"
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir()
    run(["apt-get", "download", "-q", package.name], inside)
    run(["dpkg", "-x", next(inside.glob("*.deb")).name, "."], inside)
    licences = out / "licences"
    licences.mkdir(exist_ok=True)
    shutil.copy(
        inside / "usr/share/doc" / package.name / "copyright", licences / f"{package.name}.txt"
    )
    sources = sorted(path for path in inside.rglob("*") if path.is_file())
    found = [
        (voice, path)
        for voice in package.voices
        for path in sources
        if re.search(voice.pattern, path.as_posix())
    ]
    rows: list[dict[str, str]] = []
    with Bars() as progress:
        for done, (voice, path) in enumerate(found, 1):
            try:
                sound = read(path)
            except AudioError as error:
                progress.say(f"left out: {path.name}: {str(error).rpartition(': ')[2]}")
                continue
            for number, clip in enumerate(clips(sound)):
                words = "-".join(path.relative_to(inside).with_suffix("").parts[-3:])
                name = f"clips/{voice.speaker}/{words}-{number}.flac"
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(files.to_bytes(clip, RATE, format="flac"))
                rows.append({
                    "file": name, "split": voice.split, "speaker": voice.speaker,
                    "language": voice.language, "licence": package.licence,
                })  # fmt: skip
            progress(package.name, done, len(found), {})
    shutil.rmtree(inside)
    return rows


def run(command: list[str], folder: Path) -> None:
    """Run a program of the system; CorpusError with its last words where it fails."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise CorpusError(f"{command[0]} is not here; this needs Debian or Ubuntu") from None
    except subprocess.CalledProcessError as error:
        words = (error.stderr.strip().splitlines() or ["no words"])[-1]
        raise CorpusError(
            f"{' '.join(command)} failed: {words}; apt-get update brings apt's lists up to date"
        ) from None


def read(path: Path) -> np.ndarray:
    """A file's samples (n,) at RATE."""
    if path.suffix != ".g722":
        return files.read(path, sample_rate=RATE).samples.mean(axis=0)
    try:
        from G722 import G722
    except ImportError:
        raise MissingExtra("Asterisk's prompts need a decoder: pip install G722") from None
    return np.array(G722(RATE, 64000).decode(path.read_bytes()), np.float32) / 32768.0


def clips(samples: np.ndarray) -> Iterator[np.ndarray]:
    """A recording without its quiet edges, in pieces of CLIP samples; a last piece of at least LEAST is
    filled up with silence, and quiet ones are left out."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(decibels(frames) > QUIET_DB)
    if not len(loud):
        return
    speech = samples[loud[0] * FRAME : (loud[-1] + 1) * FRAME]
    for start in range(0, len(speech), CLIP):
        piece = speech[start : start + CLIP]
        if len(piece) >= LEAST and decibels(piece) > QUIET_DB:
            yield np.pad(piece, (0, CLIP - len(piece)))


def decibels(samples: np.ndarray) -> np.ndarray:
    """RMS over the last axis in dBFS."""
    return 10.0 * np.log10(np.mean(np.square(samples), axis=-1) + 1e-12)


def rows_of(table: Path) -> list[dict[str, str]]:
    with open(table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    main()
