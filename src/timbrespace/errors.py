"""Errors that a person can act on: what came, what was expected, what to do.

Everything a user can cause derives from `TimbrespaceError`; the command line and the server print
its sentence and exit with code 2. Anything else that escapes is a bug of ours and may trace back.
"""

import difflib
from collections.abc import Iterable


class TimbrespaceError(Exception):
    """Root of every error whose message is one clear sentence for the user."""


class AudioError(TimbrespaceError):
    """A sound that cannot be read, written or used."""


class CorpusError(TimbrespaceError):
    """A data set or corpus that is missing, empty, damaged or of the wrong layout."""


class RecipeError(TimbrespaceError):
    """A recipe or setting that says something impossible."""


class EffectError(TimbrespaceError):
    """An effect, knob or setting that is not there, or a plug-in that did not do its work."""


class RunError(TimbrespaceError):
    """A run folder that is missing, incomplete, in use or does not fit what is asked of it."""


class MissingExtra(TimbrespaceError):
    """An optional dependency that is not installed; the sentence names the command that adds it."""


def suggestion(name: str, known: Iterable[str], otherwise: str, *, cutoff: float = 0.5) -> str:
    """`did you mean` the nearest of the known names; `otherwise` where none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else otherwise
