"""Effects of other makers: what they do to sound, and what theirs may do without harm to us.

The LV2 plug-ins are those of Debian's mda-lv2 and swh-lv2, which `make test` makes sure of.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from misbehaving import BAD, GOOD, misbehaving, worker

from timbrespace import verbs, verbs_effects
from timbrespace.cli import app
from timbrespace.effects import hosts
from timbrespace.effects.catalogue import find
from timbrespace.effects.hosts import lv2, pedalboard, turtle, vst3
from timbrespace.effects.knobs import Knob
from timbrespace.errors import EffectError, MissingExtra

RATE = 16000


def impulse(samples: int = 2 * RATE) -> np.ndarray:
    sound = np.zeros(samples, np.float32)
    sound[100] = 1.0
    return sound


def sine(hertz: float, amplitude: float = 0.3, seconds: float = 1.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def gone(pid: int, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(") ")[2].startswith("Z"):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("crash", r"test:crash crashed \(SIGSEGV\)"),
        ("leave", "test:leave ended with code 3"),
        ("hang", "test:hang gave no answer in 1"),
        ("fork", "test:fork gave no answer in 1"),
        ("short", r"test:short gave sound of shape \(1, 1\) for \(1, 2\)"),
        ("nan", "test:nan gave NaN, or more than 1e.09 times full scale, at much 0.5 dB"),
        ("loud", "test:loud gave NaN, or more than"),
        ("refuse", "test:refuse: ValueError: no such filter"),
    ],
)
def test_a_plugin_that_fails_is_named_and_the_next_call_works(place, said):
    effect = misbehaving(place, 1.0 if place in ("hang", "fork") else 20.0)
    assert np.array_equal(effect.render(GOOD, RATE), GOOD)
    before = worker(effect.name, effect.module, place).facts()["pid"]
    began = time.monotonic()
    with pytest.raises(EffectError, match=said):
        effect.render(BAD, RATE)
    assert time.monotonic() - began < 5.0
    assert place == "refuse" or gone(before)  # a refusal in words is no reason to begin anew
    assert np.array_equal(effect.render(GOOD, RATE), GOOD)


def test_a_plugin_that_crashes_while_it_loads_is_named():
    with pytest.raises(EffectError, match=r"test:unloadable crashed \(SIGSEGV\)"):
        misbehaving("unloadable").render(GOOD, RATE)


def test_what_a_plugin_prints_does_not_get_into_its_sound():
    assert np.array_equal(misbehaving("print").render(BAD, RATE), BAD)


@pytest.mark.parametrize("sound", ["GOOD", "BAD"], ids=["idle", "hanging"])
def test_a_worker_ends_with_its_parent_even_when_that_is_killed(sound):
    code = (
        "import os, signal, threading\n"
        "from misbehaving import BAD, GOOD, misbehaving, worker\n"
        "effect = misbehaving('hang')\n"
        "print(worker(effect.name, effect.module, 'hang').facts()['pid'], flush=True)\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        f"effect.render({sound}, 16000)\n"
        "threading.Event().wait()\n"
    )
    here = str(Path(__file__).parent)
    parent = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": here},
        capture_output=True, text=True,
    )  # fmt: skip
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    assert gone(int(parent.stdout))


def test_a_fork_amid_a_render_has_workers_of_its_own():
    effect = misbehaving("well")
    ours = worker(effect.name, effect.module, "well")
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with ours.lock:
            held.set()
            forked.wait()

    threading.Thread(target=hold).start()
    held.wait()
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        os._exit(0 if np.array_equal(effect.render(BAD, RATE), BAD) else 1)
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert np.array_equal(effect.render(GOOD, RATE), GOOD)


def test_after_ctrl_c_the_next_call_gets_its_own_sound():
    effect = misbehaving("hang")
    effect.render(GOOD, RATE)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in a shell's background
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            effect.render(BAD, RATE)
    finally:
        signal.signal(signal.SIGINT, before)
    assert np.array_equal(effect.render(GOOD, RATE), GOOD)


def test_threads_that_share_a_plugin_get_their_own_sounds():
    effect = misbehaving("well")
    sounds = [np.full(1000 + i, i, np.float32) for i in range(1, 9)] * 5
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda sound: effect.render(sound, RATE), sounds))
    assert all(np.array_equal(a, b) for a, b in zip(made, sounds, strict=True))


def test_a_warm_render_costs_a_few_milliseconds():
    effect, sound = misbehaving("well"), np.zeros(2 * RATE, np.float32)
    times = []
    for _ in range(30):
        began = time.perf_counter()
        effect.render(sound, RATE)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.003


def test_mda_delay_echoes_at_the_right_samples():
    """Left after 32766 l^2 samples, whatever the rate; a right knob of 1 is half of that."""
    effect = hosts.find("lv2:Delay")
    sound = np.stack([impulse(), impulse()])
    setting = {"l_delay": 0.5, "r_delay": 1.0, "feedback": 0.0, "fx_mix": 1.0}
    echoes = effect.render(sound, RATE, setting)
    assert [list(np.flatnonzero(np.abs(c) > 1e-3) - 100) for c in echoes] == [[8191], [4095]]
    quarter = effect.render(sound, RATE, {**setting, "l_delay": 0.25})
    assert np.argmax(quarter[0]) - 100 == 2047
    assert np.array_equal(effect.render(sound, RATE, setting), echoes)  # nothing is left of a call
    assert np.allclose(effect.render(impulse(), RATE, setting), echoes.mean(axis=0), atol=1e-6)
    two_mono = np.stack([sound, sound[:, ::-1]])[:, :1]
    assert effect.render(two_mono, RATE, setting).shape == two_mono.shape
    assert effect.complete({})["feedback"] == pytest.approx(0.7)  # as its own file says


def test_mda_overdrive_makes_odd_harmonics():
    made = hosts.find("lv2:Overdrive").render(sine(500.0), RATE, {"drive": 1.0, "muffle": 0.0})
    level = np.abs(np.fft.rfft(made * np.hanning(RATE)))[500 * np.arange(1, 6)]  # 1 Hz each
    assert level[2] > 0.1 * level[0] and level[4] > 0.02 * level[0]
    assert max(level[1], level[3]) < 1e-3 * level[0]


def test_a_knob_in_shares_of_the_sample_rate_is_multiplied():
    effect = hosts.find("lv2:lowpass_iir")
    (cutoff, stages) = effect.knobs
    assert (cutoff.unit, stages.low, stages.high) == ("of the sample rate", 1.0, 10.0)

    def passed(hertz: float, rate: int) -> float:
        setting = {"cutoff": 0.1, "stages": 2.4}  # an integer, so two
        return float(np.std(effect.render(sine(hertz), rate, setting)) / np.std(sine(hertz)))

    assert passed(500.0, RATE) > 0.9 and passed(6000.0, RATE) < 0.05  # 1600 Hz
    assert passed(6000.0, RATE) == pytest.approx(
        passed(6000.0, 3 * RATE), rel=1e-3
    )  # sine() is at RATE


def test_the_latency_that_a_plugin_reports_is_taken_away():
    effect = hosts.find("lv2:lookaheadLimiter")
    made = effect.render(0.5 * impulse(), RATE, {"limit": 0.0, "delay_s": 0.1})
    assert np.argmax(made) == 100


def test_every_plugin_that_is_listed_is_found_and_has_knobs_in_order():
    names = dict(hosts.listed())
    assert {"lv2:Delay", "lv2:Overdrive", "lv2:Leslie", "pedalboard:Chorus"} <= set(names)
    for name in names:
        effect = hosts.find(name)
        assert effect.name == name and effect.words == names[name]
        places = np.linspace(0.1, 0.9, len(effect.knobs))
        assert np.allclose(effect.to_units(effect.from_units(places)), places)


def test_the_list_has_the_ranges_of_plugins_and_loads_none(tmp_path, monkeypatch, capsys):
    (tmp_path / "Far.vst3").mkdir()
    monkeypatch.setattr(vst3, "folders", lambda: [tmp_path])
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", None)
        listed = {one["name"]: one for one in verbs_effects.effects_list()}
        app(["effects", "list"], standalone_mode=False)
    for name in ("lv2:Delay", "lv2:Leslie", "pedalboard:Chorus"):
        assert listed[name]["knobs"] == [knob.facts for knob in hosts.find(name).knobs]
    far = f"vst3:{tmp_path / 'Far.vst3'}"
    assert listed[far]["knobs"] is None and listed["lv2:zm1"]["knobs"] == []
    told = capsys.readouterr().out
    assert "threshold_db -40 to 0 dB" in told and "l_delay 0 to 1; r_delay 0 to 1; " in told
    assert "Far\n    knobs are told by loading it\n" in told and "z-1\n    no knobs\n" in told


def test_a_plugin_says_what_of_it_cannot_be_heard_in_mono(tmp_path):
    (leslie,) = verbs_effects.effects_list("lv2:Leslie")
    assert [knob["name"] for knob in leslie["knobs"] if knob["stereo"]] == ["hi_width"]
    soundfile.write(tmp_path / "mono.wav", sine(440.0), RATE)
    soundfile.write(tmp_path / "stereo.wav", np.tile(sine(440.0), (2, 1)).T, RATE)
    mono, stereo = verbs_effects.effects_apply(
        [tmp_path / "mono.wav", tmp_path / "stereo.wav"], tmp_path / "wet", effect="lv2:Leslie",
        setting={"hi_width": 0.2, "output": 0.4},
    )  # fmt: skip
    assert stereo.unheard == () and [words.split()[0] for words in mono.unheard] == ["hi_width"]


def test_pedalboard_delay_is_ours_in_time():
    theirs, ours = hosts.find("pedalboard:Delay"), find("delay")
    setting = {"delay_seconds": 0.25, "feedback": 0.0, "mix": 1.0}
    made = theirs.render(impulse(), RATE, setting)
    same = ours.render(impulse(), RATE, {"time": 250.0, "feedback": 0.0, "mix": 1.0})
    assert np.argmax(np.abs(made)) == 100 + RATE // 4 == np.argmax(np.abs(same))
    assert np.array_equal(made, theirs.render(impulse(), RATE, setting))


@pytest.mark.parametrize("name", [f"pedalboard:{name}" for name in pedalboard.BUILT_IN])
def test_every_effect_of_pedalboard_runs_at_both_ends_of_its_knobs(name):
    effect = hosts.find(name)
    sound = sine(440.0, seconds=0.25)
    for place in (0.0, 1.0):
        setting = effect.from_units(np.full(len(effect.knobs), place))
        assert effect.render(sound, RATE, setting).shape == sound.shape
    if effect.dry:
        assert np.allclose(effect.render(sound, RATE, effect.dry), sound, atol=2e-7)


BUNDLE = """
@prefix lv2: <http://lv2plug.in/ns/lv2core#> . @prefix u: <http://lv2plug.in/ns/extensions/units#> .
@prefix p: <http://lv2plug.in/ns/ext/port-props#> . @prefix doap: <http://usefulinc.com/ns/doap#> .
<urn:our:%(name)s> a lv2:Plugin ; lv2:binary <none.so> ; doap:name "A # \\"name\\""@en ; %(more)s
  lv2:port [ a lv2:InputPort , lv2:ControlPort ; lv2:index 2 ; lv2:symbol "time" ;
    lv2:minimum 1.0e1 ; lv2:maximum 1000 ; lv2:default 99 ; u:unit u:ms ; lv2:portProperty p:logarithmic ;
  ] , [ a lv2:InputPort , lv2:ControlPort ; lv2:index 3 ; lv2:symbol "loud" ; # a comment
    lv2:minimum -6 ; lv2:maximum +6.5 ; lv2:default 0.5 ; u:unit [ a u:Unit ; u:symbol "sone" ] ] ,
  [ a lv2:InputPort , lv2:ControlPort ; lv2:index 4 ; lv2:symbol "plain" ] ,
  [ a lv2:InputPort , lv2:ControlPort ; lv2:index 5 ; lv2:symbol "on" ; lv2:designation lv2:enabled ;
    lv2:minimum 0 ; lv2:maximum 1 ; lv2:default 1 ] ,
  [ a lv2:InputPort , lv2:AudioPort ; lv2:index 0 ; lv2:symbol "in" ] ,
  [ a lv2:OutputPort , lv2:AudioPort ; lv2:index 1 ; lv2:symbol "out" ] .
"""


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Writes a bundle where LV2_PATH leads."""
    monkeypatch.setenv("LV2_PATH", str(tmp_path))

    def write(folder: str, name: str, more: str = "") -> None:
        (tmp_path / folder).mkdir()
        text = BUNDLE % {"name": name, "more": more}
        (tmp_path / folder / "manifest.ttl").write_text(text)

    return write


def test_knobs_have_what_the_plugin_says(bundle):
    bundle("a.lv2", "Thing")
    effect = hosts.find("lv2:Thing")
    assert effect.words == 'A # "name"'
    assert effect.knobs == (
        Knob("time", "ms", 10.0, 1000.0, 99.0, "log"),
        Knob("loud", "sone", -6.0, 6.5, 0.5),
        Knob("plain", "", 0.0, 1.0, 0.0),
    )
    with pytest.raises(EffectError, match="lv2:Thing: its library cannot be loaded"):
        effect.render(GOOD, RATE)
    bundle("b.lv2", "Two+Things")
    assert [part.name for part in find("lv2:Two+Things+eq").parts] == ["lv2:Two+Things", "eq"]


def test_numbers_that_are_none_are_left_out(bundle, tmp_path):
    bundle("a.lv2", "Thing")
    page = tmp_path / "a.lv2" / "manifest.ttl"
    page.write_text(page.read_text().replace("lv2:default 99", "lv2:default 1e999"))
    page.write_text(page.read_text().replace("lv2:index 0", "lv2:index 1e999"))
    assert hosts.find("lv2:Thing").knobs[0].default == 10.0
    assert "lv2:Thing" in dict(hosts.listed())


def test_bundles_that_cannot_be_used_say_why_and_spoil_nothing(bundle, tmp_path):
    bundle("a.lv2", "one:Thing")
    bundle("b.lv2", "two:Thing")
    bundle("c.lv2", "Needy", "lv2:requiredFeature <urn:map> ;")
    bundle("d.lv2", "Broken", "lv2:port lv2:port ; [")
    names = dict(hosts.listed())
    assert {"lv2:one/Thing", "lv2:two/Thing", "lv2:Delay"} <= set(names)
    assert not {"lv2:Needy", "lv2:Broken"} & set(names)
    with pytest.raises(EffectError, match="name of 2 LV2 plug-ins.*lv2:one/Thing, lv2:two/Thing"):
        hosts.find("lv2:Thing")
    with pytest.raises(EffectError, match="lv2:Needy cannot be used: it needs .*urn:map"):
        hosts.find("lv2:Needy")
    with pytest.raises(EffectError, match="no LV2 plug-in 'Dellay'.*did you mean Delay"):
        hosts.find("lv2:Dellay")
    assert hosts.find("lv2:urn:our:one:Thing").knobs


def test_turtle_is_read_as_its_specification_says():
    text = """@base <http://a/b/> . PREFIX : <http://c/>
    <x> :p 1, -2.5, 1e3 , true, "a\\tb\\u00e9", '''two "
lines''', "3"^^<http://www.w3.org/2001/XMLSchema#integer> ; a :T , _:n ;; .
    :l :list (1 [ :q <../y#z> ]) . [ :r :with.dot ] ."""
    graph = turtle.parse(text, "file:///f")
    x = graph[turtle.Node("http://a/b/x")]
    values = [1.0, -2.5, 1000.0, True, "a\tb\u00e9", 'two "\nlines', 3.0]
    assert x[turtle.Node("http://c/p")] == values
    assert x[turtle.Node(turtle.RDF + "type")] == ["http://c/T", "_:n"]
    objects = [o for about in graph.values() for found in about.values() for o in found]
    assert {"http://a/y#z", "http://c/with.dot", turtle.RDF + "nil"} <= set(map(str, objects))
    for wrong in (
        "<a> <b> .",
        ":x :y :z .",
        "<a> <b> [",
        '<a> <b> "c\n" .',
        "<a> <b> " + "[<c>" * 99,
    ):
        with pytest.raises(turtle.Unreadable, match="line 1 "):
            turtle.parse(wrong, "file:///f")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lv2", "'lv2' names no plug-in"),
        ("vst4:x", "'vst4:x' names no plug-in, which is HOST:NAME; did you mean vst3"),
        ("pedalboard:Chrous", "pedalboard has no effect 'Chrous'; did you mean Chorus"),
        ("vst3:/none.vst3", "there is no VST3 plug-in at /none.vst3"),
    ],
)
def test_names_that_are_none(name, said):
    with pytest.raises(EffectError, match=said):
        hosts.find(name)


def test_a_file_that_is_no_vst3_is_refused_in_words(tmp_path):
    (tmp_path / "text.vst3").write_text("no plug-in")
    with pytest.raises(EffectError, match="text.vst3: it cannot be loaded: Unable to"):
        hosts.find(f"vst3:{tmp_path / 'text.vst3'}")


@pytest.mark.parametrize("forgets", [True, False])
def test_a_vst3_that_a_reset_does_not_empty_is_loaded_anew(monkeypatch, forgets):
    """No VST3 can be installed with Debian 12, so a stand-in for pedalboard's: it adds the last sound's end."""
    import pedalboard as host

    from timbrespace.effects.hosts import vst3_run

    loaded = []

    class Leaky:
        is_effect, name, manufacturer_name = True, "Leaky", "nobody"

        def __init__(self, path: str) -> None:
            loaded.append(self)
            gain = SimpleNamespace(
                is_automatable=True, type=float, valid_values=[0.0, 0.5, 1.0], label="",
                default_raw_value=0.5, raw_value=0.5,
            )  # fmt: skip
            self.parameters, self.last = {"gain": gain}, 0.0

        def process(self, samples: np.ndarray, sample_rate: int, reset: bool) -> np.ndarray:
            before = 0.0 if forgets and reset else self.last
            self.last = float(samples[0, -1])
            return samples * np.float32(self.parameters["gain"].raw_value) + np.float32(before)

    monkeypatch.setattr(host, "VST3Plugin", Leaky)
    plugin = vst3_run.Vst3Plugin("a.vst3")
    assert plugin.remembers is not forgets and len(loaded) == 1
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 500)).astype(np.float32)
    for _ in range(2):
        assert np.array_equal(plugin.render(sound, RATE, {"gain": 0.5}), sound * np.float32(0.5))
    assert len(loaded) == (1 if forgets else 3)


def test_the_doctor_says_which_hosts_are_there():
    facts = verbs.doctor()["plug-ins"]
    assert list(facts) == list(hosts.HOSTS)
    assert facts["lv2"].split()[0] == str(len(lv2.described()))


def test_without_pedalboard_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(pedalboard, "version", lambda: None)
    with pytest.raises(MissingExtra, match=r"pip install 'timbrespace\[plugins\]'"):
        hosts.find("pedalboard:Chorus")
    with pytest.raises(MissingExtra, match="plugins"):
        hosts.find("vst3:/none.vst3")
    assert {name.partition(":")[0] for name, _ in hosts.listed()} == {"lv2"}
    assert "pip install" in hosts.state()["vst3"]
    monkeypatch.setattr(lv2, "folders", lambda: [Path("/none")])
    assert hosts.listed() == []
