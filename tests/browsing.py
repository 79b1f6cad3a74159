"""What the tests of pages share: how the browser is started, and waiting for what it will show."""

import time
from collections.abc import Callable

from playwright.sync_api import Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
PATIENCE = 20  # seconds; a page that shares two cores with other tests answers late
SOUNDS = "document.getElementById('level').value > 0.005"


def until(page: Page, condition: str | Callable[[], bool]) -> None:
    """Wait for a condition in the page or here; playwright's own way needs eval, which the page forbids."""
    end = time.monotonic() + PATIENCE
    while not (page.evaluate(condition) if isinstance(condition, str) else condition()):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)
