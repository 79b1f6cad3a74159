"""The explorer's page in a real headless browser, with real clicks, drags and keys."""

import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
import pytest
import soundfile
from browsing import SOUNDS, until
from explorer_stand_in import NASTY, build, with_directions
from playwright.sync_api import Browser, Page, expect

from timbrespace.explorer.server import serve
from timbrespace.explorer.session import Session

BLUE = """() => {
    const map = document.getElementById("map");
    const data = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
        const [r, g, b] = data.subarray(i, i + 3);
        if (b > 150 && r < 120 && g > 100 && b > g + 20) count++;
    }
    return count;
}"""


class Place:
    """The stand-in served on a free port, and its newest space."""

    def __init__(self, parts: tuple[Any, Any, Any], makers: Any = None) -> None:
        self.parts, self.stamp = parts, 1
        load, stamp = lambda: self.parts, lambda: self.stamp
        session = Session(*self.parts, load=load, stamp=stamp, makers=makers)
        self.stop, address = threading.Event(), Queue()
        settings = {"port": 0, "browser": False, "ready": address.put, "stop": self.stop}
        self.thread = threading.Thread(target=serve, args=(session,), kwargs=settings, daemon=True)
        self.thread.start()
        self.url = address.get(timeout=20)

    def close(self) -> None:
        self.stop.set()
        self.thread.join(10)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    served = Place(build())
    yield served
    served.close()


@pytest.fixture
def page(browser: Browser, place: Place) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    tab.on(
        "request",
        lambda r: None if r.url.startswith((place.url, "blob:")) else complaints.append(r.url),
    )
    tab.goto(place.url)
    expect(tab.locator("#said")).to_contain_text("90 sounds on the map")
    yield tab
    context.close()
    assert complaints == []


def pixel(page: Page, place: Place, xy: np.ndarray, name: str = "umap") -> tuple[float, float]:
    """Where on the screen a place of the map is while the whole map is shown."""
    points = place.parts[1].maps[name]
    box = page.locator("#map").bounding_box()
    assert box is not None
    low, high = points.min(0), points.max(0)
    scale = min((box["width"] - 56) / (high - low)[0], (box["height"] - 64) / (high - low)[1])
    dx, dy = (np.asarray(xy) - (low + high) / 2) * scale
    return box["x"] + box["width"] / 2 + float(dx), box["y"] + box["height"] / 2 - float(dy)


def alone(place: Place, name: str = "umap") -> int:
    """The index of the sound that stands furthest from all others: a click on it is clear."""
    points = place.parts[1].maps[name]
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(len(points)) * 1e9
    return int(distances.min(1).argmax())


def blue(page: Page) -> int:
    """Pixels of the map in the colour of the first family."""
    return page.evaluate(BLUE)


def test_the_page_shows_the_run_and_is_silent(page):
    expect(page.locator("#run-name")).to_have_text("stand-in")
    expect(page.locator("#figure-db")).to_have_text("5.4 dB")
    expect(page.locator("#figure-bits")).to_have_text("42 bits")
    expect(page.locator("#verdict")).to_contain_text("3 of 3 dimensions")
    expect(page.locator("#training-text")).to_contain_text("epoch 3 of 12")
    expect(page.locator("#map-switch button")).to_have_count(2)
    assert page.evaluate("document.getElementById('level').value") == 0
    assert blue(page) > 300
    expect(page.locator("#sound-by-line")).to_be_hidden()  # there is one way only


def test_a_click_on_a_sound_plays_it_and_shows_both_pictures(page, place):
    index = alone(place)
    x, y = pixel(page, place, place.parts[1].maps["umap"][index])
    page.mouse.move(x, y)
    name = page.locator("#tip strong").inner_text()
    with page.expect_response("**/original.wav") as answer:
        page.mouse.click(x, y)
    assert f"/sounds/{100 + index}/" in answer.value.url
    until(page, SOUNDS)
    assert page.evaluate("document.getElementById('level').value") < 0.85
    expect(page.locator("#card-name")).to_have_text(name)
    for picture in ("picture-original", "picture-model"):
        until(page, f"document.getElementById('{picture}').width === 64")
        lit = page.evaluate(
            f"Math.max(...document.getElementById('{picture}').getContext('2d')"
            ".getImageData(0, 0, 64, 40).data.filter((_, i) => i % 4 === 0))"
        )
        assert lit > 200
    page.click("#play-model")
    expect(page.locator("#said")).to_contain_text("what the model keeps of " + name)


def test_a_sound_names_those_most_like_it_and_one_of_them_is_chosen(page, place):
    space, index = place.parts[1], alone(place)
    page.mouse.click(*pixel(page, place, space.maps["umap"][index]))
    alike = page.locator("#near-list button span")
    expect(alike).to_have_count(5)
    expect(page.locator("#near-title")).to_have_text("Most alike for the model")
    far = np.linalg.norm(space.mean - space.mean[index], axis=1)
    next_name = alike.first.inner_text()
    alike.first.click()
    expect(page.locator("#card-name")).to_have_text(next_name)
    until(page, SOUNDS)
    assert next_name == place.parts[0].corpus.rows.name(100 + int(far.argsort()[1]))


def test_a_click_between_plays_what_the_model_makes_and_far_is_said(page, place):
    spot = np.array([5.0, 2.0])
    with page.expect_response("**/api/point") as answer:
        page.mouse.click(*pixel(page, place, spot))
    asked = json.loads(answer.value.request.post_data)
    assert asked["map"] == "umap" and asked["pitch"] is None
    assert np.allclose([asked["x"], asked["y"]], spot, atol=0.1)
    until(page, SOUNDS)
    expect(page.locator("#card-kind")).to_have_text("Made by the model")
    expect(page.locator("#far")).to_be_visible()
    expect(page.locator("#far")).to_contain_text("Far from all sounds")
    expect(page.locator("#said")).to_contain_text("Far from all sounds")
    nearest = page.locator("#near-list button")
    expect(nearest).to_have_count(5)
    page.keyboard.down("Alt")  # on a sound, the model's version of the spot; and it is not far
    page.mouse.click(*pixel(page, place, place.parts[1].maps["umap"][alone(place)]))
    page.keyboard.up("Alt")
    expect(page.locator("#card-kind")).to_have_text("Made by the model")
    expect(page.locator("#far")).to_be_hidden()


def test_a_drag_from_sound_to_sound_morphs(page, place):
    points = place.parts[1].maps["umap"]
    first, last = int(points[:, 0].argmin()), int(points[:, 0].argmax())
    page.mouse.move(*pixel(page, place, points[first]))
    page.mouse.down()
    page.mouse.move(*pixel(page, place, points.mean(0)), steps=3)
    page.mouse.move(*pixel(page, place, points[last]), steps=3)
    with page.expect_response("**/api/morph") as answer:
        page.mouse.up()
    asked = json.loads(answer.value.request.post_data)
    assert (asked["a"], asked["b"], asked["steps"]) == (100 + first, 100 + last, 8)
    assert len(answer.value.json()["steps"]) == 8
    until(page, SOUNDS)
    until(page, "Number(document.getElementById('morph-at').value) >= 14")  # it moves on
    with page.expect_response("**/api/morph") as answer:
        page.locator("#morph-at").focus()
        page.keyboard.press("End")
    assert json.loads(answer.value.request.post_data)["at"] == 1
    expect(page.locator("#card-kind")).to_have_text("Morph, 100 % of the way")
    page.fill("#glide-seconds", "2")
    with page.expect_response("**/api/glide") as answer:
        page.click("#glide-play")
    asked = json.loads(answer.value.request.post_data)
    assert (asked["a"], asked["b"], asked["seconds"]) == (100 + first, 100 + last, 2)
    expect(page.locator("#said")).to_contain_text("Playing one sound that goes from")
    until(page, SOUNDS)
    expect(page.locator("#card-kind")).to_have_text("Glide: one sound from A to B")
    expect(page.locator("#axes")).to_contain_text("0 to 2.0")  # seconds


DRAG = """async () => {
  let heard = 0, place = 0;
  const start = AudioBufferSourceNode.prototype.start, slider = document.getElementById("morph-at");
  AudioBufferSourceNode.prototype.start = function (...how) { heard += 1; return start.apply(this, how); };
  for (const end = performance.now() + 2000; performance.now() < end;) {
    slider.value = String(10 + (place++ % 80));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((done) => setTimeout(done, 4));
  }
  return heard;
}"""  # sounds that begin while the slider moves faster than any server answers


def test_a_morph_is_heard_while_its_slider_moves(page, place):
    for key, end in (("Home", "a"), ("End", "b")):
        page.locator("#list").focus()
        page.keyboard.press(key)
        page.keyboard.press("Enter")
        until(page, SOUNDS)
        page.keyboard.press(end)
    expect(page.locator("#morph-at")).to_be_enabled()
    assert page.evaluate(DRAG) >= 3


WHITE = """([x, y]) => {
  const canvas = document.getElementById("map"), box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  const at = canvas.getContext("2d").getImageData((x - box.x) * scale - 2, (y - box.y) * scale - 2, 5, 5).data;
  return Math.max(...at.filter((_, i) => i % 4 < 3));
}"""  # the brightest colour within two pixels


def test_the_way_of_a_morph_is_drawn_where_it_runs(page, place):
    points = place.parts[1].maps["umap"]
    first, last = int(points[:, 0].argmin()), int(points[:, 0].argmax())
    page.select_option("#morph-kind", "lerp")
    page.mouse.move(*pixel(page, place, points[first]))
    page.mouse.down()
    page.mouse.move(*pixel(page, place, points.mean(0)), steps=3)
    page.mouse.move(*pixel(page, place, points[last]), steps=3)
    with page.expect_response("**/api/way"):
        page.mouse.up()
    with page.expect_response("**/api/way") as answer:
        page.select_option("#morph-kind", "follow")
    assert json.loads(answer.value.request.post_data)["kind"] == "follow"
    way = answer.value.json()
    places = np.column_stack([way["xs"], way["ys"]])
    np.testing.assert_allclose(places[[0, -1]], points[[first, last]], atol=1e-4)
    page.mouse.move(*pixel(page, place, points[first]))  # the hover's ring is elsewhere
    for at in (8, 16, 24):
        spot = list(pixel(page, place, places[at]))
        end = time.monotonic() + 8
        while page.evaluate(WHITE, spot) < 250:
            assert time.monotonic() < end, f"nothing is drawn at {at} of 33"
            page.wait_for_timeout(50)


def test_everything_works_with_the_keyboard_alone(page):
    page.keyboard.press("/")
    page.keyboard.type("organ 25")  # family and velocity
    expect(page.locator("#list-count")).to_contain_text("of 90")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Playing the original of organ")
    first = page.locator("#card-name").inner_text()
    page.keyboard.press("r")
    expect(page.locator("#said")).to_contain_text("what the model keeps")
    page.keyboard.press("a")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#card-name")).not_to_have_text(first)
    page.keyboard.press("b")
    with page.expect_response("**/api/morph") as answer:
        page.keyboard.press("m")
    assert answer.value.ok
    expect(page.locator("#said")).to_contain_text(f"Playing the morph from {first}")
    page.keyboard.press("Escape")
    expect(page.locator("#said")).to_have_text("Silence.")
    page.keyboard.press("g")
    page.keyboard.press("n")  # the cross jumps to a sound and tells which
    expect(page.locator("#said")).to_contain_text("family")
    page.keyboard.press("Enter")
    expect(page.locator("#card-kind")).to_have_text("Sound")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    with page.expect_response("**/api/point") as answer:
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Enter")
    assert answer.value.ok
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_what_is_lost_where_is_heard_and_read(page, place):
    page.mouse.click(*pixel(page, place, place.parts[1].maps["umap"][alone(place)]))
    expect(page.locator("#play-model")).to_be_enabled()
    cells = page.locator("#lost tbody td")
    expect(cells.first).to_be_hidden()  # nothing is measured before it is asked for
    assert place.parts[2].encoded == 0
    with page.expect_response("**/lost"):
        page.keyboard.press("1")
    expect(page.locator("#said")).to_contain_text("with its true magnitudes and phase found")
    until(page, SOUNDS)
    expect(cells).to_have_text([re.compile(r"\d")] * 9)
    figures = [float(text) for text in page.locator("#lost td:nth-child(2)").all_inner_texts()]
    assert figures == sorted(figures) and figures[0] < 0.5 < figures[2]
    expect(page.locator("#lost-words")).to_contain_text("Most is lost in the model")
    page.locator("#lost-picture button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("from its own picture, without the model")
    with page.expect_download() as got:
        page.keyboard.press("d")
    assert got.value.suggested_filename.endswith("_picture.wav")
    first = page.locator("#lost td").all_inner_texts()
    with page.expect_response("**/lost"):  # the next sound's, as long as it is open
        page.locator("#list").focus()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
    expect(cells).to_have_text([re.compile(r"\d")] * 9)
    assert page.locator("#lost td").all_inner_texts() != first
    page.keyboard.down("Alt")
    page.mouse.click(*pixel(page, place, np.array([4.0, 0.0])))
    page.keyboard.up("Alt")
    expect(page.locator("#card-kind")).to_have_text("Made by the model")
    expect(page.locator("#lost")).to_be_hidden()


def test_tab_reaches_every_control(page):
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    wanted = {"map", "list", "search", "colour-by", "zoom-in", "piano", "pitch-own", "morph-kind",
              "morph-steps", "volume", "help-open"}  # fmt: skip
    assert wanted <= reached


def test_the_pitch_can_be_chosen(page, place):
    index = alone(place)
    page.mouse.click(*pixel(page, place, place.parts[1].maps["umap"][index]))
    expect(page.locator("#pitch-own")).to_be_checked()
    own = place.parts[1].labels["pitch"][index]
    expect(page.locator("#pitch-number")).to_have_value(str(own))
    with page.expect_response(f"**/reconstruction.wav?pitch={own + 1}"):
        page.keyboard.press("]")
    expect(page.locator("#pitch-own")).not_to_be_checked()
    with page.expect_response("**/reconstruction.wav?pitch=*") as answer:
        page.locator("#piano").click(position={"x": 5, "y": 25})
    low = int(answer.value.url.partition("pitch=")[2])
    assert low == 36  # the C at the left end, below the lowest pitch of the sounds
    expect(page.locator("#pitch-name")).to_have_text("C2")
    with page.expect_response("**/reconstruction.wav?pitch=36"):  # it holds for the next sound too
        page.locator("#list").focus()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
    with page.expect_response("**/reconstruction.wav"):
        page.keyboard.press("p")
    expect(page.locator("#pitch-own")).to_be_checked()


def test_what_was_heard_is_downloaded_as_wav(page, place):
    page.mouse.click(*pixel(page, place, place.parts[1].maps["umap"][alone(place)]))
    expect(page.locator("#download")).to_be_enabled()
    with page.expect_download() as got:
        page.keyboard.press("d")
    assert got.value.suggested_filename.endswith("_original.wav")
    samples, sample_rate = soundfile.read(io.BytesIO(got.value.path().read_bytes()))
    assert sample_rate == 16000 and len(samples) == 64 * 256 and np.abs(samples).max() > 0.3


def test_what_is_chosen_is_sent_to_the_page_of_effects(page, place):
    index = alone(place)
    assert page.locator("#to-effects").is_disabled()
    page.mouse.click(*pixel(page, place, place.parts[1].maps["umap"][index]))
    expect(page.locator("#to-effects")).to_be_enabled()
    name = page.locator("#card-name").inner_text()
    page.keyboard.press("f")
    expect(page.locator("#said")).to_contain_text(f"{name} is played")
    expect(page.locator("#list-count")).to_have_text("90")
    page.click("#to-map")
    expect(page.locator("#said")).to_contain_text("90 sounds on the map")
    page.keyboard.down("Alt")
    page.mouse.click(*pixel(page, place, np.array([5.0, 2.0])))
    page.keyboard.up("Alt")
    expect(page.locator("#said")).to_contain_text("Playing what the model makes at this spot")
    page.keyboard.press("f")
    expect(page.locator("#said")).to_contain_text("Between the sounds is played")


def test_a_whole_morph_is_one_wav(page):
    page.locator("#morph-steps").fill("3")
    page.locator("#list").focus()
    for key in ("ArrowDown", "Enter", "a", "ArrowDown", "Enter", "b", "m"):
        page.keyboard.press(key)
        if key == "Enter":
            expect(page.locator("#play-original")).to_be_enabled()
    expect(page.locator("#morph-download")).to_be_enabled()
    with page.expect_download() as got:
        page.click("#morph-download")
    samples, _ = soundfile.read(io.BytesIO(got.value.path().read_bytes()))
    assert len(samples) == 3 * 64 * 256
    assert all(np.abs(part).max() > 0.1 for part in np.split(samples, 3))


def test_colours_and_legend(page):
    expect(page.locator("#legend button")).to_have_count(3)
    before = blue(page)
    page.locator("#legend button", has_text="bass").click()
    expect(page.locator("#list-count")).to_have_text("60 of 90")
    page.wait_for_timeout(60)
    assert before > 300 and blue(page) < before / 10
    page.select_option("#colour-by", "pitch")
    expect(page.locator("#legend .scale")).to_contain_text("C3 (48)")
    expect(page.locator("#list-count")).to_have_text("90")  # the filter belongs to the family
    page.select_option("#colour-by", "split")
    expect(page.locator("#legend button")).to_have_count(2)


def test_zoom_and_pan(page, place):
    def where(x: float, y: float) -> np.ndarray:
        with page.expect_response("**/api/point") as answer:
            page.keyboard.down("Alt")
            page.mouse.click(x, y)
            page.keyboard.up("Alt")
        asked = json.loads(answer.value.request.post_data)
        return np.array([asked["x"], asked["y"]])

    x, y = pixel(page, place, np.array([4.0, 0.0]))
    held, beside = where(x, y), where(x + 100, y)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    page.wait_for_timeout(60)
    assert np.allclose(where(x, y), held, atol=0.05)  # the place under the pointer stays
    closer = where(x + 100, y)
    assert (closer - held)[0] < 0.6 * (beside - held)[0]
    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=2)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert np.allclose(where(x + 100, y), held, atol=0.05)
    page.click("#zoom-reset")
    assert np.allclose(where(x, y), held, atol=0.05)
    page.get_by_role("radio", name="PCA").click()
    expect(page.get_by_role("radio", name="PCA")).to_be_checked()
    a, b = pixel(page, place, np.array([0.0, 3.0]), "pca")
    assert np.allclose(where(a, b), [0.0, 3.0], atol=0.05)


def test_names_with_html_stay_text(page, place):
    page.locator("#search").fill("onerror")
    expect(page.locator("#list-count")).to_have_text("1 of 90")
    page.keyboard.press("Enter")
    expect(page.locator("#card-name")).to_have_text(NASTY)
    page.mouse.move(*pixel(page, place, place.parts[1].maps["umap"][7]))
    page.select_option("#colour-by", "comment")
    page.keyboard.press("a")
    assert page.locator("[onerror]").count() == 0 and page.title() == "stand-in · timbrespace"


def test_the_map_follows_the_training_behind_it(page, place):
    page.mouse.click(*pixel(page, place, place.parts[1].maps["umap"][alone(place)]))
    name = page.locator("#card-name").inner_text()
    older, newer = place.parts, build()
    newer[0].state = {**newer[0].state, "epoch": 7}
    newer[1].maps = {"pca": newer[1].maps["pca"][:, ::-1].copy()}
    newer[1].version = "two"
    place.parts = newer
    place.stamp += 1
    expect(page.locator("#training-text")).to_contain_text("epoch 7 of 12")
    expect(page.locator("#said")).to_contain_text("newest state")
    expect(page.locator("#map-switch button")).to_have_count(1)
    expect(page.locator("#card-name")).to_have_text(name)  # the selection stays
    place.parts = older
    place.stamp += 1


def test_a_list_and_a_slider_tell_the_model_other_labels(browser):
    place = Place(build(told=("family", "velocity")))
    tab = browser.new_page()
    tab.goto(place.url)
    said = tab.locator("#said")
    expect(said).to_contain_text("90 sounds on the map")
    tab.fill("#search", "organ_005")
    tab.press("#search", "Enter")
    expect(said).to_contain_text("Playing the original")
    tab.select_option("#told select", label="flute")
    expect(said).to_contain_text("Playing what the model keeps")
    assert place.parts[2].said == {"family": ["flute"], "velocity": [50]}
    tab.uncheck("#told input[type=checkbox]")
    expect(said).to_contain_text("Playing what the model keeps")
    assert place.parts[2].said == {"family": ["flute"], "velocity": ["100"]}
    tab.fill("#pitch-number", "60.5")
    tab.press("#pitch-number", "Enter")
    expect(tab.locator("#pitch-name")).to_have_text("C♯4 −50 ct")
    tab.close()
    place.close()


def test_what_makes_the_sound_is_chosen_and_heard(browser):
    place = Place(build(), {"classical": None, "upside-down": np.negative})
    tab = browser.new_page()
    tab.goto(place.url)
    said, choice = tab.locator("#said"), tab.get_by_label("sound by")
    expect(said).to_contain_text("90 sounds on the map")
    assert choice.locator("option").all_inner_texts() == [
        "the classical way", "the vocoder upside-down"
    ]  # fmt: skip
    tab.fill("#search", "organ_005")
    tab.press("#search", "Enter")
    expect(tab.locator("#play-model")).to_be_enabled()
    samples = []
    for name in ("upside-down", "classical"):
        with tab.expect_response("**/reconstruction.wav**") as answer:
            choice.select_option(name)
        samples.append(soundfile.read(io.BytesIO(answer.value.body()))[0])
        expect(said).to_contain_text("Playing what the model keeps of organ_005")
    assert np.abs(samples[0]).max() > 0.1 and np.allclose(samples[0], -samples[1], atol=1e-4)
    choice.select_option("upside-down")
    with tab.expect_request("**/lost**") as lost:
        tab.locator("#lost summary").click()
    assert lost.value.url.endswith("/lost?sound_by=upside-down")
    expect(tab.locator("#lost-words")).to_contain_text("MR-STFT")
    with tab.expect_request("**/lost**") as lost:
        choice.select_option("classical")
    assert lost.value.url.endswith("/lost?sound_by=classical")
    for do, path in (
        (lambda: tab.keyboard.press("q"), "play"), (lambda: tab.click("#export"), "export")
    ):  # fmt: skip
        choice.select_option("upside-down")
        tab.locator("#map").focus()
        with tab.expect_request(f"**/api/{path}") as asked:
            do()
        assert asked.value.post_data_json["sound_by"] == "upside-down"
    tab.close()
    place.close()


def test_sliders_move_what_is_played_along_named_directions(browser, tmp_path):
    place = Place(with_directions(build(), tmp_path))
    tab = browser.new_page()
    tab.goto(place.url)
    said, line = tab.locator("#said"), tab.locator("#toward .direction")
    expect(line).to_have_count(1)
    expect(line).to_contain_text("0.81 / 1.00")
    expect(tab.locator("#toward-weak .direction")).to_be_hidden()  # folded away
    tab.fill("#search", "organ_005")
    tab.press("#search", "Enter")
    expect(said).to_contain_text("Playing the original")
    slider = tab.get_by_label("bright")
    with tab.expect_response("**/reconstruction.wav*toward.bright=0.1*") as answer:
        slider.press("ArrowRight")
    assert answer.value.ok
    expect(line.locator("output")).to_have_text("+0.1")
    expect(said).to_contain_text("Playing what the model keeps")
    until(tab, SOUNDS)
    tab.click("#toward-weak summary")
    with tab.expect_response("**/reconstruction.wav*toward.rough=-3*") as answer:
        tab.get_by_label("rough").press("Home")
    assert "toward.bright=0.1" in answer.value.url
    tab.keyboard.down("Alt")
    with tab.expect_response("**/api/point") as answer:
        tab.mouse.click(*pixel(tab, place, np.array([5.0, 2.0])))
    tab.keyboard.up("Alt")
    assert json.loads(answer.value.request.post_data)["toward"] == {"bright": 0.1, "rough": -3}
    with tab.expect_response("**/api/point") as answer:
        tab.keyboard.press("z")
    assert json.loads(answer.value.request.post_data)["toward"] == {}
    expect(slider).to_have_value("0")
    expect(tab.locator("#toward-reset")).to_be_disabled()
    tab.close()
    place.close()


def test_what_is_chosen_is_played_from_keys_and_exported(page, place):
    page.fill("#search", "organ_005")
    page.press("#search", "Enter")
    expect(page.locator("#said")).to_contain_text("Playing the original")
    row = {"kind": "sound", "row": 105}

    def played(do) -> tuple[dict[str, Any], float]:
        with page.expect_response("**/api/play") as answer:
            do()
        assert answer.value.ok
        asked = json.loads(answer.value.request.post_data)
        return asked, float(answer.value.headers["x-seconds"])

    asked, seconds = played(lambda: page.keyboard.press("6"))
    assert (asked["place"], asked["pitch"], asked["velocity"]) == (row, 54, 100)
    assert seconds == pytest.approx(64 * 256 / 16000)
    expect(page.locator("#said")).to_contain_text("Playing F♯3 of organ_005")
    page.keyboard.press("Escape")
    until(page, "document.getElementById('level').value < 0.005")
    page.keyboard.press(".")
    expect(page.locator("#octaves")).to_have_text("C4 – B5")
    page.locator("#play-velocity").press("ArrowLeft")
    page.fill("#play-seconds", "0.5")
    keys = page.locator("#keyboard")
    box = keys.bounding_box()
    assert box is not None
    asked, seconds = played(
        lambda: keys.click(position={"x": box["width"] - 4, "y": box["height"] / 2 + 10})
    )
    assert (asked["pitch"], asked["velocity"], seconds) == (83, 99, 0.5)
    until(page, SOUNDS)
    asked, _ = played(lambda: keys.press("ArrowRight"))
    assert asked["pitch"] == 84
    expect(page.locator("#octaves")).to_have_text("C6 – B7")
    page.keyboard.down("Alt")
    with page.expect_response("**/api/point"):
        page.mouse.click(*pixel(page, place, np.array([5.0, 2.0])))
    page.keyboard.up("Alt")
    assert played(lambda: page.keyboard.press("q"))[0]["place"]["kind"] == "spot"
    page.fill("#export-keys", "C4-B4")
    with page.expect_download() as got:
        page.click("#export")
    assert got.value.suggested_filename == "spot-sfz.zip"
    with zipfile.ZipFile(got.value.path()) as pack:
        assert {"spot/spot.sfz", "spot/samples/spot_C4_v100.wav"} <= set(pack.namelist())
    expect(page.locator("#said")).to_contain_text("Saved spot-sfz.zip")
    expect(page.locator("#export-progress")).to_be_hidden()


def test_the_ends_of_a_morph_are_exported_in_flac(page):
    page.select_option("#export-of", label="A to B over velocity")
    page.click("#export")
    expect(page.locator("#said")).to_contain_text("Set two different sounds, A and B")
    for name, key in (("organ_005", "a"), ("organ_008", "b")):
        page.fill("#search", name)
        page.press("#search", "Enter")
        expect(page.locator("#card-name")).to_have_text(name)
        page.keyboard.press(key)
    page.fill("#export-keys", "C4")
    page.select_option("#export-format", "flac")
    with page.expect_download() as got:
        page.click("#export")
    name = "organ-005-to-organ-008"
    assert got.value.suggested_filename == f"{name}-sfz.zip"
    with zipfile.ZipFile(got.value.path()) as pack:
        flacs = {one for one in pack.namelist() if one.endswith(".flac")}
    assert flacs == {f"{name}/samples/{name}_C4_v{v:03d}.flac" for v in (21, 64, 106)}


def test_an_export_can_be_stopped_and_what_cannot_be_done_is_a_sentence(browser):
    place = Place(build(pitched=False))
    synth, may = place.parts[2], threading.Event()
    decode = synth.decode
    tab = browser.new_page()
    tab.goto(place.url)
    said = tab.locator("#said")
    expect(said).to_contain_text("90 sounds on the map")
    expect(tab.locator("#play-why")).to_contain_text("not told the pitch")
    expect(tab.locator("#keyboard")).to_be_hidden()
    tab.click("#export")
    expect(said).to_contain_text("Select a sound or a spot first")
    tab.fill("#search", "organ_005")
    tab.press("#search", "Enter")
    expect(said).to_contain_text("Playing the original")
    tab.keyboard.press("q")
    expect(said).to_contain_text("cannot play another; an export leaves that to a sampler")
    tab.fill("#export-keys", "high")
    tab.click("#export")
    expect(said).to_contain_text("keys should look like C2-C6")
    expect(said).to_have_class("said bad")
    synth.decode = lambda *a, **k: may.wait(10) and decode(*a, **k)
    tab.fill("#export-keys", "C2-C6")
    tab.click("#export")
    expect(tab.locator("#export")).to_be_disabled()
    with tab.expect_response("**/api/export/stop"):
        tab.click("#export-stop")
    may.set()
    expect(said).to_have_text("Export stopped.")
    expect(tab.locator("#export")).to_be_enabled()
    tab.close()
    place.close()


def test_before_the_first_space_the_page_waits_for_it(browser):
    parts = build()
    place = Place((parts[0], None, None))
    tab = browser.new_page()
    tab.goto(place.url)
    expect(tab.locator("#empty")).to_contain_text("The map appears when the first space is ready")
    expect(tab.locator("#pitch-card")).to_be_hidden()
    place.parts, place.stamp = parts, 2
    expect(tab.locator("#said")).to_contain_text("90 sounds on the map")
    expect(tab.locator("#empty")).to_be_hidden()
    expect(tab.locator("#pitch-card")).to_be_visible()
    tab.close()
    place.close()


@pytest.mark.parametrize("width", [380, 820, 1720])
def test_it_fits_narrow_and_wide(browser, place, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, has_touch=width < 900)
    tab = context.new_page()
    tab.goto(place.url)
    expect(tab.locator("#said")).to_contain_text("90 sounds")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.locator("#map").bounding_box()
    assert box is not None and box["width"] > 0.4 * width and box["height"] >= 300
    if width < 900:
        tab.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(tab.locator("#card-kind")).not_to_have_text("Nothing selected yet")
    context.close()
