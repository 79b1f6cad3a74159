"""How soon a drag on the page of effects is heard, in a real browser, and how soon own sounds have a pad.

    python bench/playing.py            (Chromium by playwright; some minutes)

A pointer goes over the pad of two knobs while a note of four seconds (16 kHz) loops, for every effect of our
own. Told is the time from the pointer event to the moment at which the new buffer begins, as the page itself
measures it; the sound card's own delay comes after it. Beside it stands what the effect alone takes. The
slowest effects are dragged once more over the longest sound that is played, ten seconds in stereo at 44.1 kHz,
of which only what is heard next is rendered while the hand moves.

From own sounds to a pad: `timbrespace effects controller` and `effects play` on three files of 44.1 kHz,
typed one after the other as they stand, until a drag on the pad is heard.
"""

import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import result
from browser import chromium, effects_page, served
from playwright.sync_api import Browser, Page

from timbrespace.audio import files
from timbrespace.data.notes import built_in
from timbrespace.effects.catalogue import EFFECTS
from timbrespace.explorer.effects_server import build_app
from timbrespace.explorer.playing import Playing
from timbrespace.explorer.sounds import PLAYED, BuiltIn, Files
from timbrespace.explorer.web import serve_app

PAUSE = 25  # milliseconds between two moves of the pointer
SLOWEST = ("multiband", "phaser", "flanger")
OWN = ("overdrive", "phaser")  # a quick effect and the slowest, for own sounds
OWN_NOTES, OWN_RATE = ((27, 45), (40, 67), (56, 64)), 44100


def drag(page: Page, moves: int) -> tuple[float, float]:
    """Milliseconds from hand to sound: the median, and what 9 of 10 moves keep within."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for step in range(moves):
        turn = 2 * math.pi * step / moves
        across, up = 0.5 + 0.3 * math.cos(turn), 0.5 + 0.3 * math.sin(2 * turn)
        page.mouse.move(box["x"] + across * box["width"], box["y"] + up * box["height"])
        if not step:
            page.mouse.down()
        page.wait_for_timeout(PAUSE)
    page.mouse.up()
    page.wait_for_timeout(300)
    shown = page.locator("#latency")
    words = shown.get_attribute("title") or ""
    return float(shown.inner_text().split()[0]), float(words.split()[-2])


def dragged(browser: Browser, url: str, name: str, moves: int) -> tuple[float, float]:
    """As for `drag`, on the page at `url`, of one effect."""
    page = effects_page(browser, url, name)
    drag(page, 10)  # the first sound opens the sound card
    found = drag(page, moves)
    page.close()
    return found


def longest(folder: Path) -> Path:
    """Notes of the built-in instruments, one after another, another order on each side."""
    notes = [note[: 2 * OWN_RATE] for note in built_in(OWN_NOTES * 2, OWN_RATE)]
    sides = np.stack([np.concatenate(notes), np.concatenate(notes[1:] + notes[:1])])
    file = folder / "longest.wav"
    sound = sides[:, : round(PLAYED * OWN_RATE)]
    assert sound.shape[1] == round(PLAYED * OWN_RATE)
    file.write_bytes(files.to_bytes(sound, OWN_RATE, format="wav24"))
    return file


def own_sounds(folder: Path, browser: Browser, name: str) -> tuple[float, float]:
    """Seconds in which a controller of an effect is made of own files, and from then on until the pad of its
    page is heard."""
    sounds = []
    for number, samples in enumerate(built_in(OWN_NOTES, OWN_RATE)):
        sounds.append(folder / f"own {number}.wav")
        sounds[-1].write_bytes(files.to_bytes(samples, OWN_RATE, format="wav24"))
    pad = folder / f"{name}.safetensors"
    word = [sys.executable, "-m", "timbrespace", "effects"]
    given = [part for sound in sounds for part in ("--sounds", str(sound))]
    began = time.perf_counter()
    making = [*word, "controller", "--effect", name, *given, "--out", str(pad)]
    subprocess.run(making, check=True, capture_output=True)
    made = time.perf_counter()
    play = [*word, "play", *map(str, sounds), "--controller", str(pad), "--no-browser"]
    with subprocess.Popen(play, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            (url,) = next(filter(None, (re.findall(r"http://\S+", said) for said in server.stderr)))
            page = effects_page(browser, url)
            drag(page, 10)
            heard = time.perf_counter()
            page.close()
        finally:
            server.terminate()
    return made - began, heard - made


def render_ms(playing: Playing, name: str, runs: int) -> float:
    """Milliseconds that the effect takes on the page's first sound, the least of several runs."""
    effect, sound, best = playing.effect(name), playing.shelf.sound(0), math.inf
    for _ in range(runs):
        began = time.perf_counter()
        effect.render(sound.samples, sound.sample_rate)
        best = min(best, time.perf_counter() - began)
    return 1000 * best


def main() -> None:
    options = result.options(__doc__)
    options.add_argument("--moves", type=int, default=60, help="Of the pointer, for each effect.")
    options.add_argument("--out", type=Path, default=result.FOLDER / "playing.md")
    given = options.parse_args()
    load, heading = (
        result.busy(),
        ("effect", "render, ms", "hand to sound, ms: median", "9 of 10 within"),
    )

    def measured(playing: Playing, names: Iterable[str]) -> str:
        rows = []
        with served(serve_app, build_app(playing)) as url:
            for name in names:
                median, most = dragged(browser, url, name, given.moves)
                rows.append(
                    (name, f"{render_ms(playing, name, 5):.1f}", f"{median:.0f}", f"{most:.0f}")
                )
        return result.table(heading, rows)

    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        note = measured(Playing(BuiltIn()), EFFECTS)
        long = measured(Playing(Files([longest(Path(folder))])), SLOWEST)
        pads = [(name, *own_sounds(Path(folder), browser, name)) for name in OWN]
        version = browser.version
    command = f"python bench/playing.py --moves {given.moves}"
    result.write(
        given.out,
        "From hand to sound",
        result.made_by(command, f"Chromium {version}", load=load),
        "Four seconds, mono, 16 kHz:",
        note,
        "Ten seconds, stereo, 44.1 kHz; the render is that of the whole:",
        long,
        "From three own files to a pad that is heard, seconds, both commands from cold:",
        result.table(
            ("effect", "controller made", "page heard", "in all"),
            [(name, f"{a:.0f}", f"{b:.0f}", f"{a + b:.0f}") for name, a, b in pads],
        ),
    )


if __name__ == "__main__":
    main()
