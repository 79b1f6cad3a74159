"""What the README and the docs tell people to type is typed here, on a small corpus."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import TINY

from timbrespace.cli import app

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
SERVES = {"demo", "explore"}  # they run until Ctrl-C: their options are checked through --help


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(page: str) -> list[list[str]]:
    lines = "\n".join(blocks(page, "sh") + blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("timbrespace ")]


@pytest.fixture
def workplace(tiny_notes, tiny_corpus, tiny_run, tmp_path, monkeypatch) -> Path:
    """A folder with what the pages speak of: my-sounds, and, for pages that need them, runs."""
    sounds = sorted(tiny_notes.rglob("*.wav"))
    (tmp_path / "my-sounds" / "more").mkdir(parents=True)
    for name, sound in zip(("a", "b", "c", "d"), sounds[::25], strict=False):
        shutil.copy(sound, tmp_path / "my-sounds" / f"{name}.wav")
    for sound in sounds[:16]:
        shutil.copy(sound, tmp_path / "my-sounds" / "more")
    shutil.copytree(tiny_run, tmp_path / "demo" / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small(words: list[str]) -> list[str]:
    """The same command, made small."""
    verb = words[1]
    if verb in SERVES:
        return [verb, "--help"]
    if words[1:3] == ["effects", "play"]:
        return ["effects", "play", "--help"]
    if words[1:3] == ["vocoder", "train"]:
        tiny = ("--steps", "1", "--batch", "2", "--channels", "8", "--blocks", "1")
        return [*words[1 : words.index("--minutes")], *tiny]
    if verb == "train" and "--estimate" not in words:
        tiny = (s for s in TINY if "model" not in s and "feature" not in s)
        if words[2] == "instruments":
            tiny = iter(TINY)
        kept = [s for s in tiny if not s.startswith("objective") or words[2] == "instruments"]
        return [*words[1:], *(w for s in [*kept, "train.epochs=1"] for w in ("--set", s))]
    if words[1:3] == ["effects", "controller"] and "--effect" in words:
        return [*words[1:], "--settings", "60"]
    if verb == "instruments":
        return [*words[1:], "--notes", "110"]
    return words[1:]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_in_order(page, workplace):
    for words in commands(page):
        if words[1] in {"train", "prepare", "instruments"} and "--out" in words:
            shutil.rmtree(workplace / words[words.index("--out") + 1], ignore_errors=True)
        if words[1] != "train" and "run" in words and not (workplace / "run").exists():
            shutil.copytree(workplace / "demo" / "run", workplace / "run")
        try:
            app(small(words), standalone_mode=False)
        except SystemExit as stop:
            assert not stop.code, " ".join(words)


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page, workplace):
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), {})


def test_links_and_pictures_of_the_pages_exist():
    missing = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            if not ((ROOT / page).parent / target).exists():
                missing.append(f"{page}: {target}")
    assert missing == []


def test_there_is_something_to_run():
    assert len(commands("README.md")) >= 4 and blocks("README.md", "python")
