"""How soon a place of a run's map is heard, in a real browser, by everything that can make its sound.

    python bench/exploring.py RUN [RUN ...]           (Chromium by playwright; a minute for each run)

Every RUN needs a space. On the map a pointer clicks at places between the sounds; on the way of a morph it
drags the slider from one sound to the other. Each move waits until the one before it is heard. Told is the time
from the pointer's event to the moment for which the page has scheduled the new sound, of which 30 ms are the
page's own lead; the sound card's delay comes after it. No place is heard twice, so nothing is answered from
the cache. Beside it stands what the server alone takes for such places.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import result
from browser import VIEWPORT, chromium, served
from playwright.sync_api import Browser, Page, expect

from timbrespace.explorer.server import serve
from timbrespace.explorer.session import Session

WARM = 5  # moves before the first that counts: the sound card opens, the model is read
PATIENCE = 20.0  # seconds
LISTEN = """
window.moved = 0; window.heard = [];
for (const kind of ["pointerup", "input"]) {
  addEventListener(kind, (event) => { window.moved = event.timeStamp; }, true);
}
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when = 0, ...rest) {
  const wait = Math.max(0, when - this.context.currentTime);
  window.heard.push(performance.now() + 1000 * wait - window.moved);
  return start.call(this, when, ...rest);
};
"""


def until_heard(page: Page, move: Callable[[], None]) -> float:
    """Milliseconds from a move to its sound."""
    before = page.evaluate("window.heard.length")
    move()
    end = time.monotonic() + PATIENCE
    while page.evaluate("window.heard.length") == before:
        assert time.monotonic() < end, "nothing is heard"
        page.wait_for_timeout(5)
    return page.evaluate("window.heard.at(-1)")


def on_the_map(page: Page, moves: int) -> list[float]:
    box = page.locator("#map").bounding_box()
    assert box is not None
    places = np.random.default_rng(0).uniform(0.1, 0.9, (WARM + moves, 2))
    page.keyboard.down("Alt")  # what the model makes there, even on a sound
    found = [
        until_heard(
            page,
            lambda x=box["x"] + u * box["width"], y=box["y"] + v * box["height"]: page.mouse.click(
                x, y
            ),
        )
        for u, v in places
    ]
    page.keyboard.up("Alt")
    return found[WARM:]


def on_the_way(page: Page, moves: int) -> list[float]:
    for end, key in (("Home", "a"), ("End", "b")):
        page.locator("#list").focus()
        page.keyboard.press(end)
        until_heard(page, lambda: page.keyboard.press("Enter"))
        page.keyboard.press(key)
    slider = page.locator("#morph-at")
    expect(slider).to_be_enabled()
    slider.evaluate("slider => { slider.step = 'any'; }")  # each move is another place
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.05 * box["width"], y)
    page.mouse.down()
    ways = np.linspace(0.08, 0.96, WARM + moves)
    found = [
        until_heard(page, lambda x=box["x"] + at * box["width"]: page.mouse.move(x, y))
        for at in ways
    ]
    page.mouse.up()
    return found[WARM:]


def server_ms(session: Session, maker: str, count: int = 20) -> float:
    """Milliseconds that a place of the map takes without browser and network, the median."""
    name, (xs, ys) = next(iter(session.map_data()["maps"].items()))
    rng, times = np.random.default_rng(1), []
    for _ in range(count):
        x, y = float(rng.uniform(min(xs), max(xs))), float(rng.uniform(min(ys), max(ys)))
        began = time.perf_counter()
        session.point(name, x, y, sound_by=maker)
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def heard(browser: Browser, url: str, session: Session, moves: int) -> list[tuple[object, ...]]:
    """The rows of one run: each of its ways to make sound, on the map and on the way of a morph."""
    rows, told = [], session.describe()
    for maker in told["makers"]:
        page = browser.new_page(viewport=VIEWPORT)
        page.add_init_script(LISTEN)
        page.goto(url)
        expect(page.locator("#said")).to_contain_text("sounds on the map")
        if len(told["makers"]) > 1:
            page.get_by_label("sound by").select_option(maker)
        for what, way in (("map", on_the_map), ("morph", on_the_way)):
            times = way(page, moves)
            far = [f"{np.quantile(times, share):.0f}" for share in (0.5, 0.95)]
            alone = f"{server_ms(session, maker):.0f}" if what == "map" else ""
            length = f"{told['mels']} mels, {told['seconds']:.2g} s"
            rows.append((length, maker, what, alone, *far))
        page.close()
    return rows


def main() -> None:
    options = result.options(__doc__)
    options.add_argument("runs", type=Path, nargs="+")
    options.add_argument("--moves", type=int, default=80, help="Of the pointer, each way.")
    options.add_argument("--out", type=Path, default=result.FOLDER / "exploring.md")
    given = options.parse_args()
    load, rows = result.busy(), []
    with chromium() as browser:
        for run in given.runs:
            session = Session.open(run)
            with served(serve, session) as url:
                rows += heard(browser, url, session, given.moves)
        version = browser.version
    command = f"python bench/exploring.py {' '.join(['RUN'] * len(given.runs))}"
    result.write(
        given.out,
        "From hand to sound on the map",
        result.made_by(
            f"{command} --moves {given.moves}", f"Chromium {version}", load=load,
        ),
        result.table(
            ("pictures", "sound by", "on", "server alone, ms", "hand to sound, ms: median", "95 % within"),
            rows,
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
