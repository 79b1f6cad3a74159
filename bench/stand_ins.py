"""Lay out real sound as GTZAN or VCTK, for whoever cannot download them.

    python bench/stand_ins.py gtzan --out DIR [--small]
    python bench/stand_ins.py vctk --out DIR [--small]

gtzan: grooves of ten genres played by the built-in bank (bench/grooves.py; recordings of real
instruments, MIT), 100 clips each, and songs of Debian's fretsonfire-songs-sectoid (MIT) in folders of
their own where they are found (--songs FOLDER, or `apt-get install fretsonfire-songs-sectoid`).

vctk: telephone prompts by four speakers from Debian's asterisk-core-sounds-*-g722 (CC BY-SA 3.0, ru CC
BY 3.0), and sentences by the four voices of flite, which are synthetic. What is not there is left out:
    apt-get install ffmpeg flite asterisk-core-sounds-{en,es,fr,it,ru}-g722

Sources and licences are written beside the sounds, in provenance.json. Nothing of it is part of this
project, and what is learnt on it says nothing about GTZAN or VCTK.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import grooves
import numpy as np
import soundfile

SONGS = Path("/usr/share/games/fretsonfire/data/songs/sectoid")
PROMPTS = Path("/usr/share/asterisk/sounds")
SECONDS = 30
# Folder of the prompts, speaker, gender, accent, licence. Allison speaks two of them.
VOICES = (
    ("en_US_f_Allison", "p901", "F", "American", "Allison Smith, CC BY-SA 3.0"),
    ("es_MX_f_Allison", "p901", "F", "American", "Allison Smith, CC BY-SA 3.0"),
    ("fr_CA_f_June", "p902", "F", "Canadian", "June Wallack, CC BY-SA 3.0"),
    ("it_IT_m_Carlo", "p903", "M", "Italian", "Carlo Flora, CC BY-SA 3.0"),
    ("ru_RU_f_IvrvoiceRU", "p904", "F", "Russian", "ivrvoice.ru, CC BY 3.0"),
)
FLITE = (
    ("kal16", "p911", "M", "American"), ("awb", "p912", "M", "Scottish"),
    ("rms", "p913", "M", "American"), ("slt", "p914", "F", "American"),
)  # fmt: skip
NO_SPEECH = re.compile(r"silence|beep|tone|monkeys|music|ring|sound")
SENTENCES = [
    f"{who} {what} {where}."
    for who in ("The old piano", "A quiet engine", "My younger sister", "Nobody in the choir",
                "The second violin")
    for what in ("could be heard", "started to hum", "waited until seven", "kept the rhythm")
    for where in ("behind the garden wall", "while it was raining", "over the telephone",
                  "at the edge of the harbour", "without a single mistake")
]  # fmt: skip


def gtzan(out: Path, songs: Path, small: bool, workers: int) -> list[dict[str, str]]:
    """genres_original/<genre>/<genre>.NNNNN.wav, and GTZANindex.txt for the songs."""
    root, count = out / "Data" / "genres_original", 4 if small else 100
    wanted = [(genre, number) for genre in grooves.GROOVES for number in range(count)]
    with ProcessPoolExecutor(workers) as pool:
        for done, _ in enumerate(pool.map(_groove, repeat(root), *zip(*wanted, strict=True)), 1):
            print(f"\rclips: {done}/{len(wanted)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    sources = [{
        "what": f"{len(wanted)} clips of ten genres, made by rule (bench/grooves.py)",
        "from": "timbrespace's instrument bank (FluidR3 GM)", "licence": "MIT",
    }]  # fmt: skip
    index, stems = [], {"song": "sectoid_band", "guitar": "sectoid_guitar"}
    counts = dict.fromkeys(stems.values(), 0)
    for path in sorted(songs.glob("*/*.ogg")):
        name = stems.get(path.stem)
        for piece in _pieces(path) if name else ():
            if small and counts[name] == 4:
                break
            file = root / name / f"{name}.{counts[name]:05d}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, piece, grooves.RATE, subtype="PCM_16")
            index.append(f"{file.name} ::: Sectoid ::: {path.parent.name}\n")
            counts[name] += 1
    if index:
        (out / "GTZANindex.txt").write_text("".join(index), encoding="utf-8")
        sources.append({
            "what": f"{len(index)} pieces of songs: the band, and its guitar alone",
            "from": "Debian fretsonfire-songs-sectoid, Carlos Viola Iborra 2006/2007",
            "licence": "MIT",
        })  # fmt: skip
    return sources


def _groove(root: Path, genre: str, number: int) -> None:
    path = root / genre / f"{genre}.{number:05d}.wav"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        sound = grooves.clip(genre, number)
        soundfile.write(unfinished, sound, grooves.RATE, subtype="PCM_16", format="WAV")
        unfinished.rename(path)


def _pieces(path: Path) -> Iterator[np.ndarray]:
    """A song in mono, in whole pieces of 30 s at GTZAN's rate."""
    from timbrespace.audio.files import read

    samples = read(path, sample_rate=grooves.RATE).mono()
    size = SECONDS * grooves.RATE
    yield from (samples[at : at + size] for at in range(0, len(samples) - size + 1, size))


def vctk(out: Path, prompts: Path, small: bool) -> list[dict[str, str]]:
    """wav48_silence_trimmed/pNNN/pNNN_NNN_mic1.flac and speaker-info.txt."""
    root, most = out / "wav48_silence_trimmed", 12 if small else 400
    sources, info = [], {}
    decodes, speaks = shutil.which("ffmpeg"), shutil.which("flite")
    numbers: dict[str, int] = {}
    for folder, speaker, gender, accent, licence in VOICES if decodes else ():
        files = sorted((prompts / folder).rglob("*.g722"))
        spoken = (f for f in files if not NO_SPEECH.search(f.stem) and f.stat().st_size >= 8000)
        made = 0
        for _, file in zip(range(most), spoken, strict=False):
            command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", file, "-f", "f32le", "-"]
            raw = subprocess.run(command, capture_output=True, check=True).stdout
            _say(root, speaker, numbers, np.frombuffer(raw, "<f4"), 16000)
            made += 1
        if made:
            info[speaker] = f"{speaker}  -  {gender}    {accent}    (telephone prompts)"
            language = folder[:2]
            sources.append({
                "what": f"{made} prompts of {speaker}", "licence": licence,
                "from": f"Debian asterisk-core-sounds-{language}-g722",
            })  # fmt: skip
    for voice, speaker, gender, accent in FLITE if speaks else ():
        for text in SENTENCES[:most]:
            path = out / "spoken.wav"
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", path], check=True)
            _say(root, speaker, numbers, *soundfile.read(path, dtype="float32"))
            path.unlink()
        info[speaker] = f"{speaker}  -  {gender}    {accent}    (synthetic, flite {voice})"
        sources.append({
            "what": f"{len(SENTENCES[:most])} sentences of {speaker}, synthetic",
            "from": f"flite, voice {voice}", "licence": "see /usr/share/doc/flite/copyright",
        })  # fmt: skip
    if not sources:
        sys.exit(
            "nothing to lay out; install prompts and their decoder, or a voice: apt-get install "
            "ffmpeg asterisk-core-sounds-en-g722 flite"
        )
    lines = ["ID  AGE  GENDER  ACCENTS  REGION COMMENTS", *(info[name] for name in sorted(info))]
    (out / "speaker-info.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sources


def _say(root: Path, speaker: str, numbers: dict[str, int], samples: np.ndarray, rate: int) -> None:
    numbers[speaker] = numbers.get(speaker, 0) + 1
    path = root / speaker / f"{speaker}_{numbers[speaker]:03d}_mic1.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("layout", choices=("gtzan", "vctk"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--small", action="store_true", help="4 clips a genre, 12 prompts a voice")
    parser.add_argument("--songs", type=Path, default=SONGS, help="fretsonfire songs, for gtzan")
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="asterisk sounds, for vctk")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.layout == "gtzan":
        sources = gtzan(chosen.out, chosen.songs, chosen.small, chosen.workers)
    else:
        sources = vctk(chosen.out, chosen.prompts, chosen.small)
    facts = {"what": f"a stand-in in {chosen.layout.upper()}'s layout", "sources": sources}
    text = json.dumps(facts, indent=1) + "\n"
    (chosen.out / "provenance.json").write_text(text, encoding="utf-8")
    print(f"{chosen.out}\n{text}")


if __name__ == "__main__":
    main()
