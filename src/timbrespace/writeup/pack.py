"""A paper of evaluated runs: LaTeX that compiles, tables, figures, a page to listen, cards, references."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from timbrespace import __version__
from timbrespace.atomic import write_bytes
from timbrespace.errors import RunError
from timbrespace.evaluation import comparison
from timbrespace.evaluation.differences import MUTE
from timbrespace.evaluation.figures.style import as_pdf
from timbrespace.evaluation.report import content, standing
from timbrespace.recipe import differences
from timbrespace.writeup import blocks, references
from timbrespace.writeup.blocks import Block, Heading, Picture, Table, Words
from timbrespace.writeup.card import card
from timbrespace.writeup.evidence import Evidence
from timbrespace.writeup.latex import escape, fill
from timbrespace.writeup.listen import page
from timbrespace.writeup.methods import methods

MANIFEST = "paper.json"
SIDE_BY_SIDE = "The runs side by side"
TEXT, FIGURE = 0.8, 0.35  # of the page's sides, and of the text's height
PREAMBLE = r"""\documentclass{article}
\usepackage[a4paper,scale=<share>]{geometry}
\usepackage{amsmath}
\usepackage{array}
\usepackage{graphicx}
\emergencystretch=\parindent
\title{<title>}
\author{}
\date{}
\begin{document}
\maketitle
"""
CLOSING = r"""
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""
MAPS = {
    "map": "Map of the space",
    "walks": "Walks along single dimensions",
    "way": "Ways between sounds",
}


@dataclass(frozen=True)
class Paper:
    """Where it lies, its files, and sentences on what was not measured."""

    folder: Path
    files: list[Path]
    missing: list[str]


def write(
    paths: Sequence[str | Path], out: str | Path, *, against: str | Path | None = None,
    seeds: bool = False,
) -> Paper:  # fmt: skip
    """Write the paper of the runs at `paths` into the folder `out`; all are held `against` one of them.
    With `seeds` runs that differ only in their seed or fold are one line, as in `comparison.rows`, and
    what is told of one run alone is told of the first of them.

    RunError for what is no run or was not evaluated, and before anything is written where `out` holds
    files that this would overwrite and that are not, unchanged, of an earlier paper.
    """
    rows = comparison.rows(paths, against=against, seeds=seeds)
    evidence = _told_apart([Evidence.of_row(row) for row in rows])
    folder = Path(out)
    earlier = _earlier(folder)
    files = _files(evidence, rows)
    _refuse(folder, files, earlier)
    made = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = {
        "format": 1, "timbrespace": __version__, "runs": [str(path) for path in paths], "files": made,
    }  # fmt: skip
    try:
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(folder / name, data, durable=False)
        write_bytes(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        for name in earlier.keys() - made.keys():  # of other runs, or of what is measured no more
            if _digest(folder / name) == earlier[name]:
                (folder / name).unlink()
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from None
    missing = [sentence for found in evidence for sentence in found.missing]
    return Paper(folder, [folder / name for name in files], missing)


def _files(evidence: Sequence[Evidence], rows: Sequence[comparison.Row]) -> dict[str, bytes]:
    """All files by their names."""
    files: dict[str, bytes] = {}
    title = f"Timbre spaces: {', '.join(found.name for found in evidence)}"
    body = [
        fill(PREAMBLE, {"title": title, "share": TEXT}),
        "\\begin{abstract}", *(_abstract(found) for found in evidence), "\\end{abstract}",
        "\\section{Methods}", "\\input{methods}",
    ]  # fmt: skip
    with as_pdf():
        if len(evidence) > 1 or evidence[0].row is not None:
            body += [f"\\section{{{SIDE_BY_SIDE}}}", *_comparison(rows, files)]
        for found in evidence:
            several = len(evidence) > 1
            body.append(f"\\section{{Results{f' of {escape(found.name)}' if several else ''}}}")
            body += _one_of_several(found)
            body += _results(found, files, f"{found.slug}-" if several else "")
    body += ["\\clearpage\\section{What was not measured}", *_missing(evidence)]
    own = _methods(evidence)
    body.append(CLOSING)
    files["methods.tex"] = own.encode("ascii")
    files["paper.tex"] = "\n".join(body).encode("ascii")
    files["references.bib"] = references.bibliography(references.cited([own])).encode("ascii")
    files["card.md"] = "\n".join(card(found) for found in evidence).encode(
        "utf-8", "surrogateescape"
    )
    files["listen.html"] = page(evidence).encode("utf-8", "surrogateescape")
    return files


def _told_apart(evidence: list[Evidence]) -> list[Evidence]:
    """Runs whose folders have the same name are numbered."""
    slugs = [found.slug for found in evidence]
    return [
        found if slugs.count(found.slug) == 1
        else replace(found, name=f"{found.name} ({i})", slug=f"{found.slug}-{i}")
        for i, found in enumerate(evidence, start=1)
    ]  # fmt: skip


def _one_of_several(found: Evidence) -> list[str]:
    """That what follows is of the first of several runs."""
    if found.row is None:
        return []
    template = "Of <runs> this is the run of seed <seed>; Section ``<where>'' has their means.\n"
    return [fill(template, _several(found) | {"where": SIDE_BY_SIDE})]


def _several(found: Evidence) -> dict[str, object]:
    assert found.row is not None
    row = found.row
    return {
        "name": found.name, "runs": comparison.runs_of(row), "seed": found.run.recipe.seed,
        "seeds": row["seed"], "sounds": row["sounds"],
        "bits": comparison.figure(row, "bits_per_sound", 1),
        "error": comparison.figure(row, "rmse_db", 2),
        "floor": comparison.figure(row, "mean_sound_rmse_db", 2), "verdict": row["verdict"],
    }  # fmt: skip


def _abstract(found: Evidence) -> str:
    if found.row is not None:
        return fill(
            "The space \\emph{<name>}, over <runs> and <sounds> sounds, with intervals over the runs: "
            "<bits> bits a sound at an error of <error> dB (the mean sound: <floor> dB). Verdict: "
            "<verdict>.\n", _several(found)
        )  # fmt: skip
    values = {
        "name": found.name, "sounds": found.number("sounds"), "verdict": found.at("verdict"),
        "bits": found.number("rate.bits_per_sound", 1), "error": found.number("distortion.rmse_db", 2),
        "floor": found.number("floors.mean_sound_rmse_db", 2),
    }  # fmt: skip
    return fill(
        "The space \\emph{<name>}, on <sounds> sounds: <bits> bits a sound at an error of <error> dB "
        "(the mean sound: <floor> dB). In words: it <verdict>.\n", values
    )  # fmt: skip


def _methods(evidence: Sequence[Evidence]) -> str:
    """The methods of each run; of one that differs from the first in its seed alone, a sentence."""
    if len(evidence) == 1:
        return "\n\n".join([methods(evidence[0]), *_trained_often(evidence[0])])
    first, parts = evidence[0], []
    for found in evidence:
        parts.append(f"\\subsection*{{{escape(found.name)}}}")
        one, other = found.run, first.run
        changed = differences(other.recipe, one.recipe).keys() - set(MUTE)
        same = one.provenance["corpus_digest"] == other.provenance["corpus_digest"]
        if found is first or changed or not same:
            parts += [methods(found), *_trained_often(found)]
        else:
            values = {"first": first.name, "seed": one.recipe.seed}
            parts.append(fill("Trained and measured as <first>, with seed <seed>.\n", values))
    return "\n\n".join(parts)


def _trained_often(found: Evidence) -> list[str]:
    """How often, where it was more than once."""
    if found.row is None:
        return []
    words = "Trained and measured as <runs>, with the seeds <seeds>"
    if found.row["folds"] > 1:
        words += ", each on another part of the same sounds held out"
    return [fill(f"{words}.\n", _several(found))]


def _comparison(rows: Sequence[comparison.Row], files: dict[str, bytes]) -> list[str]:
    heads, *lines = comparison.cells(rows)
    names = [comparison.name_of(row) for row in rows]
    table = Table(
        heads, [[name, *line[1:]] for name, line in zip(names, lines, strict=True)], words=3
    )
    said = [*comparison.sentences(rows), *filter(None, [comparison.warning(rows)])]
    found: list[Block] = [table, *(Words(f"{one}.") for one in said)]
    with suppress(RunError):  # nothing finite to draw
        found.append(Picture(comparison.picture(rows), "Rate and distortion of the runs"))
    return _latex(found, files, "", "", {}, heading=SIDE_BY_SIDE)


def _results(found: Evidence, files: dict[str, bytes], prefix: str) -> list[str]:
    said, pictures = content(found.run, found.metrics)
    parsed = blocks.parse("\n".join(said))
    ends = {
        "model, z sampled": "distortion.rmse_db", "model, decode(mu)": "distortion.rmse_db_at_mean",
    }  # fmt: skip
    lines = []
    for name, value, kind in standing(found.metrics):
        key = next((key for start, key in ends.items() if name.startswith(start)), None)
        lines.append([name, kind, found.number(key, 2) if key else f"{value:.2f}"])
    parsed.insert(2, Table(["", "", "dB RMSE"], lines, words=2))
    folder = found.run.path / "evaluation" / "figures"
    shown: list[Block] = []
    for png in sorted(folder.glob("*.png")):
        words = MAPS.get(png.stem.split("-")[0])
        if words:
            told = f"{words}: {', '.join(png.stem.split('-')[1:])}".removesuffix(": ")
            shown.append(Picture(png.read_bytes(), told))
            pictures[png.stem] = png.read_bytes()
    if shown:
        parsed += [Heading(2, "Pictures of the space"), *shown]
    of = f" ({found.name})" if prefix else ""
    return _latex(parsed, files, prefix, of, {data: name for name, data in pictures.items()})


def _latex(
    found: Sequence[Block], files: dict[str, bytes], prefix: str, of: str, names: dict[bytes, str],
    *, heading: str = "",
) -> list[str]:  # fmt: skip
    """Blocks as LaTeX; tables and figures become `files`. `names` are those of pictures; captions are the
    last heading and `of` what."""
    levels = {2: "subsection", 3: "subsubsection", 4: "subsubsection"}
    made: list[str] = []
    named: list[str] = []  # what stands below the heading, for the text to name
    for block in [*found, None]:
        if named and (block is None or isinstance(block, Heading)):
            tables_first = sorted(named, key=lambda one: not one.startswith("Table"))
            made.append(f"See {', '.join(tables_first)}.\n")
            named = []
        match block:
            case Heading(level, text):
                heading = text
                made.append(f"\\{levels[level]}{{{escape(text)}}}")
            case Words(text):
                made.append(f"{escape(text)}\n")
            case Table():
                name = _free(f"tables/{prefix}{blocks.slug(heading)}", ".tex", files)
                files[f"{name}.tex"] = blocks.tabular(block).encode("ascii")
                files[f"{name}.md"] = blocks.markdown(block).encode("utf-8", "surrogateescape")
                named.append(f"Table~\\ref{{{name}}}")
                made.append(_float("table", f"\\input{{{name}}}", f"{heading}{of}", name))
            case Picture(data, text):
                name = f"figures/{prefix}{names.get(data) or blocks.slug(text)}"
                file = f"{name}{'.pdf' if data.startswith(b'%PDF') else '.png'}"
                files[file] = data
                size = f"width=\\linewidth,height={FIGURE}\\textheight,keepaspectratio"
                named.append(f"Figure~\\ref{{{name}}}")
                inner = f"\\includegraphics[{size}]{{{file}}}"
                made.append(_float("figure", inner, f"{text}{of}", name))
    return made


def _float(kind: str, inner: str, caption: str, label: str) -> str:
    return (
        f"\\begin{{{kind}}}[!htbp]\\centering\n{inner}\n"
        f"\\caption{{{escape(caption)}\\label{{{label}}}}}\n\\end{{{kind}}}\n"
    )


def _free(name: str, suffix: str, files: dict[str, Any]) -> str:
    """The name, or the next with a number that no file has."""
    number, made = 1, name
    while f"{made}{suffix}" in files:
        number += 1
        made = f"{name}-{number}"
    return made


def _missing(evidence: Sequence[Evidence]) -> list[str]:
    sentences = [sentence for found in evidence for sentence in found.missing]
    if not sentences:
        return ["Every question that timbrespace can ask of a run was asked.\n"]
    lines = [f"{escape(sentence)}.\n" for sentence in sentences]
    return ["\\begin{sloppypar}", *lines, "\\end{sloppypar}"]  # paths are long words


def _earlier(folder: Path) -> dict[str, str]:
    """What an earlier paper wrote here, with the digests of its files."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _refuse(folder: Path, files: dict[str, bytes], earlier: dict[str, str]) -> None:
    if folder.is_dir() and not earlier and any(folder.iterdir()):
        raise RunError(
            f"{folder} holds other files than a paper of timbrespace; choose another --out"
        )
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; choose a folder for --out")
    for name in files:
        digest = _digest(folder / name)
        if digest is not None and digest != earlier.get(name):
            raise RunError(
                f"{folder / name} was changed since timbrespace wrote it, and would be lost; choose "
                "another --out, or move that file away"
            )


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
