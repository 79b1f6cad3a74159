"""The command line keeps its manners: one sentence for a user's mistake, one object for a script."""

import errno
import importlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from timbrespace import cli, verbs
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import catalogue
from timbrespace.explorer import standing
from timbrespace.mapping import Space
from timbrespace.runs import Run


@pytest.fixture
def typed(monkeypatch, capsys):
    """Runs a command in this process: (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["timbrespace", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


def raises(error: BaseException):
    def verb(*_args: object, **_named: object) -> None:
        raise error

    return verb


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("trian",), "Did you mean 'train'?"),
        (("train", "instruments", "--corpsu", "x"), "--corpus"),
        (("train", "instruments", "--corpus", "x"), "--out is missing"),
        (("morph", "run", "a.wav", "b.wav", "--out", "x", "--steps", "1"), "'--steps'"),
        (("morph", "run", "a.wav", "b.wav", "--out", "x", "--path", "slurp"), "slurp"),
        (("generate", "run", "--out", "x", "--pitch", "200"), "127"),
    ],
)
def test_what_is_mistyped_is_one_sentence(typed, words, sentence):
    code, out, err = typed(*words)
    assert code == 2 and out == "" and sentence in err and "--help" in err
    assert err.startswith("timbrespace: ") and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (TimbrespaceError("that cannot be"), 2, "that cannot be"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "the disk is full"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/locked"),
            2,
            "/locked cannot be used",
        ),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", "x.tmp.1", None, "/asked"),
            2,
            "/asked ",
        ),
        (KeyboardInterrupt(), 130, "what was finished is kept"),
    ],
)
def test_what_goes_wrong_has_a_sentence_and_a_code(typed, monkeypatch, error, code, sentence):
    monkeypatch.setattr(verbs, "doctor", raises(error))
    got, out, err = typed("doctor")
    assert (got, out) == (code, "") and sentence in err
    assert err.startswith("timbrespace: ") and len(err.splitlines()) == 1


def test_our_own_bug_traces_back(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["timbrespace", "doctor"])
    for bug in (ZeroDivisionError("a bug of ours"), EOFError("another")):
        monkeypatch.setattr(verbs, "doctor", raises(bug))
        with pytest.raises((ZeroDivisionError, cli.typer.Abort)):
            cli.main()


def test_ctrl_c_in_a_training_keeps_it(tiny_corpus, tmp_path):
    from conftest import TINY

    run = tmp_path / "run"
    wanted = [w for s in (*TINY, "train.epochs=400") for w in ("--set", s)]
    words = ["train", "instruments", "--corpus", str(tiny_corpus), "--out", str(run), *wanted]
    child = subprocess.Popen(
        [sys.executable, "-m", "timbrespace", *words], stderr=subprocess.PIPE, text=True
    )
    began = time.monotonic()
    while not (run / "history.csv").is_file() and time.monotonic() - began < 60:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert err.splitlines()[-1] == "timbrespace: interrupted; what was finished is kept"
    assert list((run / "checkpoints" / "last").iterdir())
    assert json.loads((run / "status.json").read_text())["epoch"] < 400


def every_command() -> list[str]:
    groups = [("", cli.app), *((f"{g.typer_instance.info.name} ", g.typer_instance)
                               for g in cli.app.registered_groups)]  # fmt: skip
    return [
        prefix + (command.name or command.callback.__name__)
        for prefix, group in groups for command in group.registered_commands
    ]  # fmt: skip


def test_the_commands_are_the_verbs():
    import timbrespace
    from timbrespace import recipe

    # a part with a verb's name would take the verb's place as soon as it is imported
    for part in pkgutil.iter_modules(timbrespace.__path__):
        importlib.import_module(f"timbrespace.{part.name}")
    recipe.shipped()
    typed = {name.replace(" ", "_") for name in every_command()}
    verbs = {*timbrespace.VERBS, *timbrespace.EFFECT_VERBS, *timbrespace.VOCODER_VERBS}
    assert typed == verbs - {"estimate", "explain"}
    assert all(callable(getattr(timbrespace, verb)) for verb in verbs)


@pytest.mark.parametrize("name", every_command())
def test_every_help_has_an_example(typed, name):
    code, out, err = typed(*name.split(), "--help")
    assert (code, err) == (0, "") and f"Example: timbrespace {name}" in " ".join(out.split())


def test_no_arguments_is_the_help(typed):
    code, out, _ = typed()
    assert code == 0 and "Commands:" in out


def test_json_is_one_object_and_nothing_else(typed, tiny_run, tiny_notes, tmp_path):
    sound = next(tiny_notes.rglob("*.wav"))
    for words in (
        ("recipes", "--json"),
        ("compare", tiny_run, tiny_run, "--json"),
        ("search", tiny_run, sound, "--pitch", "60", "-k", "2", "--json"),
        ("encode", tiny_run, sound, "--pitch", "60", "--out", tmp_path / "z.npz", "--json"),
        ("generate", tiny_run, "-n", "1", "--pitch", "60", "--out", tmp_path, "--json"),
        ("doctor", "--json"),
    ):
        code, out, _ = typed(*words)
        assert code == 0 and isinstance(json.loads(out), dict) and len(out.splitlines()) == 1


def test_empty_latents_are_refused(typed, tiny_run, tmp_path):
    (tmp_path / "z.npz").touch()
    code, _, err = typed("decode", tiny_run, tmp_path / "z.npz", "--out", tmp_path / "out")
    assert code == 2 and "z.npz is no latents file" in err
    assert not (tmp_path / "out").exists()


def test_a_reader_that_leaves_is_no_bug():
    """`timbrespace recipes | head -0` ends without a traceback."""
    read, write = os.pipe()
    os.close(read)
    child = subprocess.run(
        [sys.executable, "-m", "timbrespace", "recipes"], stdout=write, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    os.close(write)
    assert "Traceback" not in child.stderr


def test_a_run_whose_corpus_is_gone_says_what_its_folder_knows(typed, tiny_run, tmp_path):
    """Curves, bits of each dimension, settings; each question says why not; an evaluation of before stays."""
    run, told = tmp_path / "run", json.loads((tiny_run / "status.json").read_text())["figures"]
    shutil.copytree(tiny_run, run)
    proven = json.loads((run / "provenance.json").read_text()) | {"corpus": str(tmp_path / "lost")}
    (run / "provenance.json").write_text(json.dumps(proven))
    why = f"the corpus of this run, {tmp_path / 'lost'}, is gone; pass --corpus with its new place"
    before = (run / "evaluation" / "metrics.json").read_bytes()
    code, _, err = typed("evaluate", run)
    assert code == 2 and f"{why}; " in " ".join(err.split()) and "stays as it was" in err
    assert (run / "evaluation" / "metrics.json").read_bytes() == before
    shutil.rmtree(run / "evaluation")
    code, out, _ = typed("evaluate", run, "--ask", "pitch,structure,waves")
    assert code == 0 and out.startswith(f"{why}; of the last epoch: keeps ")
    text = (run / "evaluation" / "metrics.json").read_text()
    assert "NaN" not in text
    found = json.loads(text)
    assert found["pitch"] == found["structure"] == {"why_not": why} and found["waves"] is None
    assert "axes" in catalogue.not_asked(found) and found["healthy"] is False
    distortion, rate = found["last_epoch"]["distortion"], found["last_epoch"]["rate"]
    assert distortion["rmse_db"] == told["valid_rmse_db"]
    assert rate["bits_per_sound"] == pytest.approx(told["valid_bits"])
    assert len(rate["bits_per_dimension"]) == rate["dimensions"] == 8
    assert sum(rate["bits_per_dimension"]) == pytest.approx(told["valid_bits"], rel=1e-3)
    assert found["settings"]["model"]["bottleneck"]["latent"] == 8
    page = (run / "evaluation" / "report.html").read_text()
    assert page.count(f"Not answered: {why}") == 2 and "latent: 8" in page
    drawn = {path.name for path in (run / "evaluation" / "figures").glob("*.png")}
    assert drawn == {"training.png", "bits.png"}
    assert standing.quality(Run.open(run))["distortion_db"] == told["valid_rmse_db"]
    code, _, err = typed("evaluate", run, "--split", "half")
    assert code == 2 and "there is no split" in err


@pytest.mark.parametrize("verb", ["play", "export"])
def test_how_notes_and_instruments_are_made_is_told(verb, typed, tiny_run, tmp_path):
    own = {"play": ("--pitch", 60), "export": ("--keys", "C4", "--to", "samples")}[verb]
    made = {}
    for name, more in (
        ("usual", ()), ("again", ()), ("rounds", ("--rounds", 0)), ("method", ("--method", "griffin_lim")),
        ("inversion", ("--inversion", "nnls")),
    ):  # fmt: skip
        code, _, err = typed(verb, tiny_run, "--row", 3, *own, *more, "--out", tmp_path / name)
        assert code == 0, err
        (file,) = (tmp_path / name).glob("*.wav")
        made[name] = soundfile.read(file)[0]
    assert np.array_equal(made["again"], made["usual"])
    for name in ("rounds", "method", "inversion"):
        short = min(len(made[name]), len(made["usual"]))
        assert not np.allclose(made[name][:short], made["usual"][:short], atol=1e-3), name
    code, _, err = typed(verb, tiny_run, "--row", 3, *own, "--method", "pgi", "--out", tmp_path)
    assert code == 2 and "did you mean pghi" in err


def test_the_explorer_makes_its_sounds_as_told(typed, tiny_run, monkeypatch):
    served = []
    monkeypatch.setattr(
        "timbrespace.explorer.server.serve", lambda session, **_: served.append(session)
    )
    row = int(Space.open(Run.open(tiny_run)).rows[0])
    for more in ((), ("--method", "griffin_lim", "--rounds", 3)):
        code, _, err = typed("explore", tiny_run, "--no-browser", *more)
        assert code == 0, err
    usual, told = (session.reconstruction(row).wav for session in served)
    assert usual != told
