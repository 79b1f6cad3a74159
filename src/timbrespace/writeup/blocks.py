"""The report's HTML as blocks, and blocks as LaTeX and Markdown.

The report says in words what each table and picture means and how each figure is rounded; a paper that
is made of the same HTML cannot say anything else.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from timbrespace.writeup import latex

SIZES = (("small", 92), ("footnotesize", 104), ("scriptsize", 122))  # characters on a line
WORDS = 34  # characters of a column of words before it breaks
GAP = 2  # characters between columns
STRETCH = 1.2  # of the height of a line
STEADY = 1.08  # of the width of a line, for letters wider than most


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Words:
    text: str


@dataclass(frozen=True)
class Picture:
    data: bytes
    text: str


@dataclass(frozen=True)
class Table:
    """Lines of as many cells as there are heads; the first `words` columns are words, others figures."""

    heads: list[str]
    lines: list[list[str]]
    words: int = 1


Block = Heading | Words | Picture | Table


def parse(html: str) -> list[Block]:
    """The blocks of HTML in their order; what is none of them is left out."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.blocks


def slug(text: str) -> str:
    """Part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "table"


def tabular(table: Table) -> str:
    """The table as LaTeX without its caption: as large as fits, and in several parts, each with the
    columns of words, where it is too wide for a page."""
    widths = _widths(table)
    fixed = list(range(table.words))
    room = SIZES[-1][1] - sum(widths[i] + GAP for i in fixed)
    parts: list[list[int]] = [[]]
    for i in range(table.words, len(table.heads)):
        if parts[-1] and sum(widths[j] + GAP for j in [*parts[-1], i]) > room:
            parts.append([])
        parts[-1].append(i)
    widest = max(sum(widths[i] + GAP for i in [*fixed, *part]) for part in parts)
    size, most = next(((s, m) for s, m in SIZES if m >= widest), SIZES[-1])
    made = [_part(table, [*fixed, *part], widths, most) for part in parts]
    return (
        f"{{\\{size}\\renewcommand{{\\arraystretch}}{{{STRETCH}}}\n"
        + "\n\\par\\medskip\n".join(made)
        + "}\n"
    )


def markdown(table: Table) -> str:
    """The table as Markdown."""
    rows = [table.heads, ["---"] * len(table.heads), *table.lines]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows
    )


def _part(table: Table, columns: Sequence[int], widths: list[int], most: int) -> str:
    share = max(most, sum(widths[i] + GAP for i in columns)) * STEADY
    gap = f"@{{\\hspace{{{GAP / share:.4f}\\linewidth}}}}"
    form = gap.join(
        f">{{\\{'raggedright' if i < table.words else 'raggedleft'}\\arraybackslash}}"
        f"p{{{widths[i] / share:.4f}\\linewidth}}"
        for i in columns
    )
    head, *body = (
        " & ".join(latex.cell(row[i]) for i in columns) + " \\\\" for row in (table.heads, *table.lines)
    )  # fmt: skip
    lines = [
        f"\\begin{{tabular}}{{@{{}}{form}@{{}}}}",
        "\\hline",
        head,
        "\\hline",
        *body,
        "\\hline",
    ]
    return "\n".join([*lines, "\\end{tabular}"])


def _widths(table: Table) -> list[int]:
    """Characters of each column: figures stay on one line, words and heads may break."""
    widths = []
    for i, head in enumerate(table.heads):
        longest = max((len(line[i]) for line in table.lines), default=1)
        word = max((len(word) for word in head.split()), default=1)
        if i < table.words or longest > WORDS:
            words = (len(word) for line in table.lines for word in line[i].split())
            longest = min(longest, max(WORDS, *words, 1))
        widths.append(max(longest, word, 3) + 1)
    return widths


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._text: list[str] | None = None  # of the heading, paragraph or cell that is open
        self._rows: list[
            list[tuple[str, bool]]
        ] = []  # of the table that is open: text, is it a figure

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("h2", "h3", "h4", "p", "td", "th"):
            self._text = []
        elif tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag == "img":
            data = base64.b64decode((given.get("src") or "").partition(",")[2])
            self.blocks.append(Picture(data, given.get("alt") or ""))
        if tag in ("td", "th"):
            self._figure = given.get("class") == "n"

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        text = " ".join("".join(self._text or []).split())
        if tag in ("h2", "h3", "h4"):
            self.blocks.append(Heading(int(tag[1:]), text))
        elif tag == "p" and text:
            self.blocks.append(Words(text))
        elif tag in ("td", "th"):
            self._rows[-1].append((text, self._figure))
        elif tag == "table" and len(self._rows) > 1:
            heads, *lines = self._rows
            words = sum(not figure for _, figure in heads)
            self.blocks.append(
                Table(
                    [text for text, _ in heads], [[text for text, _ in row] for row in lines], words
                )
            )
        if tag in ("h2", "h3", "h4", "p", "td", "th"):
            self._text = None
