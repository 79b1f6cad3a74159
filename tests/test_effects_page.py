"""Effects in the browser: what the server renders and refuses, that nothing hurts ears, and the page itself
in a real headless browser."""

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from queue import Queue
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from browsing import SOUNDS, until
from explorer_stand_in import build
from playwright.sync_api import Browser, Page, expect
from starlette.testclient import TestClient

from timbrespace import verbs, verbs_effects
from timbrespace.audio.files import Audio
from timbrespace.audio.level import fade_edges
from timbrespace.controller import Axis
from timbrespace.data.pairs import Pairs
from timbrespace.effects.catalogue import find
from timbrespace.errors import EffectError
from timbrespace.explorer import effects_server, server
from timbrespace.explorer.effects_server import build_app
from timbrespace.explorer.playing import PEAK, Playing
from timbrespace.explorer.session import Session
from timbrespace.explorer.sounds import Shelf, Source, played
from timbrespace.explorer.view import NotHere
from timbrespace.explorer.web import serve_app

RATE = 16000


class Notes(Source):
    """A tone that decays, twice, the second one in stereo and an octave higher."""

    words = "Two notes"

    def names(self) -> list[tuple[int, str]]:
        return [(0, "low"), (1, "high, stereo")]

    def audio(self, number: int) -> Audio:
        if number > 1:
            raise NotHere("There is no such note.")
        t = np.arange(2 * RATE) / RATE
        tone = sum(np.sin(2 * np.pi * 220 * (number + 1) * k * t) / k for k in range(1, 9))
        tone = (0.2 * np.exp(-2 * t) * tone).astype(np.float32)
        return Audio(np.stack([tone, 0.5 * tone]) if number else tone[None], RATE)


class Line:
    """A controller of overdrive's stand-in: one axis is drive, the other a tone that goes down."""

    effect, kind = "overdrive", "stand-in"
    axes = (Axis("effect", 0.9, "drive", 1.0), Axis("brightness", -0.9, "tone", -1.0))
    clean = np.zeros(2)

    def knobs(self, position: np.ndarray) -> np.ndarray:
        return np.array([position[0], 1.0 - position[1], 0.5])

    def position(self, units: np.ndarray) -> np.ndarray:
        return np.array([units[0], 1.0 - units[1]])


def playing() -> Playing:
    return Playing(Notes(), controllers=[Line()])  # type: ignore[list-item]


@pytest.fixture
def client() -> Iterator[TestClient]:
    known = playing()
    yield TestClient(build_app(known), base_url="http://127.0.0.1:8765")
    known.work.close()


def heard(answer) -> np.ndarray:
    """The samples (channels, n) of an answer."""
    channels = json.loads(answer.headers["x-facts"])["channels"]
    return np.frombuffer(answer.content, "<f4").reshape(channels, -1)


def facts(answer) -> dict:
    return json.loads(answer.headers["x-facts"])


def rendered(client: TestClient, **changes):
    question = {"sound": 0, "effect": "overdrive", "values": {"drive": 20.0}, **changes}
    return client.post("/api/effects/render", json=question)


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def dropped(client: TestClient, data: bytes, name: str = "a b.wav", **headers: str):
    kind = {
        "content-type": "application/octet-stream",
        "x-name": name.replace(" ", "%20"),
        **headers,
    }
    return client.post(effects_server.DROP, content=data, headers=kind)


# ---- what is rendered ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["overdrive", "delay", "overdrive+reverb"])
def test_what_is_heard_is_the_effect_s_own_render(client, name):
    effect = find(name)
    values = {knob.name: knob.from_unit(0.3) for knob in effect.knobs}
    answer = rendered(client, sound=1, effect=name, values=values)
    own = effect.render(Notes().audio(1).samples, RATE, values)
    assert facts(answer)["setting"] == pytest.approx(values) and facts(answer)["lowered_db"] == 0.0
    assert np.array_equal(heard(answer), fade_edges(own, RATE, 5.0))
    dry = rendered(client, effect=None, values={})
    assert np.array_equal(heard(dry)[0], fade_edges(Notes().audio(0).samples[0], RATE, 5.0))


def test_a_place_on_the_pad_turns_the_knobs_and_knobs_have_a_place(client):
    answer = rendered(client, values={}, at=[0.25, 1.0], controller=0)
    setting = facts(answer)["setting"]
    assert setting == pytest.approx({"drive": 10.0, "tone": 800.0, "asymmetry": 0.5})
    back = rendered(client, values=setting, controller=0)
    assert facts(back)["place"] == pytest.approx([0.25, 1.0])
    assert np.array_equal(heard(answer), heard(back))


def test_no_setting_is_louder_than_the_cap_or_begins_in_mid_air():
    known, rng = playing(), np.random.default_rng(3)
    known.shelf.source.audio = lambda number: Audio(np.ones((1, RATE), np.float32), RATE)  # type: ignore[method-assign]
    for name in ("eq", "reverb", "overdrive", "compressor"):
        effect = known.effect(name)
        for places in [*rng.random((4, len(effect.knobs))), np.ones(len(effect.knobs))]:
            wet = known.render(0, name, effect.from_units(places))
            assert np.abs(wet.samples).max() <= PEAK + 1e-6
            assert np.abs(wet.samples[:, [0, -1]]).max() < 1e-3
    assert known.render(0, "eq", effect_at(known, "eq", 1.0)).lowered_db > 6.0


def effect_at(known: Playing, name: str, place: float) -> dict[str, float]:
    effect = known.effect(name)
    return effect.from_units(np.full(len(effect.knobs), place))


def test_a_knob_that_cannot_be_heard_in_this_sound_says_why(client):
    def unheard(sound: int) -> dict[str, str | None]:
        told = client.post("/api/effects/effect", json={"effect": "chorus", "sound": sound}).json()
        return {knob["name"]: knob["unheard"] for knob in told["knobs"]}

    assert set(unheard(0).values()) == {None}
    short = dropped(client, wav(np.zeros(RATE // 2))).json()["sound"]
    assert unheard(short)["rate"] == "rate needs 1 s to be heard, and this sound has 0.5 s"
    assert unheard(short)["mix"] is None


def long_sound(seconds: float = 5.0, rate: int = 44100) -> np.ndarray:
    """Struck twice a second, in stereo (2, n)."""
    t = np.arange(round(seconds * rate)) / rate
    tone = 0.2 * np.exp(-6 * (t % 0.5)) * np.sin(2 * np.pi * 220 * t)
    return np.stack([tone, tone[::-1]]).astype(np.float32)


@pytest.mark.parametrize("name", ["phaser", "flanger", "multiband", "delay", "lv2:Overdrive"])
@pytest.mark.parametrize("moment", [0.0, 1.7, 4.6])
def test_what_is_heard_next_of_a_long_sound_is_a_stretch_of_the_whole(client, name, moment):
    sound = dropped(client, wav(long_sound().T, 44100)).json()["sound"]
    question = {"sound": sound, "effect": name, "values": {}}
    whole, part = heard(rendered(client, **question)), rendered(client, moment=moment, **question)
    stretch, first = heard(part), facts(part)["first"]
    assert stretch.shape == (2, 44100) and first == round(44100 * moment)
    own = np.take(whole, np.arange(first, first + 44100), axis=1, mode="wrap")
    off = np.sqrt(np.mean((stretch - own) ** 2)) / np.sqrt(np.mean(own**2))
    assert off < 0.02 and facts(part)["setting"] == facts(rendered(client, **question))["setting"]


def test_a_short_sound_comes_whole_whenever_it_is_listened_to(client):
    answer = rendered(client, moment=1.0)
    assert facts(answer)["first"] is None and heard(answer).shape == (1, 2 * RATE)


def test_the_picture_is_that_of_what_is_heard(client):
    question = {"sound": 0, "effect": "overdrive", "values": {"tone": 800.0, "drive": 0.0}}
    dark = client.post("/api/effects/picture", json=question)
    mels, frames = int(dark.headers["x-mels"]), int(dark.headers["x-frames"])
    bright = client.post("/api/effects/picture", json={**question, "values": {"tone": 7000.0}})
    one, other = (np.frombuffer(a.content, np.uint8).reshape(mels, frames) for a in (dark, bright))
    assert one.max() == 255 and one[50:].mean() < 0.7 * other[50:].mean()


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"values": {"drvie": 3.0}}, 422, "overdrive has no knob 'drvie'; did you mean drive?"),
        ({"values": {"drive": 99.0}}, 422, "drive should be from 0 dB to 40 dB, got 99.0"),
        ({"values": {"drive": "loud"}}, 422, "values"),
        ({"effect": "overdive"}, 422, "there is no effect 'overdive' here; did you mean overdrive?"),
        ({"effect": "vst3:/tmp/evil.so"}, 422, "there is no effect 'vst3:/tmp/evil.so' here"),
        ({"effect": "overdrive+lv2:/tmp/evil"}, 422, "there is no effect"),
        ({"sound": 7}, 404, "There is no such note"),
        ({"sound": 10**9}, 404, "drop it again"),
        ({"controller": 3, "at": [0.5, 0.5]}, 404, "no controller 3"),
        ({"controller": 0, "effect": "delay", "values": {}}, 422, "plays overdrive, not delay"),
        ({"at": [0.5, 0.5]}, 422, "a place lies on the pad of a controller"),
        ({"at": [0.5, 1.5], "controller": 0}, 422, "at: "),
        ({"rate": 100}, 422, "rate: "),
        ({"moment": 11.0}, 422, "moment: "),
        ({"path": "/etc/passwd"}, 422, "path: "),
    ],
)  # fmt: skip
def test_what_cannot_be_played_is_a_sentence(client, change, status, words):
    answer = rendered(client, **change)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.json()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ('{"sound": 0, "effect": "overdrive", "values": {"drive": NaN}}', {}, 422),
        ('{"sound": 0, "effect": "' + 'a' * 20_000 + '"}', {}, 413),
        ('{"sound": 0}', {"host": "evil.example"}, 403),
        ('{"sound": 0}', {"origin": "http://evil.example"}, 403),
        ('{"sound": 0}', {"content-type": "application/octet-stream"}, 415),
    ],
)  # fmt: skip
def test_what_is_no_question_of_our_page_is_refused(client, body, headers, status):
    headers = {"content-type": "application/json", **headers}
    answer = client.post("/api/effects/render", content=body, headers=headers)
    assert answer.status_code == status and answer.json()["error"].endswith((".", "PCM"))


def test_a_dropped_file_is_played_by_its_name(client):
    tone = 0.3 * np.sin(np.arange(3 * 44100) / 10)
    answer = dropped(client, wav(np.stack([tone, tone, tone], 1), 44100)).json()
    assert answer["name"] == "a b.wav"
    assert client.get("/api/effects").json()["sounds"][0] == [answer["sound"], "a b.wav"]
    played = heard(rendered(client, sound=answer["sound"], effect=None, values={}))
    assert played.shape == (1, 3 * 44100) and np.allclose(
        played[0, 300:-300], tone[300:-300], atol=1e-6
    )
    at_16k = rendered(client, sound=answer["sound"], effect=None, values={}, rate=RATE)
    assert heard(at_16k).shape == (1, 3 * RATE)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"), (b"RIFF\0\0\0\0WAVEno sound", "cannot be decoded"), (b"<html>", "a b.wav cannot be"),
        (wav(np.full(4000, np.nan)), "NaN"), (wav(np.full(4000, 1e4)), "reach 1e+04"),
        (wav(np.zeros(3)), "3 samples"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",  # a WAV's bytes hold the time
)  # fmt: skip
def test_a_file_that_is_no_sound_is_a_sentence_without_a_path(client, data, words):
    answer = dropped(client, data)
    assert answer.status_code == 422 and words in answer.json()["error"]
    assert "/tmp" not in answer.json()["error"] and answer.json()["field"] == "file"


def test_a_file_is_limited_and_comes_from_our_page_only(client, monkeypatch):
    assert dropped(client, b"RIFF", origin="http://evil.example").status_code == 403
    assert dropped(client, b"RIFF", **{"content-type": "text/plain"}).status_code == 415
    assert dropped(client, b"RIFF", **{"content-length": str(2**26)}).status_code == 413


def test_a_long_sound_is_played_from_its_beginning_and_odd_rates_are_brought_in():
    sound = played("long", Audio(np.zeros((5, 4000 * 30), np.float32), 4000))
    assert (sound.sample_rate, len(sound.samples), sound.seconds, sound.whole) == (
        8000,
        1,
        10.0,
        30.0,
    )


def test_the_oldest_dropped_files_make_room(monkeypatch):
    monkeypatch.setattr("timbrespace.explorer.sounds.KEPT_DROPPED", 2)
    shelf = Shelf(Notes())
    first, *others = (shelf.drop(f"{i}", wav(np.zeros(100))) for i in range(3))
    assert [name for _, name in shelf.names()] == ["2", "1", "low", "high, stereo"]
    with pytest.raises(NotHere, match="drop it again"):
        shelf.sound(first)


# ---- the explorer's own -------------------------------------------------------------------------


def test_the_explorer_plays_effects_on_the_sounds_of_its_corpus():
    parts = build()
    session = Session(*parts)
    client = TestClient(server.build_app(session), base_url="http://127.0.0.1:8765")
    assert "to-map" in client.get("/effects").text
    told = client.get("/api/effects").json()
    assert told["map"] and len(told["sounds"]) == 90 and told["sounds"][5] == [105, "organ_005"]
    answer = rendered(client, sound=105, effect=None, values={})
    assert heard(answer).shape == (2, 64 * 256)
    parts[0].corpus.gone = True
    lost = rendered(client, sound=106)
    assert lost.status_code == 404 and "private" not in lost.json()["error"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Pairs:
    """Pairs of tones with overdrive."""
    folder, sounds = tmp_path_factory.mktemp("pairs"), tmp_path_factory.mktemp("tones")
    t = np.arange(RATE) / RATE
    for number in range(24):
        tone = 0.3 * np.sin(2 * np.pi * (100 + 20 * number) * t) * np.exp(-2 * t)
        (sounds / f"{number}.wav").write_bytes(wav(tone))
    verbs.prepare(sounds, folder / "dry", workers=0)
    return verbs_effects.effects_pairs(
        folder / "pairs", corpus=folder / "dry", effects="overdrive", n=12, seconds=0.512, workers=0
    )  # fmt: skip


def test_of_a_pair_the_dry_sound_is_played_and_the_wet_one_is_its_reference(pairs):
    (dry, _), (wet, _) = pairs.sounds([1, 2])
    known = Playing(effects_server.source_of([pairs.path]))
    client = TestClient(build_app(known), base_url="http://127.0.0.1:8765")
    told = client.post("/api/effects/effect", json={"effect": "overdrive", "sound": 1}).json()
    assert told["sound"]["seconds"] == 0.512
    assert told["reference"]["name"] == f"{told['sound']['name']}, with the effect"
    for sound, own in ((1, dry), (told["reference"]["sound"], wet)):
        played = heard(rendered(client, sound=sound, effect=None, values={}))
        assert np.array_equal(played[0], fade_edges(own, RATE, 5.0)), sound
    again = {"effect": "overdrive", "sound": told["reference"]["sound"]}
    assert client.post("/api/effects/effect", json=again).json()["reference"] is None
    known.work.close()


def test_work_is_one_at_a_time_told_and_stopped():
    known, may = playing(), threading.Event()

    def do(tell) -> dict:
        for done in range(1000):
            tell("render", done, 1000)
            may.wait(0.01)
        return {}

    client = TestClient(build_app(known), base_url="http://127.0.0.1:8765")
    known.work.begin("controller", do)
    question = {"effect": "overdrive", "sound": 0}
    second = client.post("/api/effects/controller", json=question)
    assert second.status_code == 409 and "being made already" in second.json()["error"]
    assert client.get("/api/effects/work").json()["state"] == "running"
    client.post("/api/effects/stop", json={})
    known.work.close()
    assert client.get("/api/effects/work").json()["sentence"] == "Stopped."
    known.work.begin("match", lambda tell: (_ for _ in ()).throw(EffectError("It is too soft.")))
    known.work.close()
    standing = client.get("/api/effects/work").json()
    assert (standing["state"], standing["sentence"]) == ("failed", "It is too soft.")


# ---- the page -----------------------------------------------------------------------------------

LOOP = """async () => {
    const { Loop } = await import("/static/loop.js");
    const rate = 16000, context = new OfflineAudioContext(1, 2 * rate, rate);
    const tone = (gain) => {
        const buffer = context.createBuffer(1, rate / 2, rate);
        buffer.getChannelData(0).forEach((_, i, all) => {
            all[i] = gain * Math.sin(2 * Math.PI * 200 * i / rate);
        });
        return buffer;
    };
    const loop = new Loop(context, context.destination);
    loop.swap(tone(0.5));
    const changes = Array.from({ length: 30 }, (_, i) => 0.2 + 0.024 * i); // faster than a fade
    for (const [i, at] of changes.entries()) {
        context.suspend(at).then(() => { loop.swap(tone(i % 2 ? 0.5 : 0.25)); context.resume(); });
    }
    context.suspend(1.5).then(() => { loop.stop(); context.resume(); });
    const made = await context.startRendering();
    return [...made.getChannelData(0)];
}"""


SPLICE = """async ([first, sound, part]) => {
    const { spliced } = await import("/static/loop.js");
    return [...spliced([new Float32Array(sound)], [new Float32Array(part)], first, 16000)[0]];
}"""


# whether it may be let go, is said so, is taken, and is no longer said
DROP = """([name, sound, on]) => {
    const given = new DataTransfer();
    given.items.add(new File([new Uint8Array(sound)], name, { type: "audio/wav" }));
    const happens = (kind) => document.querySelector(on).dispatchEvent(
        new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: given }));
    const said = document.getElementById("dropping");
    return [!happens("dragover"), !said.hidden, !happens("drop"), said.hidden];
}"""


def served(known: Playing) -> tuple[str, threading.Event, threading.Thread]:
    stop, address = threading.Event(), Queue()
    settings = {"port": 0, "browser": False, "ready": address.put, "stop": stop}
    thread = threading.Thread(
        target=serve_app, args=(build_app(known),), kwargs=settings, daemon=True
    )
    thread.start()
    return address.get(timeout=20), stop, thread


@pytest.fixture(scope="module")
def place() -> Iterator[SimpleNamespace]:
    known = playing()
    url, stop, thread = served(known)
    yield SimpleNamespace(known=known, url=url)
    stop.set()
    thread.join(10)


@pytest.fixture
def page(browser: Browser, place: SimpleNamespace) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "request",
        lambda r: None if r.url.startswith((place.url, "blob:")) else complaints.append(r.url),
    )
    tab.goto(place.url)
    expect(tab.locator("#said")).to_contain_text("low is played")
    yield tab
    context.close()
    assert complaints == []


def values(page: Page) -> list[float]:
    """What the knobs' numbers say."""
    return [float(box.input_value()) for box in page.locator("#knobs input[type=number]").all()]


def point(page: Page) -> list[float]:
    """Where the pad's point stands, across and up."""
    words = page.locator("#pad").get_attribute("aria-description") or ""
    return [float(words.split()[0]), float(words.split()[2])]


def drag(page: Page, *places: tuple[float, float]) -> None:
    """A drag over the pad's square from place to place, each from 0 to 1."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    for step, (x, y) in enumerate(places):
        across = box["x"] + 30 + x * (box["width"] - 60)
        up = box["y"] + 30 + (1 - y) * (box["height"] - 60)
        page.mouse.move(across, up)
        if not step:
            page.mouse.down()
    page.mouse.up()


def test_a_drag_turns_the_knobs_and_is_heard_at_once(page):
    assert page.evaluate("document.getElementById('level').value") == 0
    bodies: list[bytes] = []
    page.on("response", lambda r: bodies.append(r.body()) if r.url.endswith("/render") else None)
    with page.expect_response("**/api/effects/render"):
        drag(page, (0.1, 0.1), (0.3, 0.1), (0.6, 0.5), (0.5, 1.0))
    expect(page.locator("#said")).to_contain_text("drive ")
    until(page, SOUNDS)
    assert values(page)[:2] == pytest.approx([20.0, 800.0], rel=0.02)
    assert point(page) == pytest.approx([0.5, 1.0], abs=0.01)
    assert len(set(bodies)) >= 2  # the sound changed with the hand
    expect(page.locator("#latency")).to_have_text(re.compile(r"^\d{1,3} ms$"))
    expect(page.locator("#play")).to_have_attribute("aria-pressed", "true")
    until(page, "document.getElementById('picture').width > 300")
    page.keyboard.press("Escape")
    until(page, "document.getElementById('level').value === 0")


def test_a_pad_of_a_controller_turns_all_knobs_and_its_point_follows_them(page):
    expect(page.locator("#pad-of")).to_have_value("0")  # it is there, so it is taken
    with page.expect_response("**/api/effects/render") as answer:
        drag(page, (0.75, 0.25))
    asked = json.loads(answer.value.request.post_data)
    assert asked["at"] == pytest.approx([0.75, 0.25], abs=0.01) and asked["controller"] == 0
    expect(page.locator("#said")).to_contain_text("drive ")
    assert values(page) == pytest.approx([30.0, 800 * 8.75**0.75, 0.5], rel=0.03)
    number = page.locator("#knobs input[type=number]").first
    number.fill("10")
    number.press("Enter")
    expect(page.locator("#said")).to_contain_text("drive 10 dB")
    assert point(page) == pytest.approx([0.25, 0.25], abs=0.01)
    page.click("#flip-y")
    assert point(page) == pytest.approx([0.25, 0.75], abs=0.01)
    page.click("#swap")
    assert point(page) == pytest.approx([0.75, 0.25], abs=0.01)
    page.locator("#pad").focus()
    with page.expect_response("**/api/effects/render") as answer:
        page.keyboard.press("Shift+ArrowUp")  # up is the first axis now
    assert json.loads(answer.value.request.post_data)["at"] == pytest.approx([0.35, 0.25], abs=0.01)
    expect(page.locator("#said")).to_contain_text("drive 14 dB")


def test_a_value_that_the_knob_has_not_is_a_sentence_and_goes_back(page):
    number = page.locator("#knobs input[type=number]").first
    was = values(page)
    number.fill("99")
    number.press("Enter")
    expect(page.locator("#said")).to_contain_text("drive should be from 0 dB to 40 dB, got 99")
    expect(page.locator("#said")).to_have_class("said bad")
    page.locator("#pad").focus()
    assert values(page) == was


def test_buffers_change_without_a_click_and_never_add_up(page):
    made = np.array(page.evaluate(LOOP))
    steps = np.abs(np.diff(made))
    slope = 0.5 * 2 * np.pi * 200 / RATE  # the steepest step of the louder tone itself
    assert np.abs(made).max() <= 0.5 + 1e-6
    assert steps[200:].max() < 1.15 * slope
    assert np.abs(np.diff(made, 2))[200:].max() < 0.25 * slope
    assert np.abs(made[int(1.45 * RATE) : int(1.5 * RATE)]).max() > 0.2
    assert np.abs(made[int(1.55 * RATE) :]).max() < 1e-4


def test_a_stretch_lies_in_the_older_sound_without_a_click(page):
    t = np.arange(RATE) / RATE
    old, new = 0.25 * np.sin(2 * np.pi * 200 * t), 0.5 * np.sin(2 * np.pi * 200 * t)
    for first in (4000, 12000):  # the second goes round the end
        places = (first + np.arange(6000)) % RATE
        made = np.array(page.evaluate(SPLICE, [first, old.tolist(), new[places].tolist()]))
        inside, outside = places[100:-100], np.setdiff1d(np.arange(RATE), places)
        assert np.allclose(made[inside], new[inside], atol=1e-6)
        assert np.allclose(made[outside], old[outside], atol=1e-6)
        assert np.abs(np.diff(made)).max() < 1.15 * 0.5 * 2 * np.pi * 200 / RATE


def test_a_long_sound_is_heard_in_stretches_while_a_hand_moves_and_whole_when_it_rests(page):
    long = {"name": "long.wav", "mimeType": "audio/wav", "buffer": wav(long_sound().T, 44100)}
    page.set_input_files("#file", long)
    expect(page.locator("#said")).to_have_text("long.wav is played.")
    answers = []
    page.on("response", lambda r: answers.append(r) if r.url.endswith("/render") else None)
    drag(page, (0.1, 0.1), (0.3, 0.1), (0.6, 0.5))
    until(page, SOUNDS)
    until(page, lambda: answers and "moment" not in answers[-1].request.post_data)
    asked = [json.loads(answer.request.post_data) for answer in answers]
    sizes = [len(answer.body()) // 8 for answer in answers]
    assert len(asked) >= 2 and asked[0]["moment"] == 0
    assert sizes == [44100] * (len(asked) - 1) + [5 * 44100] and "moment" not in asked[-1]
    assert asked[-1]["values"] == facts(answers[-2])["setting"]
    expect(page.locator("#picture-caption")).to_contain_text("0 to 5.00 s")
    page.wait_for_timeout(500)  # the loop goes on
    del answers[:]
    page.locator("#pad").press("ArrowUp")
    until(page, lambda: len(answers) == 2)
    asked = [json.loads(answer.request.post_data) for answer in answers]
    assert asked[0]["moment"] > 0.5


def test_dry_effect_and_reference_are_heard_in_turn_and_blind(page, place, tmp_path):
    said = page.locator("#said")
    page.keyboard.press("1")
    expect(said).to_have_text("Playing the dry sound.")
    page.keyboard.press("2")
    expect(said).to_have_text("Playing the effect.")
    expect(page.get_by_role("radio", name="Reference")).to_be_disabled()
    page.keyboard.press("3")
    expect(said).to_have_text("Drop a reference first.")
    page.click("#reference-here")
    expect(said).to_contain_text("low, with the effect is the reference")
    with page.expect_response("**/api/effects/render") as answer:
        page.keyboard.press("3")
    assert json.loads(answer.value.request.post_data)["rate"] == RATE
    expect(said).to_have_text("Playing the reference.")
    page.select_option("#blind-a", "dry")
    page.keyboard.press("]")
    expect(said).to_have_text("Hear X first.")
    for asked in range(1, 4):
        page.keyboard.press("x")
        expect(said).to_have_text("Playing X.")
        expect(page.locator("#source [aria-checked=true]")).to_have_count(0)  # nothing tells which
        page.keyboard.press("[")
        expect(page.locator("#score")).to_contain_text(f"of {asked} right; guessing does as well")
        right = said.inner_text().startswith("Right: X was A.")
        assert right or said.inner_text().startswith("Wrong: X was B.")


def heard_at(page: Page) -> dict[str, float]:
    """What the caption says of the sound's level: dB of peak and RMS, and the gain at which it is heard."""
    words = page.locator("#picture-caption").inner_text().replace("\u2212", "-")
    found = re.findall(r"(peak|RMS|heard at) ([-+]?[\d.]+) dB", words)
    return {name: float(value) for name, value in found}


def test_all_is_heard_as_loud_as_the_dry_sound_where_that_is_asked_for(page):
    page.keyboard.press("1")
    expect(page.locator("#picture-caption")).to_contain_text("the dry sound")
    dry = heard_at(page)
    page.select_option("#pad-of", "-1")
    drag(page, (0.95, 0.25))
    expect(page.locator("#picture-caption")).to_contain_text("the effect")
    until(page, lambda: heard_at(page).get("RMS", 0.0) < dry["RMS"] - 6.0)
    assert "heard at" not in heard_at(page)
    page.keyboard.press("v")
    expect(page.locator("#picture-caption")).to_contain_text("heard at")
    wet = heard_at(page)
    assert wet["RMS"] + wet["heard at"] == pytest.approx(dry["RMS"], abs=0.15)
    page.locator("#pad").press("ArrowLeft")
    until(page, lambda: heard_at(page)["heard at"] < wet["heard at"])
    less = heard_at(page)
    assert less["RMS"] + less["heard at"] == pytest.approx(dry["RMS"], abs=0.15)
    page.keyboard.press("c")
    expect(page.locator("#said")).to_contain_text("--same-level")
    page.keyboard.press("1")
    expect(page.locator("#picture-caption")).to_contain_text("the dry sound")
    assert "heard at" not in heard_at(page)
    page.uncheck("#same-level")
    page.keyboard.press("2")
    expect(page.locator("#picture-caption")).to_contain_text("the effect")
    assert "heard at" not in heard_at(page)


def test_a_level_is_made_up_for_as_far_as_peaks_allow(page):
    made = page.evaluate(
        """async () => {
          const { amplify, gainOfStretch, gainTo } = await import("/static/level.js");
          const of = (...values) => [new Float32Array(values)];
          const stood = of(0.5, -0.1)[0];
          amplify(stood, 4);
          return {
            softer: gainTo(of(0.4, -0.4), of(0.1, -0.1)), louder: gainTo(of(0.1, -0.1), of(0.4, -0.4)),
            peaked: gainTo(of(0.5, 0, 0, 0), of(0.8, 0.8)),
            silent: [gainTo(of(0, 0), of(0.4)), gainTo(of(0.4), of(0, 0))], faint: gainTo(of(1e-6), of(0.5)),
            stretch: [gainOfStretch(8, of(0.4), of(0.5)), gainOfStretch(8, of(0.01), of(0.5)),
              gainOfStretch(0.5, of(0.4), of(0.5)), gainOfStretch(8, of(0.9), of(0.5))],
            stood: [...stood],
          };
        }"""
    )
    cap = 10 ** (-1 / 20)
    assert made["softer"] == pytest.approx(0.25) and made["louder"] == pytest.approx(4)
    assert made["peaked"] == pytest.approx(cap / 0.5) and made["silent"] == [1, 1]
    assert made["faint"] == 100
    assert made["stretch"] == pytest.approx([1.25, 8, 0.5, 1])
    assert made["stood"] == pytest.approx([cap, -0.4])


def test_a_reference_is_matched_with_progress_and_its_setting_taken(page):
    page.select_option("#pad-of", "-1")
    drag(page, (0.75, 0.25))
    expect(page.locator("#said")).to_contain_text("overdrive: drive 30 dB")
    wanted = values(page)
    page.click("#reference-here")
    expect(page.locator("#said")).to_contain_text("is the reference")
    page.locator("#pad").focus()
    page.keyboard.press("0")
    expect(page.locator("#said")).to_contain_text("drive 15 dB")
    page.keyboard.press("m")
    expect(page.locator("#working-stage")).to_contain_text("match")
    expect(page.locator("#match-words")).to_contain_text("distance is left")
    expect(page.locator("#said")).to_have_text("Playing the match.")
    assert values(page)[0] == 15.0  # the knobs are the hand's
    page.click("#match-take")
    expect(page.locator("#said")).to_contain_text("overdrive: drive")
    assert values(page)[:2] == pytest.approx(wanted[:2], rel=0.1)


def test_the_style_of_another_sound_is_matched(page, place, monkeypatch):
    """The reference is a file of the other note, in stereo and driven hard: the low one gets more drive."""
    monkeypatch.setattr("timbrespace.explorer.playing.MATCH_SECONDS", 60.0)
    monkeypatch.setattr("timbrespace.matching.style.SIMULATED", 60)
    wet = place.known.render(1, "overdrive", {"drive": 38.0, "tone": 6000.0})
    driven = {"name": "high.wav", "mimeType": "audio/wav", "buffer": wav(wet.samples.T)}
    page.set_input_files("#reference-file", driven)
    expect(page.locator("#said")).to_have_text("high.wav is the reference.")
    page.check("#match-style")
    page.click("#match")
    expect(page.locator("#match-words")).to_contain_text("is expected to be left", timeout=60_000)
    expect(page.locator("#match-words")).to_contain_text("channels were compared in mono")
    expect(page.locator("#said")).to_have_text("Playing the match.")
    page.click("#match-take")
    expect(page.locator("#said")).to_contain_text("overdrive: drive")
    assert values(page)[0] > 15.0


@pytest.fixture
def few(monkeypatch):
    """Of our own effects three are left."""
    left = {name: find(name) for name in ("tremolo", "overdrive", "bitcrush")}
    monkeypatch.setattr("timbrespace.explorer.playing.EFFECTS", left)
    monkeypatch.setattr("timbrespace.explorer.playing.NAME_SECONDS", 60.0)
    monkeypatch.setattr("timbrespace.matching.match.TRIED", 8)
    monkeypatch.setattr("timbrespace.matching.match.RENDERS", 24)
    monkeypatch.setattr("timbrespace.matching.blind.RENDERS", 40)
    monkeypatch.setattr("timbrespace.matching.blind.MORE", 40)
    monkeypatch.setattr("timbrespace.matching.style.SIMULATED", 40)


def test_which_effect_it_was_is_found_and_told_beside_the_others(page, few):
    page.select_option("#pad-of", "-1")
    drag(page, (0.9, 0.1))
    expect(page.locator("#said")).to_contain_text("overdrive: drive 36 dB")
    page.click("#reference-here")
    expect(page.locator("#said")).to_contain_text("is the reference")
    page.select_option("#chain select >> nth=0", "delay")
    expect(page.locator("#effect-name")).to_have_text("delay")
    page.select_option("#match-effect", "any")
    page.click("#match")
    expect(page.locator("#match-words")).to_contain_text(
        "overdrive comes nearest, clearly", timeout=60_000
    )
    lines = page.locator("#match-steps tr").all_inner_texts()
    assert lines[0].split("\t")[::2] == ["the dry sound", "100 %"]
    names = [line.split("\t")[0] for line in lines]
    others = [number for number, name in enumerate(names) if name.endswith("in its place")]
    assert names[1:5] == [
        "all knobs in the middle", "settings all over", "evolved (CMA-ES)", "polished"
    ]  # fmt: skip
    assert {names[n] for n in others} <= {"bitcrush in its place", "tremolo in its place"}
    bars = page.locator("#match-steps meter").evaluate_all("all => all.map(one => one.value)")
    assert bars[0] == 1 and bars[others[0] - 1] < 0.3 < min(bars[n] for n in others)
    expect(page.locator("#effect-name")).to_have_text("delay")
    page.get_by_role("button", name="Take overdrive with this setting").click()
    expect(page.locator("#effect-name")).to_have_text("overdrive")
    until(page, lambda: values(page)[0] == pytest.approx(36, rel=0.1))


def work_of(client: TestClient, known: Playing, **question) -> dict:
    """What came of a match."""
    assert client.post("/api/effects/match", json=question).status_code == 200
    known.work._thread.join(60)  # type: ignore[union-attr]
    standing = client.get("/api/effects/work").json()
    assert standing["state"] == "done", standing["sentence"]
    return standing["result"]


def test_of_another_sound_the_effect_is_named_before_its_style_is_matched(few):
    known = playing()
    client = TestClient(build_app(known), base_url="http://127.0.0.1:8765")
    coarse = {"sound": 1, "effect": "bitcrush", "values": {"bits": 3.0, "rate": 2000.0}}
    reference = client.post("/api/effects/keep", json=coarse).json()["sound"]
    made = work_of(client, known, effect=None, sound=0, reference=reference, style=True)
    assert made["effect"] == "bitcrush"
    assert made["words"].startswith("The reference alone sounds like bitcrush (")
    assert [words for words, _ in made["steps"]] == ["the dry sound", "after the search"]


TINY = (
    "feature.samples=8192", "feature.mels=32", "feature.resolutions=[]", "train.batch=4", "train.epochs=1",
    "model.encoder.channels=[4, 4, 4, 4]", "model.decoder.channels=[4, 4, 4, 4]",
    "model.encoder.hidden=16", "model.decoder.hidden=16",
)  # fmt: skip


def test_with_a_run_that_hears_knobs_a_match_begins_where_it_expects_them(pairs, tmp_path):
    verbs.train("effects", pairs.path, tmp_path / "run", settings=TINY)
    session = Session.open(tmp_path / "run")
    known = server.playing_of(session)
    client = TestClient(server.build_app(session, known), base_url="http://127.0.0.1:8765")
    assert client.get("/api/effects").json()["predicts"]
    asked = {"effect": "overdrive", "sound": 1}
    wet = client.post("/api/effects/effect", json=asked).json()["reference"]["sound"]
    made = work_of(client, known, reference=wet, **asked)
    words = [words for words, _ in made["steps"]]
    assert words == [
        "the dry sound", "all knobs in the middle", "what the run expects", *words[3:],
    ]  # fmt: skip
    assert words[3] == "settings all over" and made["steps"][-1][1] < 0.5


def test_with_a_run_that_hears_wet_sounds_alone_the_effect_of_another_sound_is_named_by_it(
    browser, pairs, tmp_path
):
    verbs.train("effects-blind", pairs.path, tmp_path / "run", settings=TINY)
    session = Session.open(tmp_path / "run")
    known = server.playing_of(session)
    client = TestClient(server.build_app(session, known), base_url="http://127.0.0.1:8765")
    wet = client.post("/api/effects/effect", json={"effect": "overdrive", "sound": 1}).json()
    made = work_of(
        client, known, reference=wet["reference"]["sound"], effect=None, sound=0, style=True
    )
    (named,) = re.findall(r"^The reference alone sounds like (\w+) \(100 %\)\.", made["words"])
    assert named == made["effect"] == "overdrive"  # the only one that it has learnt
    url, stop, thread = served(known)
    page = browser.new_page()
    page.goto(url)
    expect(page.locator("#match-run")).to_have_text(re.compile("^The run .* wet sounds alone"))
    page.close()
    stop.set()
    thread.join(10)


def test_what_cannot_be_matched_is_a_sentence(client):
    silent = dropped(client, wav(np.zeros(RATE))).json()["sound"]
    question = {"effect": "overdrive", "sound": 0, "reference": silent}
    answer = client.post("/api/effects/match", json=question)
    assert answer.status_code == 422 and "the reference is silent" in answer.json()["error"]


def test_a_pair_s_wet_sound_is_the_reference_until_another_sound_is_chosen(
    browser, pairs, tmp_path
):
    known = Playing(effects_server.source_of([pairs.path]))
    url, stop, thread = served(known)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(url)
    expect(page.locator("#said")).to_contain_text("the wet sound of its pair is the reference")
    first = page.locator("#reference-name").inner_text()
    assert first.endswith(", with the effect.")
    page.keyboard.press("3")
    expect(page.locator("#said")).to_have_text("Playing the reference.")
    page.locator("#list [role=option]").nth(1).click()
    expect(page.locator("#reference-name")).not_to_have_text(first)
    expect(page.locator("#match")).to_be_enabled()
    noise = tmp_path / "noise.wav"
    noise.write_bytes(wav(0.1 * np.random.default_rng(0).standard_normal(RATE)))
    page.set_input_files("#file", noise)
    expect(page.locator("#said")).to_have_text("noise.wav is played.")
    expect(page.locator("#reference-name")).to_contain_text("Drop here")
    expect(page.locator("#match")).to_be_disabled()
    page.close()
    stop.set()
    thread.join(10)


def test_a_preset_is_kept_by_name_and_a_setting_copied_as_text(page):
    drag(page, (0.25, 0.5))
    expect(page.locator("#said")).to_contain_text("drive ")
    kept = values(page)
    page.fill("#preset-name", "<b>warm</b>")
    page.press("#preset-name", "Enter")
    expect(page.locator("#presets li")).to_have_count(1)
    page.locator("#pad").focus()
    page.keyboard.press("0")
    expect(page.locator("#said")).to_contain_text("drive 15 dB, tone 4000 Hz, asymmetry 0.2")
    page.reload()
    expect(page.locator("#said")).to_contain_text("low is played")
    page.get_by_role("button", name="<b>warm</b> overdrive", exact=True).click()
    expect(page.locator("#said")).to_contain_text("<b>warm</b>: drive")
    assert values(page) == pytest.approx(kept)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("c")
    expect(page.locator("#said")).to_contain_text("Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith(f"--effect overdrive --set drive={kept[0]:g} --set tone=")
    page.get_by_role("button", name="Forget <b>warm</b>").click()
    expect(page.locator("#presets li")).to_have_count(0)


def test_a_chain_keeps_what_has_the_same_name_and_another_sound_says_what_it_lacks(page, tmp_path):
    page.select_option("#chain select >> nth=1", "chorus")
    expect(page.locator("#effect-name")).to_have_text("overdrive+chorus")
    expect(page.locator("#knobs h4")).to_have_text(["overdrive", "chorus"])
    assert len(values(page)) == 7
    short = tmp_path / "short.wav"
    short.write_bytes(wav(0.1 * np.sin(np.arange(RATE // 2) / 5)))
    page.set_input_files("#file", short)
    expect(page.locator("#said")).to_contain_text("short.wav is played")
    expect(page.locator(".knob.unheard")).to_have_count(1)
    expect(page.locator(".knob.unheard small")).to_contain_text("needs 1 s to be heard")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....WAVE")
    page.set_input_files("#file", broken)
    expect(page.locator("#said")).to_contain_text("broken.wav cannot be played")
    expect(page.locator("#sound-facts")).to_contain_text("short.wav")


def test_a_pad_is_made_on_request_with_progress(page, place, monkeypatch):
    def make(name: str, number: int, kind: str, dimensions: int) -> None:
        def do(tell) -> dict:
            for done in range(4):
                tell("render", done, 4)
                time.sleep(0.2)
            line = Line()
            line.axes = tuple(Axis("loudness", 0.5, "drive", 0.4) for _ in range(3))  # type: ignore[assignment]
            line.clean = np.zeros(3)
            line.knobs = lambda position: np.array([position[2], 0.5, 0.5])  # type: ignore[method-assign]
            line.position = lambda units: np.array([0.1, 0.2, units[0]])  # type: ignore[method-assign]
            place.known.controllers = [*place.known.controllers, line]
            return {"controllers": place.known.told_controllers()}

        assert (name, number, kind, dimensions) == ("overdrive", 0, "pca", 3)
        place.known.work.begin("controller", do)

    monkeypatch.setattr(place.known, "make_controller", make)
    before = place.known.controllers
    page.select_option("#make-kind", "pca")
    page.select_option("#make-dimensions", "3")
    page.click("#make")
    expect(page.locator("#working-stage")).to_contain_text("render")
    expect(page.locator("#pad-of")).to_have_value("1")
    expect(page.locator("#axes-lines input:enabled")).to_have_count(3)
    with page.expect_response("**/api/effects/render") as answer:
        page.locator("#axis-2").press("End")
    assert json.loads(answer.value.request.post_data)["at"][2] == 1.0
    expect(page.locator("#said")).to_contain_text("drive 40 dB")
    page.select_option("#axis-y", "2")
    assert point(page)[1] == 1.0
    place.known.controllers = before


def test_a_pad_has_at_most_as_many_axes_as_the_effect_has_knobs(page):
    axes = page.locator("#make-dimensions option")
    expect(axes).to_have_text(["2 axes", "3 axes"])
    page.select_option("#chain select >> nth=0", "multiband")
    expect(axes).to_have_text([f"{count} axes" for count in range(2, 9)])
    page.select_option("#make-dimensions", "7")
    page.select_option("#chain select >> nth=0", "reverb")
    expect(page.locator("#make-dimensions")).to_have_value("4")


@pytest.mark.parametrize("kind", ["bottleneck", "umap", "pca"])
def test_the_pad_that_is_made_is_of_the_kind_and_axes_that_were_asked_for(
    client, monkeypatch, kind
):
    made = []
    keep = lambda effect, sounds, **how: made.append((effect.name, how)) or Line()  # noqa: E731
    monkeypatch.setattr("timbrespace.controller.make.make", keep)
    monkeypatch.setattr("timbrespace.explorer.playing.find_spec", lambda name: name)
    asked = {"effect": "delay", "sound": 0, "kind": kind, "dimensions": 3}
    assert client.post("/api/effects/controller", json=asked).status_code == 200
    while (standing := client.get("/api/effects/work").json())["state"] == "running":
        time.sleep(0.02)
    assert len(standing["result"]["controllers"]) == 2
    ((effect, how),) = made
    assert (effect, how["kind"], how["dimensions"]) == ("delay", kind, 3)


def test_a_pad_that_cannot_be_made_is_a_sentence(client, monkeypatch):
    asked = {"effect": "overdrive", "sound": 0, "kind": "tsne"}
    answer = client.post("/api/effects/controller", json=asked)
    assert answer.status_code == 422 and "no controller of kind 'tsne'" in answer.json()["error"]
    monkeypatch.setattr("timbrespace.explorer.playing.find_spec", lambda name: None)
    answer = client.post("/api/effects/controller", json={**asked, "kind": "umap"})
    assert answer.status_code == 409 and "UMAP is not installed" in answer.json()["error"]


def test_a_sound_is_dropped_on_the_page_and_a_reference_on_its_card(page):
    """As a browser does: the page says that it may be let go, and takes what comes with the drop."""
    noise = list(wav(0.1 * np.random.default_rng(0).standard_normal(RATE // 2)))
    assert page.evaluate(DROP, ["noise.wav", noise, "#pad"]) == [True] * 4
    expect(page.locator("#said")).to_contain_text("noise.wav is played")
    expect(page.locator("#sound-facts")).to_contain_text("noise.wav")
    with page.expect_response("**/api/effects/render") as answer:
        drag(page, (0.3, 0.3), (0.4, 0.6))
    assert json.loads(answer.value.request.post_data)["sound"] >= 10**9
    assert page.evaluate(DROP, ["wanted.wav", noise, "#match-title"]) == [True] * 4
    expect(page.locator("#said")).to_have_text("wanted.wav is the reference.")
    expect(page.locator("#sound-facts")).to_contain_text("noise.wav")
    expect(page.locator("#match")).to_be_enabled()
    assert page.evaluate(DROP, ["no.wav", list(b"no sound"), "#pad"]) == [True] * 4
    expect(page.locator("#said")).to_contain_text("no.wav cannot be")
    expect(page.locator("#said")).to_have_class("said bad")


def test_a_plugin_is_played_on_the_page(page):
    page.select_option("#chain select >> nth=0", "lv2:Overdrive")
    expect(page.locator("#effect-name")).to_have_text("lv2:Overdrive")
    effect = find("lv2:Overdrive")
    assert page.locator("#knobs input[type=number]").count() == len(effect.knobs)
    with page.expect_response("**/api/effects/render") as answer:
        drag(page, (0.2, 0.2), (0.9, 0.5))
    expect(page.locator("#said")).to_contain_text(f"{effect.knobs[0].name} 0.9")
    until(page, SOUNDS)
    page.locator("#pad").focus()
    with page.expect_response("**/api/effects/render") as answer:
        page.keyboard.press("ArrowUp")
    asked = json.loads(answer.value.request.post_data)
    own = effect.render(Notes().audio(0).samples, RATE, asked["values"])
    made = np.frombuffer(answer.value.body(), "<f4")
    assert asked["effect"] == "lv2:Overdrive" and np.allclose(
        made[200:-200], own[0, 200:-200], atol=1e-6
    )


class Wide(Line):
    """All nine knobs of multiband but the last, each an axis."""

    effect, clean = "multiband", np.zeros(8)
    axes = tuple(Axis("loudness", 0.5, "low_gain", 0.4) for _ in range(8))

    def knobs(self, position: np.ndarray) -> np.ndarray:
        return np.array([*position, find("multiband").to_units({})[8]])

    def position(self, units: np.ndarray) -> np.ndarray:
        return units[:8]


@pytest.fixture
def wide(page, place):
    """The pad of eight axes is chosen: the value of its option."""
    before = place.known.controllers
    place.known.controllers = [*before, Wide()]
    page.reload()
    expect(page.locator("#said")).to_contain_text("low is played")
    page.select_option("#chain select >> nth=0", "multiband")
    expect(page.locator("#effect-name")).to_have_text("multiband")
    page.select_option("#pad-of", str(len(before)))
    expect(page.locator("#axes-lines input:enabled")).to_have_count(8)
    yield str(len(before))
    place.known.controllers = before


def test_a_move_is_not_taken_back_by_the_answer_to_what_was_asked_before(page, wide):
    held = []
    page.select_option("#pad-of", "-1")
    page.route("**/api/effects/render", lambda route: held.append(route), times=1)
    page.select_option("#pad-of", wide)  # asks where the knobs lie
    expect(page.locator("#axes-lines input:disabled")).to_have_count(8)  # nobody knows yet
    page.locator("#knobs input[type=range] >> nth=3").press("End")
    expect(page.locator("#axis-3")).to_be_enabled()
    assert page.locator("#axis-3").input_value() == "1000"
    with page.expect_response("**/api/effects/render"):
        held[0].continue_()
    page.wait_for_timeout(200)
    assert page.locator("#axis-3").input_value() == "1000"


def test_eight_axes_have_eight_sliders(page, wide):
    was = values(page)
    assert page.evaluate("document.documentElement.scrollHeight") == 900  # it scrolls inside
    for axis, words in ((3, "mid_threshold -5 dB"), (7, "high_gain 12 dB")):
        page.locator(f"#axis-{axis}").press("End")
        expect(page.locator("#said")).to_contain_text(words)
    changed = [k for k, (a, b) in enumerate(zip(was, values(page), strict=True)) if a != b]
    assert changed == [3, 7]


@pytest.mark.parametrize("width", [380, 820])
def test_it_fits_narrow_screens(browser, place, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, has_touch=True)
    tab = context.new_page()
    tab.goto(place.url)
    expect(tab.locator("#said")).to_contain_text("low is played")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.locator("#pad").bounding_box()
    assert box is not None and box["height"] >= 240
    tab.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(tab.locator("#said")).to_contain_text("drive 20 dB")
    context.close()
