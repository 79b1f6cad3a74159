"""The picture of the page of effects that docs/effects.md shows, taken in a real browser.

    python bench/pictures.py            (Chromium by playwright; half a minute)

An electric guitar is overdriven, which effect that was is found again, a pad of three axes is made and two
presets are kept. Writes docs/images/effects.png.
"""

from pathlib import Path

import result
from browser import chromium, effects_page, served
from playwright.sync_api import Page, expect

from timbrespace.explorer.effects_server import build_app
from timbrespace.explorer.playing import Playing
from timbrespace.explorer.sounds import BuiltIn
from timbrespace.explorer.web import serve_app

IMAGES = Path(__file__).parent.parent / "docs" / "images"
PATIENCE = 120_000  # milliseconds


def drag(page: Page, across: float, up: float) -> None:
    """The pad's point to a place, 0 to 1 from its left and its lower end."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + across * box["width"], box["y"] + (1 - up) * box["height"], steps=20)
    page.mouse.up()


def preset(page: Page, name: str) -> None:
    page.fill("#preset-name", name)
    page.press("#preset-name", "Enter")
    expect(page.locator("#said")).to_have_text(f"Saved as {name}.")


def played(page: Page) -> None:
    drag(page, 0.8, 0.7)
    expect(page.locator("#said")).to_contain_text("drive 3")
    preset(page, "broken radio")
    page.click("#reference-here")
    expect(page.locator("#said")).to_contain_text("is the reference")
    page.click("#defaults")
    page.select_option("#make-dimensions", "3")
    page.click("#make")
    expect(page.locator("#pad-of option:checked")).to_contain_text("3 axes", timeout=PATIENCE)
    drag(page, 0.5, 0.4)
    preset(page, "warm lead")
    page.select_option("#match-effect", "any")
    page.click("#match")
    expect(page.locator("#match-words")).to_contain_text("comes nearest", timeout=PATIENCE)
    page.click("#match-take")
    expect(page.locator("#said")).to_contain_text("overdrive: drive")
    page.get_by_role("radio", name="Match").click()
    expect(page.locator("#picture-caption")).to_contain_text("the match")
    page.locator("#panel").evaluate("panel => panel.scrollTo(0, 0)")
    page.wait_for_timeout(1000)


def main() -> None:
    result.options(__doc__).parse_args()
    with chromium() as browser, served(serve_app, build_app(Playing(BuiltIn()))) as url:
        page = effects_page(browser, url, "overdrive")
        played(page)
        page.screenshot(path=IMAGES / "effects.png")


if __name__ == "__main__":
    main()
