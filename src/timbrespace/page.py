"""One HTML page for people that holds everything it shows.

No network, no script, no other file: pictures and sounds are inside the page, and a policy in its
head forbids anything else. Every text that comes from a user's files goes through `escape`.
"""

import base64
import html
import re
from collections.abc import Iterable, Sequence

from timbrespace.audio.files import printable

POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 0 auto;
  max-width: 62rem; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.5rem; margin: 1rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { max-width: 46rem; } .quiet { color: #555; font-size: .875rem; }
.note { border-left: .4rem solid #009E73; background: #f4f6f8; padding: .8rem 1rem; margin: 1rem 0;
  max-width: none; }
.note.look { border-color: #D55E00; } .note ul { margin: 0; padding-left: 1.2rem; }
.note li { margin: .3rem 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .9rem; margin-bottom: .8rem; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #e3e3e3;
  vertical-align: top; }
td { overflow-wrap: break-word; } td.n, th.n { text-align: right; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }
nav ul { columns: 14rem; font-size: .9rem; padding-left: 1.2rem; margin: 1.4rem 0; }
.scroll { overflow: auto; max-height: 44rem; }
.key { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .6rem;
  margin: 1rem 0; }
.key div { border: 1px solid #ddd; border-radius: .4rem; padding: .5rem .8rem; }
.key b { font-size: 1.35rem; display: block; } .key span { font-size: .85rem; color: #444; }
figcaption { font-size: .875rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; display: block; }
audio { width: 17rem; max-width: 100%; height: 2.2rem; display: block; }
"""


def document(title: str, body: Iterable[str], style: str = "", policy: str = POLICY) -> str:
    """The whole page of the parts of its body that are not empty, with a style of its own; one whose
    script is inside it has another policy."""
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def contents(body: Iterable[str]) -> list[str]:
    """The parts of a body behind a list of links to their h2 headings."""
    links: list[str] = []

    def place(heading: re.Match[str]) -> str:
        links.append(f"<li><a href='#part-{len(links)}'>{heading[1]}</a></li>")
        return f"<h2 id='part-{len(links) - 1}'>{heading[1]}</h2>"

    placed = [re.sub(r"<h2>(.*?)</h2>", place, part) for part in body]
    return [f"<nav aria-label='On this page'><ul>{''.join(links)}</ul></nav>", *placed]


def escape(text: object) -> str:
    """Text that is shown as it is, whatever it holds."""
    return html.escape(printable(str(text)))


def cards(figures: Iterable[tuple[str, str]]) -> str:
    """The figures that are read first, each above the words that say what it is."""
    inner = "".join(f"<div><b>{escape(b)}</b><span>{escape(s)}</span></div>" for b, s in figures)
    return f"<div class='key'>{inner}</div>"


def table(heads: Sequence[str], lines: Iterable[Sequence[object]], *, words: int = 1) -> str:
    """A table whose first columns are `words`; all others are figures, set to the right."""

    def line(cells: Sequence[object], tag: str) -> str:
        told = [f"{cell:,}" if isinstance(cell, int) else escape(cell) for cell in cells]
        inner = [f"<{tag}>{cell}</{tag}>" for cell in told[:words]]
        inner += [f"<{tag} class='n'>{cell}</{tag}>" for cell in told[words:]]
        return f"<tr>{''.join(inner)}</tr>"

    body = "".join(line(cells, "td") for cells in lines)
    return f"<div class='scroll'><table>{line(heads, 'th')}{body}</table></div>"


def drawn_of(count: int, total: int) -> str:
    """How many were looked at, and of how many where that was a sample."""
    return f"{count:,}" if count >= total else f"{count:,} (drawn at random of {total:,})"


def plus_minus(interval: Sequence[float] | None, digits: int = 2) -> str:
    """Half the width of a 95 % interval (low, high), to stand behind its figure; "" where there is
    none."""
    return "" if interval is None else f" ± {(interval[1] - interval[0]) / 2.0:.{digits}f}"


def brackets(interval: Sequence[float] | None, digits: int = 2, *, times: int = 1) -> str:
    """A 95 % interval (low, high), so many `times`, to stand behind its figure; "" where there is none."""
    if interval is None:
        return ""
    low, high = (f"{times * end:.{digits}f}" for end in interval)
    return f" [{low}, {high}]"


def image(png: bytes, words: str) -> str:
    """A picture, and the words for who does not see it."""
    data = base64.b64encode(png).decode()
    return f"<img alt='{escape(words)}' src='data:image/png;base64,{data}'>"


def player(wav: bytes) -> str:
    """A sound to hear."""
    data = base64.b64encode(wav).decode()
    return f"<audio controls preload='none' src='data:audio/wav;base64,{data}'></audio>"
