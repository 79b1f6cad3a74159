"""VCTK: wav48_silence_trimmed/pXXX/pXXX_NNN_micN.flac (0.92), or wav48/pXXX/pXXX_NNN.wav (older).

An utterance is one sound: that of the first microphone, or of the second where the first has none
(p280 and p315 are known for missing ones, p362 for missing utterances; a speaker s5 is no number of
the others' kind). Speakers are described by speaker-info.txt.

Source: Yamagishi, Veaux & MacDonald 2019, "CSTR VCTK Corpus (version 0.92)".
"""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from timbrespace.data.sources import walk
from timbrespace.data.sources.listing import Doubts, Label, Listed, Source, counted

_SOUNDS = ("wav48_silence_trimmed", "wav48")  # the first that is there
_SPEAKER = re.compile(r"[ps]\d{1,3}$")
_UTTERANCE = re.compile(r"(?P<speaker>[a-z]+\d+)_(?P<utterance>\d{3})(?:_(?P<mic>mic\d))?$")
_INFO = "speaker-info.txt"


def recognises(root: Path) -> bool:
    """Whether root is, or holds, a folder of speakers of VCTK's layout."""
    return root.is_dir() and _find(root) is not None


def read(root: Path) -> Source:
    """Every utterance below root once; CorpusError when there are none."""
    folder = _find(root)
    if folder is None:
        raise walk.not_of(
            root, "VCTK", "a folder a speaker in wav48_silence_trimmed or wav48, with files such "
            "as p225/p225_001_mic1.flac"
        )  # fmt: skip
    files: list[Listed] = []
    source = Source(root, "vctk", files)
    doubts, taken = Doubts(), []
    info = _info(root, folder, doubts)
    second = 0
    for speaker in walk.subfolders(folder):
        prefix, names = walk.below(root, speaker), walk.audio_names(speaker)
        if not names:
            doubts.add("speaker", "a folder without sounds", speaker.name)
        taken += [prefix + name for name in names]
        chosen = _one_microphone(names, doubts)
        second += len(names) - len(chosen)
        known = info.get(speaker.name.lower())
        if known is None and info and chosen:
            doubts.add("speaker", f"not in {_INFO}", speaker.name)
        for name in chosen:
            labels: dict[str, Label] = {"speaker": speaker.name, "utterance": None, "mic": None}
            if (match := _UTTERANCE.match(PurePosixPath(name).stem.lower())) is not None:
                labels |= {"utterance": match["utterance"], "mic": match["mic"]}
            else:
                doubts.add("file", "not named as VCTK names utterances; taken all the same", name)
            files.append(Listed(prefix + name, labels | (known or {})))
    if second:
        source.notes.append(
            f"{counted(second, 'recording')} by a second microphone, left out beside the first; "
            "layout folder takes them all"
        )
    if not info:
        source.notes.append(f"there is no {_INFO}; age, gender and accent are unknown")
    absent = sorted(set(info) - {str(f.labels["speaker"]).lower() for f in source.files})
    if absent:
        source.notes.append(
            f"{counted(len(absent), 'speaker')} of {_INFO} without sounds here (the first: "
            f"{absent[0]})"
        )
    source.notes += doubts.notes() + walk.left_out(root, taken)
    source.settle_labels()
    return source


def _find(root: Path) -> Path | None:
    """The folder whose folders are the speakers."""
    for base in walk.nested(root):
        for folder in (*(base / name for name in _SOUNDS), base):
            for speaker in walk.subfolders(folder):
                if _SPEAKER.match(speaker.name.lower()) and any(
                    _speaks(name) == speaker.name.lower() for name in walk.audio_names(speaker)
                ):
                    return folder
    return None


def _speaks(name: str) -> str | None:
    match = _UTTERANCE.match(PurePosixPath(name).stem.lower())
    return match and match["speaker"]


def _one_microphone(names: list[str], doubts: Doubts) -> list[str]:
    """One file an utterance: mic1 where it is there, else the next; the rest as it comes."""
    by_utterance: dict[str, list[str]] = defaultdict(list)
    for name in names:
        stem = PurePosixPath(name).stem.lower()
        match = _UTTERANCE.match(stem)
        by_utterance[stem[: match.start("mic")] if match and match["mic"] else name].append(name)
    chosen = [sorted(several)[0] for several in by_utterance.values()]
    for name in chosen:
        if re.search(r"_mic[2-9]\.\w+$", name.lower()):
            doubts.add("utterance", "without mic1; another microphone is taken", name)
    return sorted(chosen)


def _info(root: Path, folder: Path, doubts: Doubts) -> dict[str, dict[str, Label]]:
    """Age, gender and accent by speaker, from speaker-info.txt beside or above the sounds."""
    places = [*walk.nested(root), folder.absolute().parent]
    path = next((place / _INFO for place in places if (place / _INFO).is_file()), None)
    if path is None:
        return {}
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        doubts.add("file", f"cannot be read: {error.strerror}", str(path))
        return {}
    info: dict[str, dict[str, Label]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        words = re.split(r"[\s,;|]+", line)
        if (match := re.fullmatch(r"([a-z]*)(\d+)", words[0].lower())) is None:
            if words[0].upper() != "ID":
                doubts.add("line", f"of {_INFO} does not begin with a speaker", line[:40])
            continue
        speaker = f"{match[1] or 'p'}{match[2]}"  # the older file has bare numbers
        age = int(words[1]) if re.fullmatch(r"\d{1,3}", (words + [""])[1]) else None
        gender = (words + ["", ""])[2].upper()
        accent = (words + ["", "", ""])[3]
        info[speaker] = {
            "age": age,
            "gender": gender if gender in ("F", "M") else None,
            "accent": accent if any(map(str.isalpha, accent)) and accent != "Unknown" else None,
        }
        if gender not in ("F", "M"):
            doubts.add("line", f"of {_INFO} says no gender (F or M)", line[:40])
    return info
