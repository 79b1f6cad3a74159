"""The explorer's server: what it answers, what it refuses, and that its sounds are safe."""

import asyncio
import base64
import io
import json
import os
import re
import socket
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from queue import Queue
from urllib.parse import unquote
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from explorer_stand_in import NASTY, build, refuse, with_directions
from starlette.testclient import TestClient

from timbrespace.data.lock import locked
from timbrespace.errors import RecipeError, RunError
from timbrespace.explorer import server as server_module
from timbrespace.explorer import web
from timbrespace.explorer.makers import makers_of
from timbrespace.explorer.server import build_app, serve
from timbrespace.explorer.session import Session
from timbrespace.explorer.web import bind
from timbrespace.features.log_mel import LogMel
from timbrespace.features.waveform import Waveform
from timbrespace.geometry.paths import between
from timbrespace.likeness import Heard, Likeness
from timbrespace.mapping import Space
from timbrespace.models.vocoder import VocoderNet
from timbrespace.render.synth import Synth
from timbrespace.runs import Run
from timbrespace.vocoders.vocoder import Vocoder, contract, shipped

PEAK = 10 ** (-1 / 20)
ONE_LSB = 2**-15


@pytest.fixture
def parts():
    return build()


@pytest.fixture
def client(parts) -> Iterator[TestClient]:
    session = Session(*parts)
    yield TestClient(build_app(session), base_url="http://127.0.0.1:8765")
    session.exports.close()


def heard(wav: bytes) -> tuple[np.ndarray, int]:
    samples, sample_rate = soundfile.read(io.BytesIO(wav))
    return samples, sample_rate


def frequency(wav: bytes) -> float:
    """The strongest frequency in Hz, to within one bin of the whole clip."""
    samples, sample_rate = heard(wav)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * sample_rate / len(samples)


def hertz(pitch: int) -> float:
    return 440 * 2 ** ((pitch - 69) / 12)


def point(client: TestClient, **changes):
    return client.post("/api/point", json={"map": "pca", "x": 0.0, "y": 0.0, **changes})


def wav_of(answer) -> bytes:
    return base64.b64decode(answer["clip"]["wav"])


# ---- what it answers ----------------------------------------------------------------------------


def test_the_run_is_described(client, parts):
    told = client.get("/api/run").json()
    assert told["name"] == "stand-in" and told["sounds"] == 90 and told["pitched"]
    assert told["training"] == {
        "epoch": 3, "epochs": 12, "finished": False, "running": False,
    }  # fmt: skip
    assert told["maps"] == ["pca", "umap"] and told["pitches"] == [48, 83]


def test_a_training_goes_on_only_while_its_process_lives(parts, tmp_path):
    parts[0].path = tmp_path
    running = lambda: Session(*parts).describe()["training"]["running"]  # noqa: E731
    assert not running()
    parts[0].lock_path.write_text(str(os.getpid()))  # left by a process that was killed
    assert not running()
    with locked(parts[0].lock_path, "trained", RunError):
        assert running()
    assert not running()


def test_the_verdict_is_that_of_the_evaluation_while_it_is_of_the_last_epoch(parts, tmp_path):
    parts[0].path = tmp_path
    session = Session(*parts)
    told = session.describe()["quality"]
    assert told["distortion_db"] == 5.4 and told["bits_per_sound"] == pytest.approx(41.8, abs=0.1)
    assert "42 bits per sound" in told["verdict"] and "3 of 3 dimensions" in told["verdict"]
    (tmp_path / "evaluation").mkdir()
    metrics = {
        "training": {"epoch": parts[0].state["epoch"]},
        "distortion": {"rmse_db": 18.8},
        "rate": {"nats_per_sound": 0.12, "active_units": 1, "dimensions": 32},
    }
    (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    told = session.describe()["quality"]
    assert told["distortion_db"] == 18.8 and "collapsed" in told["verdict"]
    os.utime(tmp_path / "evaluation" / "metrics.json", (1, 1))  # a copy may have any time
    assert session.describe()["quality"]["distortion_db"] == 18.8
    parts[0].state = {**parts[0].state, "epoch": parts[0].state["epoch"] + 1}
    assert session.describe()["quality"]["distortion_db"] == 5.4


def test_the_map_keeps_rows_names_and_labels_together(client, parts):
    run, space, _ = parts
    told = client.get("/api/map").json()
    column = {c["name"]: c for c in told["columns"]}
    for i in (0, 7, 89):
        assert told["rows"][i] == space.rows[i]
        assert told["maps"]["umap"][0][i] == pytest.approx(
            float(space.maps["umap"][i, 0]), abs=1e-4
        )
        family = column["family"]
        assert family["values"][family["codes"][i]] == space.labels["family"][i]
        assert column["pitch"]["values"][i] == space.labels["pitch"][i]
    assert told["names"][7] == NASTY and column["velocity"]["kind"] == "number"
    assert column["split"]["values"][0] == "train"  # the commonest word comes first


def test_a_reconstruction_has_the_sound_s_own_pitch_or_the_chosen_one(client, parts):
    own = parts[1].labels["pitch"][5]
    bin_width = 16000 / (64 * 256)
    answer = client.get("/api/sounds/105/reconstruction.wav")
    assert frequency(answer.content) == pytest.approx(hertz(own), abs=bin_width)
    answer = client.get("/api/sounds/105/reconstruction.wav?pitch=60")
    assert frequency(answer.content) == pytest.approx(hertz(60), abs=bin_width)


def overtone(wav: bytes, pitch: int) -> float:
    """Level of the second harmonic over the first."""
    samples, sample_rate = heard(wav)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    first = hertz(pitch) * len(samples) / sample_rate
    one, two = (spectrum[round(k * first) - 3 : round(k * first) + 4].max() for k in (1, 2))
    return float(two / one)


def test_steps_along_a_direction_are_heard_everywhere(tmp_path):
    parts = with_directions(build(), tmp_path)
    client = TestClient(build_app(Session(*parts)), base_url="http://127.0.0.1:8765")
    told = client.get("/api/run").json()["directions"]
    assert [(d["name"], d["weak"], d["correlation"]) for d in told] == [
        ("bright", False, 0.81), ("rough", True, 0.1)
    ]  # fmt: skip
    parts[1].mean[:, 2] = -0.5  # as dull as can be; two steps are one more
    wanted = np.exp(1.0)
    url = "/api/sounds/105/reconstruction.wav?pitch=60"
    dull, bright = (client.get(url + more).content for more in ("", "&toward.bright=2"))
    assert overtone(bright, 60) / overtone(dull, 60) == pytest.approx(wanted, rel=0.05)
    dull, bright = (
        wav_of(point(client, x=-4.0, pitch=60, **more).json())
        for more in ({}, {"toward": {"bright": 3, "rough": 5}})  # 1.5 less 0.5
    )
    assert overtone(bright, 60) / overtone(dull, 60) == pytest.approx(wanted, rel=0.05)
    ends = {"a": 105, "b": 106, "pitch": 60}
    for more in ({"toward": {"bright": 2}}, {}):
        steps = client.post("/api/morph", json={**ends, "at": 0.5, "kind": "lerp", **more}).json()
        level = overtone(wav_of(steps["steps"][0]), 60)
        assert level / overtone(dull, 60) == pytest.approx(wanted if more else 1.0, rel=0.05)
    glide = parts[2].decode_path
    went = []
    parts[2].decode_path = lambda z, *a, **k: went.append(z) or glide(z, *a, **k)
    client.post(
        "/api/glide", json={**ends, "seconds": 0.5, "kind": "lerp", "toward": {"bright": 2}}
    )
    assert np.allclose(went[0][:, 2], 0.5)


def test_directions_that_are_none_are_refused(tmp_path, client):
    assert client.get("/api/run").json()["directions"] == []
    answer = point(client, toward={"bright": 1})
    assert answer.status_code == 404 and "no named directions" in answer.json()["error"]
    parts = with_directions(build(), tmp_path)
    own = TestClient(build_app(Session(*parts)), base_url="http://127.0.0.1:8765")
    assert "it has: bright, rough" in point(own, toward={"happy": 1}).json()["error"]
    assert "only 3 sounds have it" in point(own, toward={"slow": 1}).json()["error"]
    for bad in ({"bright": 11}, {"bright": "much"}, {"b" * 121: 1}, [1]):
        assert point(own, toward=bad).status_code == 422
    for bad in ("11", "nan", "1e3", "", "-"):
        url = f"/api/sounds/105/reconstruction.wav?toward.bright={bad}"
        assert own.get(url).status_code == (404 if bad == "11" else 422)


def test_labels_are_the_sound_s_own_or_the_chosen_ones_and_others_are_refused():
    run, space, synth = build(told=("family", "velocity"))
    client = TestClient(build_app(Session(run, space, synth)), base_url="http://127.0.0.1:8765")
    conditions = client.get("/api/run").json()["conditions"]
    assert [(c["name"], c["number"]) for c in conditions] == [("family", False), ("velocity", True)]
    assert conditions[0]["words"] == ["bass", "flute", "organ"]
    client.get("/api/sounds/104/reconstruction.wav")
    assert synth.said == {"family": ["flute"], "velocity": [25]}
    client.get("/api/sounds/104/reconstruction.wav?label.family=organ&label.velocity=")
    assert synth.said == {"family": ["organ"], "velocity": [""]}
    assert point(client, labels={"family": "bass"}).json()["labels"]["family"] == "bass"
    client.post("/api/morph", json={"a": 100, "b": 101, "steps": 3})
    assert synth.said == {"family": ["bass", "bass", "flute"], "velocity": [25.0, 37.5, 50.0]}
    refused = client.get("/api/sounds/104/reconstruction.wav?label.colour=red")
    assert refused.status_code == 404 and "colour" in refused.json()["error"]
    assert point(client, labels={"family": 3}).status_code == 422


def test_the_original_is_the_recording_over_the_model_s_window(client, parts):
    answer = client.get("/api/sounds/105/original.wav")
    samples, sample_rate = heard(answer.content)
    assert sample_rate == 16000 and len(samples) == 64 * 256
    assert frequency(answer.content) == pytest.approx(hertz(parts[1].labels["pitch"][5]), abs=1)
    assert np.abs(samples).max() == pytest.approx(10 ** (-6 / 20), rel=0.02)  # its level stays


def test_pictures_come_as_bytes_of_mels_times_frames(client):
    for which in ("original", "reconstruction"):
        answer = client.get(f"/api/sounds/105/{which}.mel")
        mels, frames = int(answer.headers["x-mels"]), int(answer.headers["x-frames"])
        picture = np.frombuffer(answer.content, np.uint8).reshape(mels, frames)
        assert (mels, frames) == (40, 64) and picture.max() == 255
        loudest = picture.mean(1).argmax()
        assert 0 < loudest < 39 and picture[-1].max() < 128  # a low tone is in the lower bands


def test_a_spot_on_a_sound_is_that_sound_s_reconstruction(client, parts):
    x, y = (float(v) for v in parts[1].maps["umap"][11])
    answer = point(client, map="umap", x=x, y=y).json()
    assert answer["near"][0] == 111 and not answer["far"]
    assert wav_of(answer) == client.get("/api/sounds/111/reconstruction.wav").content


def test_a_spot_takes_the_nearest_sound_s_pitch_or_the_chosen_one(client, parts):
    near = point(client, x=-4.0, y=0.2).json()
    index = near["near"][0] - 100
    assert parts[1].labels["family"][index] == "bass"
    assert near["pitch"] == parts[1].labels["pitch"][index]
    assert frequency(wav_of(near)) == pytest.approx(hertz(near["pitch"]), abs=1)
    assert frequency(wav_of(point(client, pitch=70).json())) == pytest.approx(hertz(70), abs=1)


def test_far_from_all_sounds_is_said(client):
    assert not point(client, x=-4.0, y=0.0).json()["far"]
    lonely = point(client, x=60.0, y=60.0).json()
    assert lonely["far"] and lonely["ratio"] > 5


def test_a_morph_goes_from_one_sound_to_the_other(client, parts):
    pitches = parts[1].labels["pitch"]
    answer = client.post("/api/morph", json={"a": 100, "b": 101, "steps": 5}).json()["steps"]
    places = [0, 0.25, 0.5, 0.75, 1]
    assert [s["at"] for s in answer] == places
    assert [s["pitch"] for s in answer] == [
        round(pitches[0] + t * 7) for t in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert wav_of(answer[0]) == client.get("/api/sounds/100/reconstruction.wav").content
    assert wav_of(answer[-1]) == client.get("/api/sounds/101/reconstruction.wav").content
    for step in answer:
        assert frequency(wav_of(step)) == pytest.approx(hertz(step["pitch"]), abs=1)


def test_a_glide_is_one_sound_from_one_to_the_other(client, parts):
    pitches = parts[1].labels["pitch"]
    asked = {"a": 100, "b": 101, "seconds": 2}
    made = client.post("/api/glide", json=asked).json()["clip"]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(made["wav"])))
    assert len(samples) == 2 * rate and made["seconds"] == 2.0
    for part, pitch in ((samples[: rate // 8], pitches[0]), (samples[-rate // 8 :], pitches[1])):
        crossings = np.count_nonzero(np.diff(np.signbit(part)))
        assert crossings * 4 == pytest.approx(hertz(pitch), rel=0.04)
    fixed = client.post("/api/glide", json={**asked, "pitch": 60}).json()["clip"]
    assert frequency(base64.b64decode(fixed["wav"])) == pytest.approx(hertz(60), abs=1)
    for change in ({"seconds": 0}, {"seconds": 31}, {"kind": "zigzag"}, {"a": -1}):
        answer = client.post("/api/glide", json={**asked, **change})
        assert answer.status_code == 422 and answer.json()["field"] in change
    assert client.post("/api/glide", json={**asked, "b": 5}).status_code == 404


@pytest.mark.parametrize("kind", ["lerp", "slerp", "follow"])
@pytest.mark.parametrize("name", ["pca", "umap"])
def test_a_way_lies_on_the_map_among_the_sounds_that_it_passes(client, parts, kind, name):
    space = parts[1]
    way = client.post("/api/way", json={"a": 100, "b": 101, "kind": kind, "map": name}).json()
    places, points = np.column_stack([way["xs"], way["ys"]]), space.maps[name]
    np.testing.assert_allclose(places[[0, -1]], points[[0, 1]], atol=1e-5)
    middle = between(space.mean[0], space.mean[1], np.array([0.5]), kind, space.mean)
    near = points[np.argsort(np.linalg.norm(space.mean - middle, axis=1))[:12]]
    assert (near.min(0) - 1e-5 <= places[len(places) // 2]).all()
    assert (places[len(places) // 2] <= near.max(0) + 1e-5).all()


def test_a_way_on_no_map_is_refused(client):
    answer = client.post("/api/way", json={"a": 100, "b": 101, "map": "tsne"})
    assert answer.status_code == 404 and "no map called tsne" in answer.json()["error"]
    assert client.post("/api/way", json={"a": 100, "b": 5, "map": "pca"}).status_code == 404


@pytest.mark.parametrize("kind", ["lerp", "slerp", "follow"])
def test_one_place_of_a_morph_can_be_asked_for(client, kind):
    asked = {"a": 100, "b": 101, "pitch": 60, "kind": kind}
    whole = client.post("/api/morph", json={**asked, "steps": 5}).json()
    one = client.post("/api/morph", json={**asked, "at": 0.5}).json()
    assert len(one["steps"]) == 1 and one["steps"][0] == whole["steps"][2]


def test_a_model_without_pitch_is_never_told_one():
    client = TestClient(build_app(Session(*build(pitched=False))), base_url="http://localhost")
    assert client.get("/api/run").json()["pitched"] is False
    answer = point(client, pitch=80).json()
    assert answer["pitch"] is None and frequency(wav_of(answer)) == pytest.approx(hertz(60), abs=1)


def test_the_same_question_is_decoded_once(client, parts):
    first = point(client).content
    decoded = parts[2].decoded
    assert point(client).content == first and parts[2].decoded == decoded


def test_the_sounds_most_like_one_are_named_nearest_first(client, parts, monkeypatch):
    space = parts[1]
    answer = client.get("/api/sounds/105/similar").json()
    far = np.linalg.norm(space.mean - space.mean[5], axis=1)
    assert answer == {"by": "latent", "near": (100 + np.argsort(far)[1:6]).tolist()}
    refused = client.get("/api/sounds/105/similar?by=sound")
    assert refused.status_code == 404 and "--embed" in refused.text
    heard = Heard.nothing(len(space.rows))
    heard.points[:] = 1.0  # all sound alike but for two, of which one is 105
    heard.points[[5, 80]] = np.eye(len(heard.points[0]))[0], np.eye(len(heard.points[0]))[0] + 1e-3
    monkeypatch.setattr(Likeness, "open", lambda *_: Likeness.of(space.mean, heard))
    fresh = TestClient(build_app(Session(*parts)), base_url="http://127.0.0.1:8765")
    assert fresh.get("/api/sounds/105/similar?by=sound").json()["near"][0] == 180
    assert fresh.get("/api/sounds/105/similar").json()["by"] == "both"


def test_what_is_lost_where_is_heard_and_measured_once(client, parts):
    answer = client.get("/api/sounds/105/lost").json()
    stages, own = answer["stages"], hertz(parts[1].labels["pitch"][5])
    assert stages["phase"]["mr_stft"] < stages["picture"]["mr_stft"] < stages["model"]["mr_stft"]
    assert stages["phase"]["log_mel_rmse_db"] < 5.0 < stages["model"]["log_mel_rmse_db"]
    assert all(abs(stage["level_db"]) < 0.5 for stage in stages.values())
    assert answer["sentence"].startswith("Most is lost in the model: MR-STFT ")
    for name, octave in (("phase", 1), ("picture", 1), ("model", 2)):
        assert frequency(wav_of(stages[name])) == pytest.approx(octave * own, rel=0.005), name
    assert client.get("/api/sounds/105/lost").json() == answer and parts[2].encoded == 1


def test_what_is_lost_of_no_sound_is_a_sentence(client, parts):
    assert client.get("/api/sounds/5/lost").status_code == 404
    parts[2].broken = True
    answer = client.get("/api/sounds/105/lost")
    assert answer.status_code == 409 and answer.json()["error"]
    parts[0].corpus.gone = True
    answer = client.get("/api/sounds/105/lost")
    assert answer.status_code == 404 and "private" not in answer.text


def test_every_sound_is_safe_for_ears(parts):
    """Peak at most -1 dBFS, no offset, silent ends; only ever lowered."""
    run, space, synth = parts
    space.rms_db = np.where(np.arange(90) % 2, 20.0, -40.0).astype(np.float32)
    synth_decode = synth.decode
    synth.decode = lambda *a, **k: synth_decode(*a, **k) + 0.3
    client = TestClient(build_app(Session(*parts)), base_url="http://127.0.0.1")
    for row in (100, 101):
        samples, _ = heard(client.get(f"/api/sounds/{row}/reconstruction.wav").content)
        assert np.abs(samples).max() <= PEAK + ONE_LSB
        assert abs(samples.mean()) < 1e-3
        assert np.abs(samples[[0, -1]]).max() <= 2 * ONE_LSB
        if row == 100:
            assert np.abs(samples).max() == pytest.approx(0.01, rel=0.1)  # never made louder


# ---- training goes on behind it -----------------------------------------------------------------


def test_a_newer_space_replaces_the_old_one(parts):
    state = {"stamp": 1, "parts": parts}
    session = Session(*parts, load=lambda: state["parts"], stamp=lambda: state["stamp"])
    client = TestClient(build_app(session), base_url="http://127.0.0.1")
    before = client.get("/api/sounds/100/reconstruction.wav").content
    newer = build()
    newer[1].version = "two"
    newer[1].labels["pitch"] = [72] * 90
    state["parts"] = newer
    assert client.get("/api/run").json()["version"] == "one"  # nothing was written yet
    state["stamp"] = 2
    assert client.get("/api/run").json()["version"] == "two"
    after = client.get("/api/sounds/100/reconstruction.wav").content
    assert after != before and frequency(after) == pytest.approx(hertz(72), abs=1)


def test_a_half_written_space_leaves_the_old_one(parts):
    state = {"stamp": 1}
    session = Session(*parts, load=lambda: refuse(), stamp=lambda: state["stamp"])
    state["stamp"] = 2
    assert session.describe()["version"] == "one"


def test_before_the_first_space_the_page_already_answers(parts):
    client = TestClient(build_app(Session(parts[0], None, None)), base_url="http://127.0.0.1")
    assert client.get("/api/run").json()["sounds"] == 0
    assert client.get("/api/map").json()["rows"] == []
    assert client.get("/api/sounds/100/reconstruction.wav").status_code == 404
    assert point(client).status_code == 404


# ---- what it refuses ----------------------------------------------------------------------------

PATHS = [
    "..", "../../etc/passwd", "%2e%2e%2fsecret", "%252e%252e", "..%5c..%5c", "/etc/passwd", "~",
    "-1",
    "1.5", "1e3", "9" * 5000, "%00", "%0d%0aset-cookie:a", "file:///etc/passwd", "C:/", "١", "abc",
    "app.js/..", "%c0%ae%c0%ae",
]  # fmt: skip


def raw_get(app, target: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """GET without a client that tidies the path first, as an attacker would."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": unquote(target, errors="surrogateescape"), "raw_path": target.encode(),
        "query_string": b"", "root_path": "", "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8765),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), body


@pytest.mark.parametrize("path", PATHS)
def test_no_path_reaches_a_file(parts, path):
    app = build_app(Session(*parts))
    sounds = [f"/api/sounds/{path}/{what}" for what in ("original.wav", "lost")]
    for route in (f"/static/{path}", *sounds, f"/{path}"):
        status, headers, body = raw_get(app, route)
        assert status == 404, route
        assert b"set-cookie" not in headers and b"location" not in headers
        assert len(body) < 100 and b"error" in body


def test_a_missing_sound_is_404_and_a_lost_file_names_no_path(client, parts):
    assert client.get("/api/sounds/5/original.wav").status_code == 404
    assert client.post("/api/morph", json={"a": 100, "b": 5}).status_code == 404
    parts[0].corpus.gone = True
    answer = client.get("/api/sounds/100/original.wav")
    assert answer.status_code == 404 and "private" not in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "127.0.0.1@evil.example",
             "169.254.169.254", "", "localhost:80:80", "[::1", "127.0.0.1:8765/x",
             "LOCALHOST.evil"],
)  # fmt: skip
def test_other_hosts_are_refused(client, host):
    answer = client.get("/api/run", headers={"host": host})
    assert answer.status_code == 403 and "stand-in" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "LocalHost:8765", "[::1]:8765"])
def test_our_own_hosts_are_answered(client, host):
    assert client.get("/api/run", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "https://127.0.0.1:8765"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": ""}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"content-length": "99999999999"}, 413),
        ({"origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_only_our_own_page_may_post(client, headers, status):
    body = json.dumps({"map": "pca", "x": 0, "y": 0})
    sent = {"content-type": "application/json", **headers}
    answer = client.post("/api/point", content=body, headers=sent)
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_other_methods_and_reading_what_is_posted_are_refused(client):
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert client.request(method, "/api/run").status_code == 405
    assert client.get("/api/point").status_code == 405
    assert client.post("/api/run", json={}).status_code == 405


WRONG = [
    ("x", "NaN"), ("x", "Infinity"), ("y", "1e999"), ("y", "1e30"), ("x", '"0"'), ("x", "true"),
    ("x", "null"), ("x", "[1]"), ("y", "1" + "0" * 400), ("pitch", "127.5"), ("pitch", "128"),
    ("pitch", "-1"), ("pitch", '"60"'), ("pitch", "true"), ("map", "7"),
    ("map", '"' + "a" * 99 + '"'),
    ("extra", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "text"), WRONG)
def test_impossible_values_are_named(client, field, text):
    fields = {"map": '"pca"', "x": "0", "y": "0", field: text}
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    headers = {"content-type": "application/json"}
    answer = client.post("/api/point", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["field"] == ("body" if text in ("NaN", "Infinity") else field)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 9000, b"null", b"[]", b'"x"', b"{}",
             b'{"x": ' + b"9" * 6000,
             b'{"map":"pca","x":' + b"9" * 5000 + b',"y":0}',
             b'{"map":"p\\u0000","y":0,"x":"\\ud800"}'],
)  # fmt: skip
def test_what_is_not_a_question_is_422(client, body):
    headers = {"content-type": "application/json"}
    assert client.post("/api/point", content=body, headers=headers).status_code == 422


@pytest.mark.parametrize(
    "change", [{"steps": 1}, {"steps": 33}, {"steps": 10**30}, {"steps": 2.5}, {"at": 1.01},
               {"at": -0.1}, {"kind": "zigzag"}, {"a": -1}, {"a": 1.0}, {"b": True}, {"b": None}],
)  # fmt: skip
def test_impossible_morphs_are_named(client, change):
    answer = client.post("/api/morph", json={"a": 100, "b": 101, **change})
    assert answer.status_code == 422 and answer.json()["field"] in change


def test_an_unknown_map_and_a_wrong_pitch_are_refused(client):
    assert point(client, map="tsne").status_code == 404
    for pitch in ("128", "-1", "x", "1e2", "127.5", ""):
        answer = client.get(f"/api/sounds/100/reconstruction.wav?pitch={pitch}")
        assert answer.status_code == 422 and answer.json()["field"] == "pitch"


def test_a_body_is_limited(client):
    answer = client.post("/api/point", json={"map": "pca", "x": 0, "y": 0, "z": "a" * 20000})
    assert answer.status_code == 413

    def endless():
        for _ in range(100):
            yield b" " * 1024

    headers = {"content-type": "application/json"}
    assert client.post("/api/point", content=endless(), headers=headers).status_code == 413


def test_a_broken_model_is_a_sentence_not_noise(client, parts):
    parts[2].broken = True
    answer = point(client)
    assert answer.status_code == 409 and "not numbers" in answer.json()["error"]


def test_every_answer_is_guarded(client):
    sounds = ("/api/sounds/100/original.wav", "/api/sounds/100/lost")
    for path in ("/", "/static/app.js", "/api/run", "/nothing", *sounds):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert "content-security-policy" in client.get("/", headers={"host": "evil.example"}).headers


def test_the_page_needs_nothing_from_elsewhere(client):
    """Offline, no inline scripts, and every file that the page names is there."""
    page = client.get("/").text
    assert "charset=utf-8" in client.get("/").headers["content-type"]
    for name in server_module.FILES:
        text = client.get(f"/static/{name}").text
        assert "//cdn" not in text and "innerHTML" not in text and "eval(" not in text
        links = [word for word in text.replace('"', " ").split() if word.startswith("http")]
        assert all("www.w3.org" in link for link in links)
    assert "<style" not in page and "style=" not in page and " on" + "click=" not in page
    for part in page.split('"'):
        if part.startswith("/static/"):
            assert client.get(part).status_code == 200


# ---- busy, ports --------------------------------------------------------------------------------


def test_a_full_queue_says_come_back(parts, monkeypatch):
    monkeypatch.setattr(web, "QUEUE", 1)
    entered, release = threading.Event(), threading.Event()
    decode = parts[2].decode

    def slow(*arguments, **settings):
        entered.set()
        release.wait(10)
        return decode(*arguments, **settings)

    parts[2].decode = slow
    statuses: list[int] = []
    with TestClient(build_app(Session(*parts)), base_url="http://127.0.0.1") as client:
        first = threading.Thread(target=lambda: statuses.append(point(client).status_code))
        first.start()
        assert entered.wait(10)
        busy = point(client, x=2.0)
        assert busy.status_code == 503 and busy.headers["retry-after"] == "1"
        assert client.get("/api/run").status_code == 200  # the page itself goes on
        release.set()
        first.join(10)
        assert statuses == [200]
        assert point(client, x=2.0).status_code == 200


def test_a_port_in_use_is_said_and_without_a_port_the_next_free_one_is_taken(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(RunError, match=f"Port {taken} is in use.*--port"):
            bind(taken)
        monkeypatch.setattr(web, "PORT", taken)
        with bind(None) as found:
            assert taken < found.getsockname()[1] < taken + web.PORTS_TRIED
            assert found.getsockname()[0] == "127.0.0.1"
    for wrong in (-1, 65536):
        with pytest.raises(RunError, match="--port"):
            bind(wrong)


def test_it_serves_until_stopped(parts):
    stop, address = threading.Event(), Queue()
    settings = {"port": 0, "browser": False, "ready": address.put, "stop": stop}
    thread = threading.Thread(target=serve, args=(Session(*parts),), kwargs=settings)
    thread.start()
    url = address.get(timeout=10)
    with urlopen(url + "api/run", timeout=10) as answer:
        assert json.load(answer)["name"] == "stand-in"
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_connections_that_only_drip_are_closed_and_stop_nobody(parts, monkeypatch):
    monkeypatch.setattr(web, "HEAD_SECONDS", 0.5)
    stop, address = threading.Event(), Queue()
    settings = {"port": 0, "browser": False, "ready": address.put, "stop": stop}
    thread = threading.Thread(target=serve, args=(Session(*parts),), kwargs=settings)
    thread.start()
    url = address.get(timeout=10)
    port = int(url.rsplit(":", 1)[1].rstrip("/"))
    dripping = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(60)]
    for one in dripping:
        one.sendall(b"GET / HTTP/1.1\r\nHost: ")
    with urlopen(url + "api/run", timeout=2) as answer:
        assert answer.status == 200
    for one in dripping:
        assert one.recv(100) == b""  # closed by the server
        one.close()
    stop.set()
    thread.join(10)


def test_a_real_run_is_heard_as_it_was_trained(tiny_run):
    """The real run, space, corpus and synthesiser behind the same questions."""
    run = Run.open(tiny_run)
    space = Space.open(run)
    client = TestClient(build_app(Session.open(tiny_run)), base_url="http://127.0.0.1:8765")
    told = client.get("/api/run").json()
    assert (
        told["sounds"] == len(space.rows) and told["pitched"] and told["version"] == space.version
    )
    assert told["quality"]["verdict"] and told["quality"]["distortion_db"] > 0
    assert told["training"]["finished"] and not told["training"]["running"]
    names = {column["name"] for column in client.get("/api/map").json()["columns"]}
    assert {"family", "pitch", "velocity", "split"} <= names

    row = int(space.rows[3])
    played, rate = heard(client.get(f"/api/sounds/{row}/original.wav").content)
    recorded = run.corpus.audio(row, sample_rate=rate).mono()[: len(played)]
    assert len(played) == round(run.feature.seconds * rate)
    inside = slice(100, -100)  # between the fades
    assert np.corrcoef(played[inside], recorded[inside])[0, 1] > 0.999

    own = space.labels["pitch"][3]
    picture = client.get(f"/api/sounds/{row}/reconstruction.mel").content
    made = Synth(run.model, run.feature).picture(space.mean[3:4], pitch=own)[0]
    got = np.frombuffer(picture, np.uint8).reshape(made.shape)
    assert np.abs(got - (made + 1) * 127.5).max() <= 0.51

    x, y = (float(v) for v in space.maps["pca"][3])
    spot = point(client, x=x, y=y).json()
    assert spot["near"][0] == row and not spot["far"]
    alone, _ = heard(client.get(f"/api/sounds/{row}/reconstruction.wav").content)
    there, _ = heard(wav_of(spot))
    assert np.allclose(alone, there, atol=0.01)
    steps = client.post("/api/morph", json={"a": row, "b": int(space.rows[9]), "steps": 3}).json()
    assert all(np.isfinite(heard(wav_of(step))[0]).all() for step in steps["steps"])


# ---- what makes the sound -----------------------------------------------------------------------


def test_every_sound_is_made_by_what_is_chosen_and_kept_for_it():
    parts = build()
    makers = {"classical": None, "upside-down": np.negative}
    session = Session(*parts, makers=makers)
    client = TestClient(build_app(session), base_url="http://127.0.0.1:8765")
    assert client.get("/api/run").json()["makers"] == ["classical", "upside-down"]
    ends = {"a": 105, "b": 110}

    def asked(sound_by: str | None) -> list[np.ndarray]:
        more = {} if sound_by is None else {"sound_by": sound_by}
        query = "" if sound_by is None else f"?sound_by={sound_by}"
        lost = client.get(f"/api/sounds/105/lost{query}").json()["stages"]["model"]
        wavs = [
            client.get(f"/api/sounds/105/reconstruction.wav{query}").content, wav_of(lost),
            wav_of(point(client, **more).json()), play(client, **more).content,
            wav_of(client.post("/api/morph", json={**ends, "at": 0.5, **more}).json()["steps"][0]),
            wav_of(client.post("/api/glide", json={**ends, "seconds": 0.5, **more}).json()),
        ]  # fmt: skip
        files = unpacked(client, export(client, keys="C4", **more))
        wavs += [data for name, data in files.items() if name.endswith(".wav")]
        return [heard(wav)[0] for wav in wavs]

    classical, decoded = asked("classical"), parts[2].decoded
    usual, turned = asked(None), asked("upside-down")
    again = asked("classical")
    assert len(classical) == 7 and parts[2].decoded == decoded + 2  # the exports: the rest was kept
    for one, same, other, once_more in zip(classical, usual, turned, again, strict=True):
        assert np.array_equal(one, same) and np.array_equal(one, once_more)
        assert np.abs(one + other).max() < 3 * ONE_LSB and np.abs(one).max() > 0.05
    original = client.get("/api/sounds/105/original.wav?sound_by=upside-down").content
    assert original == client.get("/api/sounds/105/original.wav").content
    refused = play(client, sound_by="a harp")
    assert refused.status_code == 404 and "a harp" in refused.json()["error"]
    assert play(client, sound_by=3).status_code == 422
    session.exports.close()


def test_a_run_s_sounds_are_made_by_the_vocoders_that_take_its_pictures(
    tiny_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("timbrespace.models.vocoder.NOISE", 2048)
    run = Run.open(tiny_run)
    assert isinstance(run.feature, LogMel)
    net = VocoderNet(run.feature, channels=8, blocks=1)
    about = {"feature": contract(run.feature), "network": {"channels": 8, "blocks": 1}}
    file = tmp_path / "fresh.safetensors"
    Vocoder(net, about).save(file)
    told, space = Session.open(tiny_run, file), Space.open(run)
    assert told.describe()["makers"] == ["fresh.safetensors", "classical"]
    assert Session.open(tiny_run).describe()["makers"] == ["classical"]
    row, own = int(space.rows[3]), space.labels["pitch"][3]
    by_vocoder, classical = (
        heard(told.reconstruction(row, sound_by=name).wav)[0] for name in (None, "classical")
    )
    assert heard(Session.open(tiny_run).reconstruction(row).wav)[0] == pytest.approx(classical)
    synth = Synth(run.load_model(space.weights), run.feature, vocoder=Vocoder.open(file))
    level = float(space.rms_db[3])
    wanted = synth.decode(space.mean[3:4], pitch=own, rms_db=level)[0]
    inside = slice(100, -100)  # between the fades
    assert np.corrcoef(by_vocoder[inside], wanted[inside])[0, 1] > 0.999
    assert np.corrcoef(classical[inside], wanted[inside])[0, 1] < 0.9


def test_a_shipped_vocoder_is_offered_where_it_takes_the_pictures():
    assert list(makers_of(LogMel(mels=128))) == ["classical", *shipped()]
    assert list(makers_of(LogMel(mels=128), shipped()[0])) == [shipped()[0], "classical"]
    for feature in (LogMel(mels=80), LogMel(mels=128, hop=128), Waveform(samples=16000)):
        assert list(makers_of(feature)) == ["classical"]
    with pytest.raises(RecipeError, match="80"):
        makers_of(LogMel(mels=80), shipped()[0])


# ---- notes and exports --------------------------------------------------------------------------


def cents(wav: bytes, pitch: int) -> float:
    """How far a tone is from a pitch: the strongest peak, by a parabola through its bins."""
    samples, rate = heard(wav)
    spectrum = np.log(np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples))))
    top = int(spectrum.argmax())
    low, middle, high = spectrum[top - 1 : top + 2]
    at = top + 0.5 * (low - high) / (low - 2 * middle + high)
    found = at * rate / (8 * len(samples))
    return float(1200 * np.log2(found / hertz(pitch)))


PLACES = [
    {"kind": "sound", "row": 105},
    {"kind": "spot", "map": "pca", "x": 0.5, "y": 0.5},
    {"kind": "morph", "a": 105, "b": 110, "at": 0.3, "path": "lerp"},
]


def play(client: TestClient, place=PLACES[0], **changes):
    return client.post("/api/play", json={"place": place, "pitch": 60, **changes})


def export(client: TestClient, place=PLACES[0], **changes) -> dict:
    """The end of an export of a place."""
    told = client.post("/api/export", json={"place": place, "keys": "C4-B4", **changes})
    assert told.status_code == 200, told.text
    return ended(client)


def ended(client: TestClient) -> dict:
    end = time.monotonic() + 10
    while (told := client.get("/api/export").json())["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.01)
    return told


def unpacked(client: TestClient, told: dict) -> dict[str, bytes]:
    answer = client.get(f"/api/export/{told['number']}.zip")
    assert len(answer.content) == told["bytes"]
    assert f'filename="{told["file"]}"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as pack:
        return {name: pack.read(name) for name in pack.namelist()}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_played_at_the_key_as_hard_and_as_long_as_asked(client, parts, place):
    for pitch in (48, 71):
        assert abs(cents(play(client, place, pitch=pitch).content, pitch)) < 5
    loud, soft = (heard(play(client, place, velocity=v).content)[0] for v in (100, 50))
    assert 20 * np.log10(np.std(loud) / np.std(soft)) == pytest.approx(40 * np.log10(2), abs=0.1)
    assert play(client, place, seconds=0.5).headers["x-seconds"] == "0.5000"
    decoded = parts[2].decoded
    play(client, place, velocity=50)
    assert parts[2].decoded == decoded  # it was kept


def test_a_note_takes_the_directions_and_labels_and_tells_how_hard_it_is_hit(tmp_path):
    run, space, synth = with_directions(build(told=("family", "velocity")), tmp_path)
    client = TestClient(build_app(Session(run, space, synth)), base_url="http://127.0.0.1:8765")
    space.mean[:, 2] = -0.5
    dull = play(client, velocity=90).content
    assert synth.said == {"family": space.labels["family"][5], "velocity": 90}
    bright = play(client, toward={"bright": 2}, labels={"family": "organ"}).content
    assert overtone(bright, 60) / overtone(dull, 60) == pytest.approx(np.exp(1.0), rel=0.05)
    assert synth.said["family"] == "organ"


def test_a_model_that_is_not_told_the_pitch_says_so_and_leaves_the_keys_to_the_sampler():
    parts = build(pitched=False)
    session = Session(*parts)
    client = TestClient(build_app(session), base_url="http://127.0.0.1:8765")
    answer = play(client)
    assert answer.status_code == 409 and "is not told the pitch" in answer.json()["error"]
    files = unpacked(client, export(client))
    own = parts[1].labels["pitch"][5]
    (text,) = (data.decode() for name, data in files.items() if name.endswith(".sfz"))
    assert re.findall(r"lokey=(\d+) hikey=(\d+) pitch_keycenter=(\d+)", text) == [
        ("60", "71", str(own))
    ]
    session.exports.close()


@pytest.mark.parametrize("place", PLACES)
def test_a_zip_holds_the_instrument_and_the_samples_it_names(client, place):
    told = export(client, place)
    assert told["state"] == "done" and told["file"].endswith("-sfz.zip")
    files = unpacked(client, told)
    (sfz,) = (name for name in files if name.endswith(".sfz"))
    folder, text = sfz.rpartition("/")[0], files[sfz].decode()
    regions = re.findall(r"sample=(\S+) lokey=(\d+) hikey=(\d+) pitch_keycenter=(\d+)", text)
    assert [int(root) for *_, root in regions] == [60, 63, 66, 69]
    assert (regions[0][1], regions[-1][2]) == ("60", "71")
    assert {f"{folder}/{sample}" for sample, *_ in regions} == {
        name for name in files if name.endswith(".wav")
    }
    for sample, *_, root in regions:
        data = files[f"{folder}/{sample}"]
        assert soundfile.info(io.BytesIO(data)).samplerate == 16000
        assert soundfile.info(io.BytesIO(data)).subtype == "PCM_24"
        assert abs(cents(data, int(root))) < 5


def test_a_pack_of_samples_has_no_sfz_and_the_newest_export_replaces_the_last(client):
    first = export(client, to="samples", keys="C4")
    names = list(unpacked(client, first))
    assert not [name for name in names if name.endswith(".sfz")]
    assert [name for name in names if name.endswith("_C4_v100.wav")]
    second = export(client, keys="C5")
    assert second["number"] == first["number"] + 1
    gone = client.get(f"/api/export/{first['number']}.zip")
    assert gone.status_code == 404 and "not there any more" in gone.json()["error"]


def test_an_instrument_in_flac_has_the_samples_of_that_in_wav(client):
    samples = {}
    for format, suffix in (("wav24", ".wav"), ("flac", ".flac")):
        files = unpacked(client, export(client, keys="C4-D4", format=format))
        (text,) = (data.decode() for name, data in files.items() if name.endswith(".sfz"))
        found = {name: data for name, data in files.items() if "/samples/" in name}
        assert found and all(name.endswith(suffix) for name in found)
        assert all(f"sample=samples/{name.rpartition('/')[2]}" in text for name in found)
        samples[format] = [heard(data)[0] for data in found.values()]
    for one, other in zip(*samples.values(), strict=True):
        assert np.abs(one - other).max() < 1.5 * 2**-23  # they round in the 24th bit otherwise
    assert client.post("/api/export", json={"place": PLACES[0], "format": "mp3"}).status_code == 422


@pytest.mark.parametrize("over", ["velocity", "key"])
def test_a_morph_is_exported_over_velocity_or_key(client, parts, over):
    ends = [{"kind": "sound", "row": row} for row in (105, 110)]
    parts[1].mean[[5, 10]] = [[1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]  # from dull to bright
    told = export(client, ends[0], end=ends[1], over=over, keys="C4-F#4")
    names = [parts[0].corpus.rows.name(row) for row in (105, 110)]
    assert told["file"] == f"{names[0]}-to-{names[1]}-sfz.zip".replace("_", "-")
    bright: dict[int, list[float]] = {}
    for name, data in sorted(unpacked(client, told).items()):
        if found := re.search(r"_([A-G]#?4)_v\d+\.wav$", name):
            key = {"C4": 60, "D#4": 63, "F#4": 66}[found[1]]
            bright.setdefault(key, []).append(overtone(data, key))
    layers = [bright[key] for key in (60, 63, 66)]
    ways = layers if over == "velocity" else [[one for (one,) in layers]]
    for dull, middle, last in ways:
        assert dull < middle < last and last / dull == pytest.approx(np.exp(2.0), rel=0.05)
    one = {"place": ends[0], "end": ends[1], "over": "key", "keys": "C4"}
    refused = client.post("/api/export", json=one)
    assert refused.status_code == 409 and "two samples or more" in refused.json()["error"]
    missing = {"place": ends[0], "end": {"kind": "sound", "row": 7}}
    assert client.post("/api/export", json=missing).status_code == 404


class Slow:
    """A stand-in that waits before it decodes until it may go on."""

    def __init__(self, synth) -> None:
        self.synth, self.may, self.decode_now = synth, threading.Event(), synth.decode

    def decode(self, *args, **settings):
        assert self.may.wait(10)
        return self.decode_now(*args, **settings)


def test_one_export_at_a_time_and_a_stopped_one_leaves_nothing(
    client, parts, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    slow = Slow(parts[2])
    parts[2].decode = slow.decode
    question = {"place": PLACES[0], "keys": "C4-B4"}
    assert client.post("/api/export", json=question).json()["state"] == "running"
    again = client.post("/api/export", json=question)
    assert again.status_code == 409 and "made already" in again.json()["error"]
    client.post("/api/export/stop", json={})
    slow.may.set()
    told = ended(client)
    assert told["state"] == "stopped" and told["sentence"] == "Export stopped."
    assert client.get(f"/api/export/{told['number']}.zip").status_code == 404
    assert list(tmp_path.iterdir()) == []
    assert export(client)["state"] == "done"
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_a_sentence(client, parts):
    for keys, sentence in [("high", "keys should look like"), ("C6-C2", "from low to high")]:
        answer = client.post("/api/export", json={"place": PLACES[0], "keys": keys})
        assert answer.status_code == 409 and sentence in answer.json()["error"]
    for place, status in [
        ({"kind": "sound", "row": 7}, 404), ({"kind": "spot", "map": "no", "x": 0, "y": 0}, 404),
        ({"kind": "file", "row": 7}, 422), ({"row": 105}, 422),
    ]:  # fmt: skip
        assert client.post("/api/export", json={"place": place}).status_code == status
        assert play(client, place).status_code == status
    assert (
        play(client, pitch=128).status_code == 422 and play(client, velocity=0).status_code == 422
    )

    def full(*args, **settings):
        raise OSError(28, "No space left on device", "/somewhere/private")

    parts[2].decode = full
    told = export(client)
    assert told["state"] == "failed"
    assert told["sentence"] == "The export could not be written: No space left on device."
