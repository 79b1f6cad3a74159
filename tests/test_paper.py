"""The paper: it compiles, every figure in it is one of metrics.json, and it says nothing that a run has not."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import timbrespace
from timbrespace import cli
from timbrespace.errors import RunError
from timbrespace.evaluation import figures
from timbrespace.evaluation.catalogue import NOT_ASKED
from timbrespace.evaluation.figures.style import as_pdf
from timbrespace.recipe import load, shipped
from timbrespace.writeup import blocks, latex, methods, pack, references
from timbrespace.writeup.blocks import Heading, Picture, Table, Words
from timbrespace.writeup.evidence import Evidence

WRITEUP = Path(methods.__file__).parent
NASTY = "50%_größe & #1 {音}"


@pytest.fixture(scope="module")
def written(tiny_run, tmp_path_factory):
    """The paper of a run whose folder has a name that LaTeX does not like."""
    folder = tmp_path_factory.mktemp("papers")
    run = shutil.copytree(tiny_run, folder / NASTY)
    return timbrespace.paper([run], folder / "paper")  # type: ignore


@pytest.fixture
def quick(monkeypatch):
    """Figures are drawn, but not as files: each is a few bytes of its own."""
    drawn = iter(range(10_000))

    def savefig(self, file, **kind):
        file.write(f"%PDF figure {next(drawn)}".encode())

    monkeypatch.setattr(Figure, "savefig", savefig)


@pytest.fixture
def run(tiny_run, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run, tmp_path / "run")
    return Path("run")


def change(run: Path, **values) -> None:
    """Values of metrics.json, by part__name__name; None takes one out."""
    path = run / "evaluation" / "metrics.json"
    metrics = json.loads(path.read_text())
    for place, value in values.items():
        *parts, name = place.split("__")
        inner = metrics
        for part in parts:
            inner = inner[part]
        if value is None:
            del inner[name]
        else:
            inner[name] = value
    path.write_text(json.dumps(metrics))


def all_text(folder: Path) -> str:
    return "".join(p.read_text() for p in sorted(folder.rglob("*.tex")) + [folder / "card.md"])


def faults(text: str) -> list[str]:
    """What would stop LaTeX: open braces and environments, special characters outside of mathematics."""
    found = []
    bare = re.sub(r"\\[^a-zA-Z]", "", text)
    if bare.count("{") != bare.count("}"):
        found.append("braces")
    opened: list[str] = []
    for way, name in re.findall(r"\\(begin|end)\{(\w+)\*?\}", text):
        if way == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            found.append(f"end of {name}")
    found += [f"begin of {name}" for name in opened]
    math = r"\$[^$]*\$|\\begin\{equation\}.*?\\end\{equation\}"
    words = re.sub(
        rf"{math}|\\(?:input|label|ref|includegraphics)\S*\{{[^}}]*\}}", "", bare, flags=re.S
    )
    found += [c for c in "$_^#%" if c in words]
    if "tabular" not in text:
        found += [c for c in "&" if c in words]
    return found + [c for c in text if not c.isascii()]


def test_its_latex_is_well_formed(written):
    made = written
    texts = {p: p.read_text("utf-8") for p in made.files if p.suffix == ".tex"}
    assert len(texts) > 15 and [(p.name, faults(t)) for p, t in texts.items() if faults(t)] == []
    assert r"50\%\_gr\"{o}{\ss{}}e" in texts[made.folder / "paper.tex"].replace(
        r"\ss{}", r"{\ss{}}"
    )
    assert any(p.suffix == ".pdf" for p in made.files)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX: make latex")
def test_it_compiles_with_a_plain_latex(written):
    made = written
    for command in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        options = () if command == "bibtex" else ("-halt-on-error", "-interaction=nonstopmode")
        done = subprocess.run([command, *options, "paper"], cwd=made.folder, capture_output=True)
        assert done.returncode == 0, done.stdout[-2000:]
    log = (made.folder / "paper.log").read_text("latin-1")
    assert "undefined" not in log and "multiply" not in log and "Overfull" not in log


@pytest.mark.parametrize(
    "fault", ["{", r"\begin{table}", "a_b", "100%", "# of", r"\end{table}", "a & b", "ü"]
)
def test_the_check_of_latex_can_fail(fault):
    assert faults(f"text {fault} text") != [] and faults(r"50\% of $x_1$, \emph{a\_b}") == []


def test_a_changed_figure_changes_the_paper(written, run, quick):
    family = next(iter(json.loads((run / "evaluation/metrics.json").read_text())["families"]))
    change(
        run, distortion__rmse_db=43.21, distortion__rmse_db_interval=[43.01, 43.41],
        rate__bits_per_sound=987.6, floors__mean_sound_rmse_db=65.43,
        heard__model__mr_stft=8.76, pitch__sounds=4321, verdict="keeps nothing at all",
        **{f"families__{family}__rmse_db": 76.5},
    )  # fmt: skip
    after = timbrespace.paper([run], "after")  # type: ignore
    old, new = all_text(written.folder), all_text(after.folder)
    for told in ("43.21 [43.01, 43.41]", "987.6", "65.43", "8.76", "4321", "76.5", "keeps nothing"):
        assert told in new and told not in old


def test_no_figure_is_typed():
    """Templates have the digits of an equation's form and of names, and no others."""
    names = r"<h\d>|</h\d>|a4paper|utf-8|sha256|mel2d|conv[12]d|^l1$|^audio_l1$|swift-f0|\{\d\}"
    form = r"\$[^$]*\$|\\begin\{equation\}.*?\\end\{equation\}|\\cite\{[^}]*\}"
    keys = rf"^[\w,]*({'|'.join(references.ENTRIES)})$"
    math = {*methods.SIGMAS.values(), *methods.TERMS.values()}
    typed = []
    for module in ("methods", "pack", "card", "listen"):
        tree = ast.parse((WRITEUP / f"{module}.py").read_text("utf-8"))
        silent = {  # formats of numbers, and docstrings
            inner for node in ast.walk(tree) for part in
            ([node.format_spec] if isinstance(node, ast.FormattedValue) and node.format_spec else
             [node] if isinstance(node, ast.Expr) else [])
            for inner in ast.walk(part)
        }  # fmt: skip
        typed += [
            node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and node not in silent and node.value not in math
            and re.search(r"\d", re.sub(f"{names}|{form}|{keys}", "", node.value, flags=re.S))
        ]  # fmt: skip
    assert typed == []


@pytest.fixture
def told(tmp_path):
    """Makes the evidence of a recipe, without training."""

    def make(name, *settings):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "recipe.yaml").write_text(load(name, settings=settings).to_yaml())
        (folder / "provenance.json").write_text(
            '{"format": 1, "corpus": "/nowhere", "corpus_digest": "c"}'
        )
        (folder / "split.csv").write_text("row,file,split\n0,a.wav,train\n1,b.wav,valid\n")
        metrics = {
            "split": "valid", "sounds": 1, "distortion": {"groups": 1, "rmse_db": 5.0},
            "rate": {"bits_per_sound": 56.0}, "heard": {"why_not": "silent"}, "verdict": "is",
            "floors": {"mean_sound_cosine": 0.1}, "ceilings": {}, "families": {},
        }  # fmt: skip
        return Evidence.of(folder, metrics)

    return make


@pytest.mark.parametrize("name", shipped(ablations=True))
def test_methods_speak_of_every_recipe_and_of_nothing_that_it_has_not(told, name):
    found = told(name)
    text, recipe = methods.methods(found), found.run.recipe
    assert faults(text) == [] and not re.search(r"<\w+>", text)
    model, objective = recipe.model, recipe.objective
    cues = {
        r"\beta": model.bottleneck.codebooks is None, "codes": model.bottleneck.codebooks is not None,
        "levels of": model.bottleneck.kind == "hierarchical", "controller": bool(objective.bits_per_sound),
        "adversary": "adversary" in objective.weights, "cycles": objective.cycle is not None,
        "dropout": bool(getattr(model.encoder, "dropout", 0) or getattr(model.decoder, "dropout", 0)),
        r"\lambda": bool(objective.free_bits), "perez2018": getattr(model.decoder, "film", False),
        "The label pitch is told": "pitch" in model.condition.labels, "yin": False,
        "along a cosine": recipe.train.schedule == "cosine", "clipped": recipe.train.clip is not None,
        "mel": "log_mel" in (recipe.feature.kind, getattr(recipe.feature, "picture", ""))
        or model.encoder.kind == "mel2d",
    }  # fmt: skip
    assert {cue: cue in text for cue in cues} == cues
    references.bibliography(references.cited([text]))  # all have an entry


def test_settings_of_the_recipe_are_those_of_the_text(told):
    text = methods.methods(told("instruments", "train.batch=77", "objective.bits_per_sound=61.5"))
    assert "batches of 77 sounds" in text and "61.5 bits a sound" in text


def test_every_entry_can_be_cited_and_nothing_else():
    source = (WRITEUP / "methods.py").read_text("utf-8")
    keys = {*references.cited([source]), *",".join(methods.SOURCES.values()).split(",")}
    assert {k for k in keys if re.fullmatch(r"\w+", k)} == set(references.ENTRIES)
    for key, entry in references.ENTRIES.items():
        assert re.match(rf"@\w+\{{{key},", entry) and faults(entry.replace("\n", " ")) == []


def test_a_paper_has_the_references_that_it_cites(written):
    texts = [p.read_text() for p in written.files if p.suffix == ".tex"]
    entries = re.findall(r"@\w+\{(\w+),", (written.folder / "references.bib").read_text())
    assert entries == references.cited(texts) and "kingma2014" in entries


def test_names_are_escaped_by_hand():
    assert latex.escape("a_b 50% {x} \\ ~ ^ é") == (
        r"a\_b 50\% \{x\} \textbackslash{} \textasciitilde{} \textasciicircum{} \'{e}"
    )
    assert latex.escape("Größe & 音") == r"Gr\"{o}\ss{}e \& [U+97F3]"
    assert latex.escape("--out – a") == "-{}-out -- a"
    assert latex.cell("-0.04 [-0.10, 0.02]") == "$-$0.04 [$-$0.10, 0.02]"
    assert latex.cell("[1, 2]") == "{}[1, 2]" and latex.cell("log-mel-80") == "log-mel-80"
    assert all(faults(latex.escape(chr(c))) == [] for c in range(0x3000))
    assert latex.fill("<n> of <name>", {"n": 1024, "name": "a_b"}) == r"1,024 of a\_b"
    with pytest.raises(KeyError):
        latex.fill("<missing>", {})


def test_html_becomes_blocks_and_a_wide_table_several():
    html = (
        "<h2>A &amp; B</h2><p class='quiet'>Some <em>words</em>.</p><img alt='what' src='data:x;base64,aGk='>"
        "<table><tr><th></th><th class='n'>one</th></tr><tr><td>x|y</td><td class='n'>1</td></tr></table>"
    )
    table = Table(["", "one"], [["x|y", "1"]], words=1)
    assert blocks.parse(html) == [
        Heading(2, "A & B"), Words("Some words."), Picture(b"hi", "what"), table
    ]  # fmt: skip
    assert blocks.markdown(table) == "|  | one |\n| --- | --- |\n| x\\|y | 1 |\n"
    wide = Table(
        ["way", *(f"column-{i}" for i in range(20))], [["straight", *["1.00 ± 0.10"] * 20]]
    )
    text = blocks.tabular(wide)
    assert faults(text) == [] and text.count(r"\begin{tabular}") == text.count("straight") > 1
    assert all(text.count(f"column-{i} ") + text.count(f"column-{i}\n") == 1 for i in range(20))


def test_what_was_not_measured_says_how_to(written, run, quick):
    text = (written.folder / "paper.tex").read_text()
    assert (
        "timbrespace evaluate" in text and " -{}-distribution." in text and "-{}-generation" in text
    )
    assert [m.split()[0] for m in written.missing] == ["Distribution", "Perception", "How"]
    own = {"why_not": "there are two sounds"}
    change(run, distribution=own, swap=None, posterior={"why_not": NOT_ASKED})
    (run / "evaluation" / "generation.json").unlink(missing_ok=True)
    made = timbrespace.paper([run], "again")  # type: ignore
    text = (made.folder / "paper.tex").read_text()
    assert "Not answered: there are two sounds." in text and "Swap was not measured" in text
    assert "Posterior was not measured" in text and "Waves was not" not in text
    assert "-distribution" not in text


def test_runs_that_cannot_be_told_of_are_refused(run, quick, monkeypatch, capsys):
    Path("never").mkdir()
    for name in ("recipe.yaml", "provenance.json"):
        shutil.copy(run / name, "never")
    monkeypatch.setattr("sys.argv", ["timbrespace", "paper", "never", "--out", "paper"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2 and not Path("paper").exists()
    error = capsys.readouterr().err.strip()
    assert error.endswith("never has no metrics yet; run: timbrespace evaluate never")
    assert "\n" not in error
    change(run, ceilings=None)
    with pytest.raises(RunError, match="run was evaluated by an earlier version, .* evaluate run$"):
        timbrespace.paper(["run"], "paper")  # type: ignore


def test_nothing_of_others_is_overwritten(run, monkeypatch):
    files = {"methods.tex": b"made", "tables/pitch.tex": b"made"}
    monkeypatch.setattr(pack, "_files", lambda *_: dict(files))
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="mine holds other files"):
        timbrespace.paper([run], "mine")  # type: ignore
    made = timbrespace.paper([run], "paper")  # type: ignore
    Path("paper/paper.aux").write_text("of LaTeX")
    del files["tables/pitch.tex"]  # is measured no more
    files["methods.tex"] = b"made anew"
    timbrespace.paper([run], "paper")  # type: ignore
    assert Path("paper/paper.aux").is_file() and not made.files[1].exists()
    assert made.files[0].read_text() == "made anew"
    made.files[0].write_text("my own words")
    with pytest.raises(RunError, match="methods.tex was changed since timbrespace wrote it"):
        timbrespace.paper([run], "paper")  # type: ignore
    assert made.files[0].read_text() == "my own words"


def test_several_runs_stand_side_by_side(run, quick):
    other = Path(shutil.copytree(run, "other"))
    recipe = (other / "recipe.yaml").read_text()
    (other / "recipe.yaml").write_text(re.sub(r"^seed: \d+", "seed: 7", recipe, flags=re.M))
    change(other, distortion__rmse_db=43.21)
    made = timbrespace.paper([run, other], "paper")  # type: ignore
    text, table = (made.folder / n for n in ("paper.tex", "tables/the-runs-side-by-side.md"))
    assert (
        "other beside run (the same settings)" in text.read_text() and "43.21" in table.read_text()
    )
    assert "Trained and measured as run, with seed 7." in (made.folder / "methods.tex").read_text()
    assert (made.folder / "tables/run-families.tex").is_file()
    assert (made.folder / "tables/other-families.tex").is_file()


def test_seeds_are_one_line_with_an_interval(run, quick):
    """8 and 10 dB: 9 on average, and t(0.975; 1) s / sqrt(2) = 12.706 to each side."""
    runs = [run]
    for seed, db in ((7, 8.0), (8, 10.0)):
        runs.append(Path(shutil.copytree(run, f"seed-{seed}")))
        recipe = (runs[-1] / "recipe.yaml").read_text()
        (runs[-1] / "recipe.yaml").write_text(
            re.sub(r"^seed: \d+", f"seed: {seed}", recipe, flags=re.M)
        )
        change(runs[-1], distortion__rmse_db=db)
    made = timbrespace.paper(runs[1:], "paper", seeds=True)  # type: ignore
    table = (made.folder / "tables/the-runs-side-by-side.md").read_text()
    assert len(table.splitlines()) == 3 and "9.00 ± 12.71" in table
    text = (made.folder / "paper.tex").read_text()
    assert (
        r"at an error of 9.00 $\pm$ 12.71 dB" in text
        and "2 seeds this is the run of seed 7" in text
    )
    assert "as 2 seeds, with the seeds 7, 8." in (made.folder / "methods.tex").read_text()
    assert (made.folder / "tables/families.tex").is_file()
    assert [faults(p.read_text()) for p in made.files if p.suffix == ".tex"] == [[]] * sum(
        p.suffix == ".tex" for p in made.files
    )


def test_pairs_to_hear_are_in_one_page(written, run):
    text = (written.folder / "listen.html").read_text()
    assert len(text) < 20_000_000 and "http" not in text.replace("http-equiv", "")
    players = re.findall(r"<label>(\w+)", text)
    examples = json.loads((run / "evaluation/metrics.json").read_text())["examples"]
    count = sum(map(len, examples.values()))
    assert [players.count(kind) for kind in ("original", "inversion", "model")] == [count] * 3
    assert players[0] == "original" and ".wav</b>, drawn at random" in text


def test_the_card_knows_the_licence_of_the_built_in_instruments_alone(written, run, quick):
    found = (written.folder / "card.md").read_text()
    assert "Licence: MIT" in found and "FluidR3 GM" in found
    path = run / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"corpus": "/nowhere"}))
    found = (timbrespace.paper([run], "gone").folder / "card.md").read_text()  # type: ignore
    assert "Licence: timbrespace does not know" in found and "/nowhere) is gone" in found


def test_figures_are_vectors_for_print():
    bars = [("model", 5.0, "model"), ("mean sound", 20.0, "floor")]
    with as_pdf():
        one, again = figures.standing(bars), figures.standing(bars)
    assert one.startswith(b"%PDF") and one == again
    assert figures.standing(bars).startswith(b"\x89PNG")
