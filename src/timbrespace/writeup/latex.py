r"""Text as LaTeX: everything that a name can hold becomes plain ASCII that prints as it is.

Templates are LaTeX with `<name>` where a value goes, so that braces stay what they are.
"""

import re
import unicodedata
from collections.abc import Mapping

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "%": r"\%", "$": r"\$", "#": r"\#",
    "&": r"\&", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "/": r"/\allowbreak{}",
    '"': "''", "–": "--", "—": "---", "…": r"\ldots{}",
    "±": r"$\pm$", "²": "$^2$", "³": "$^3$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$",
    "°": r"$^\circ$", "·": r"$\cdot$", "→": r"$\rightarrow$", "β": r"$\beta$", "μ": r"$\mu$",
    "µ": r"$\mu$", "σ": r"$\sigma$", "‘": "`", "’": "'", "“": "``", "”": "''", "\u00a0": "~",
    "ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}",
    "Œ": r"\OE{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
}  # fmt: skip
ACCENTS = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0304": r"\=", "\u0306": r"\u",
    "\u0307": r"\.", "\u0308": r"\"", "\u030a": r"\r", "\u030b": r"\H", "\u030c": r"\v", "\u0327": r"\c",
}  # fmt: skip
MINUS = re.compile(r"(?<![\w.\-])-(?=\d)")


def escape(text: object) -> str:
    """Any text as LaTeX that prints it; a character that plain LaTeX has not as its number, [U+97F3]."""
    composed = unicodedata.normalize("NFC", str(text))
    apart = re.sub("-(?=-)", "-\0", composed)  # two in a row would become a dash
    return "".join("{}" if c == "\0" else _letter(c) for c in apart)


def cell(text: object) -> str:
    """A table's cell: its minus signs are minus signs, and none is taken for an option of the line."""
    made = MINUS.sub("$-$", escape(text))
    return f"{{}}{made}" if made.startswith(("[", "*")) else made


def fill(template: str, values: Mapping[str, object]) -> str:
    """The template with the value of each `<name>`, escaped; KeyError for a name that has none."""
    return re.sub(r"<(\w+)>", lambda found: escape(plain(values[found[1]])), template)


def plain(value: object) -> str:
    """A setting or figure as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(plain(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _letter(c: str) -> str:
    if c in SPECIAL:
        return SPECIAL[c]
    if c.isascii():
        return c if c.isprintable() else " "
    base, *marks = unicodedata.normalize("NFD", c)
    if len(marks) == 1 and marks[0] in ACCENTS and base.isascii():
        return f"{ACCENTS[marks[0]]}{{{base}}}"
    return f"[U+{ord(c):04X}]"
