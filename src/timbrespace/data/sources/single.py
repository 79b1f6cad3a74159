"""One audio file, which a cut can make many sounds of."""

from pathlib import Path

import soundfile

from timbrespace.audio import riff
from timbrespace.audio.files import SUFFIXES, printable
from timbrespace.data.sources import walk
from timbrespace.data.sources.listing import Listed, Source
from timbrespace.errors import AudioError, CorpusError

LONG = 60.0  # seconds from which its beginning says little of a file


def recognises(path: Path) -> bool:
    """Whether path is a file that is named as sound."""
    return path.is_file() and walk.is_audio(path.name)


def read(path: Path) -> Source:
    """The file alone, in the folder that holds it; CorpusError when it is not named as sound."""
    if not recognises(path):
        raise CorpusError(
            f"{printable(path)} is no sound file by its name; these are read: {' '.join(SUFFIXES)}"
        )
    source = Source(path.parent, "file", [Listed(path.name, {})])
    seconds = _seconds(path)
    if seconds is not None and seconds > LONG:
        source.notes.append(
            f"{printable(path.name)} is {seconds / 60:.1f} minutes long; without --cut chunks (or "
            "onsets) only its beginning becomes a sound"
        )
    return source


def _seconds(path: Path) -> float | None:
    """The length that the header says, None where it says none. A WAV is not shown to the decoder,
    which some of them hold for ever (see `audio.riff`)."""
    try:
        with open(path, "rb") as file:
            kind = riff.container(file.fileno())
            if kind != "wav":
                with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                    known = 0 < sound.frames < 2**40
                    return sound.frames / sound.samplerate if known else None
            head, size = file.read(4096), path.stat().st_size
    except (AudioError, OSError, RuntimeError, ValueError):
        return None
    at = head.find(b"fmt ") + 16
    rate = int.from_bytes(head[at : at + 4], "big" if head[:4] == b"RIFX" else "little")
    return size / rate if at > 16 and rate else None
