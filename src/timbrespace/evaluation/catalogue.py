"""The questions that an evaluation asks: a name in metrics.json, and the module that answers.

A module has `measure(facts) -> dict` and `show(found) -> Shown`, its part of the report; one whose
pictures are more than its figures has `draw(facts, found) -> Shown`, which follows that part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from timbrespace.page import escape

if TYPE_CHECKING:
    from timbrespace.evaluation.facts import Facts

QUESTIONS = {
    "heard": "heard",
    "waves": "waves",
    "effects": "effects",
    "pitch": "pitch",
    "swap": "swap",
    "structure": "structure",
    "disentanglement": "disentanglement",
    "posterior": "posterior",
    "continuity": "continuity",
    "axes": "axes",
}
ON_REQUEST: dict[str, str] = {"distribution": "distribution", "perception": "perception"}
SINGLE = {  # questions of single sounds, and why pairs have no answer
    "pitch": "which has no one pitch",
    "continuity": "whose ways are asked for under effects",
    "axes": "and a descriptor of both is one of neither",
    "perception": "and listeners rated single sounds",
}


@dataclass(frozen=True)
class Shown:
    """A part of the report: its HTML, and its figures as PNG by name, for evaluation/figures."""

    html: str
    figures: dict[str, bytes] = field(default_factory=dict)


NOTHING: Mapping[str, Shown] = {}


def ask(
    facts: "Facts", names: list[str], tell: Callable[[str], None] = lambda name: None
) -> dict[str, Any]:
    """The answers by name; where there is none, {"why_not": a sentence}. `tell` hears each name
    before it is asked."""
    from timbrespace.evaluation.facts import Unanswerable

    answers: dict[str, Any] = {}
    for name in names:
        tell(name)
        if name in SINGLE and facts.run.feature.kind == "pair":
            answers[name] = {"why_not": f"each sound is a pair, dry and then wet, {SINGLE[name]}"}
            continue
        try:
            answers[name] = _module(name).measure(facts)
        except Unanswerable as error:
            answers[name] = {"why_not": str(error)}
    return answers


def draw(facts: "Facts", answers: dict[str, Any]) -> dict[str, Shown]:
    """What can be seen and heard of the answers, by name, where a question has such."""
    drawn = {}
    for name, found in answers.items():
        module = _module(name)
        if found and "why_not" not in found and hasattr(module, "draw"):
            drawn[name] = module.draw(facts, found)
    return drawn


def show(metrics: dict[str, Any], drawn: Mapping[str, Shown] = NOTHING) -> dict[str, Shown]:
    """The report's part of each question that metrics.json has an answer to, in order, and after each what
    was `drawn` of it."""
    shown = {}
    for name in (*QUESTIONS, *ON_REQUEST):
        found = metrics.get(name)
        if not found:
            continue
        if "why_not" in found:
            title, words = escape(name.capitalize()), escape(found["why_not"])
            shown[name] = Shown(f"<h2>{title}</h2><p>Not answered: {words}.</p>")
        else:
            shown[name] = _module(name).show(found)
        if name in drawn:
            part, more = shown[name], drawn[name]
            shown[name] = Shown(part.html + more.html, part.figures | more.figures)
    return shown


def _module(name: str) -> Any:
    return import_module(f"timbrespace.evaluation.{(QUESTIONS | ON_REQUEST)[name]}")
