"""The real browser in which the pages are measured: Chromium, driven by playwright."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
VIEWPORT: Any = {"width": 1400, "height": 900}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The one that CHROMIUM names, else one from PATH."""
    given = filter(None, (os.environ.get("CHROMIUM", ""), *NAMES))
    path = next(filter(None, map(shutil.which, given)), None)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def effects_page(browser: Browser, url: str, name: str = "") -> Page:
    """The page of effects at `url` when it plays, with an effect chosen where one is named."""
    page = browser.new_page(viewport=VIEWPORT)
    page.goto(url)
    expect(page.locator("#said")).to_contain_text("is played")
    if name:
        page.get_by_label("Effect", exact=True).last.select_option(name)
        expect(page.locator("#effect-name")).to_have_text(name)
    return page


@contextmanager
def served(serve: Callable[..., Any], what: Any) -> Iterator[str]:
    """The address at which `serve` serves something, as `timbrespace explore` does."""
    address, stop = Queue(), threading.Event()
    settings = {"port": 0, "browser": False, "ready": address.put, "stop": stop}
    threading.Thread(target=serve, args=(what,), kwargs=settings, daemon=True).start()
    try:
        yield address.get(timeout=60)
    finally:
        stop.set()
