"""The questions that an evaluation asks: a name in metrics.json, and the module that answers.

A module has `measure(facts) -> dict` and `show(found) -> Shown`, its part of the report; one whose
pictures are more than its figures has `draw(facts, found) -> Shown`, which follows that part.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from timbrespace.errors import RunError, suggestion
from timbrespace.machine import torch_threads
from timbrespace.page import escape

if TYPE_CHECKING:
    from timbrespace.evaluation.facts import Facts
    from timbrespace.features.feature import Feature

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
# of what is made audible
OF_SOUNDS = ("heard", "waves", "effects", "pitch", "swap", "distribution")
ON_REQUEST: dict[str, str] = {"distribution": "distribution", "perception": "perception"}
NOT_ASKED = "it was not asked"
APPLIES: dict[str, Callable[["Feature"], bool]] = {  # questions of some features alone
    "waves": lambda feature: feature.keeps_phase,
    "effects": lambda feature: feature.kind == "pair",
}
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


def chosen(ask: Sequence[str] | None) -> list[str]:
    """The questions named in `ask`, in order; without it all. RunError for a name that is none."""
    if ask is None:
        return list(QUESTIONS)
    for name in ask:
        if name in ON_REQUEST:
            raise RunError(f"{name} is asked by an option of its own, --{name}")
        if name not in QUESTIONS:
            known = f"there are: {', '.join(QUESTIONS)}"
            raise RunError(f"there is no question {name!r}; {suggestion(name, QUESTIONS, known)}")
    return [name for name in QUESTIONS if name in ask]


def at(metrics: Any, *names: str) -> Any:
    """What metrics.json, or a part of it, has at a place; None where it has nothing."""
    for name in names:
        metrics = metrics.get(name) if isinstance(metrics, dict) else None
    return metrics


def not_asked(metrics: Mapping[str, Any]) -> list[str]:
    """The questions that the evaluation of metrics.json left out."""
    return [name for name in QUESTIONS if metrics.get(name) == {"why_not": NOT_ASKED}]


Found = TypeVar("Found")


def ask(
    facts: "Facts", names: list[str], first: Callable[[], Found],
    tell: Callable[[], None] = lambda: None,
) -> tuple[Found, dict[str, Any]]:  # fmt: skip
    """What `first` finds, and the answers by name; where there is none, {"why_not": a sentence}, as of all
    QUESTIONS that are not among `names`; None where the run's feature has no such part. `tell` is called
    whenever one is there.

    Questions of sounds are asked in a thread beside `first` and those of latents: both wait for arithmetic
    most of the time, and each question has random numbers of its own.
    """
    import torch

    stopped = Event()

    def answered(lane: list[str]) -> dict[str, Any]:
        found = {}
        for name in lane:
            if stopped.is_set():
                break
            found[name] = _answer(facts, name)
            tell()
        return found

    half = max(1, torch.get_num_threads() // 2)
    with torch_threads(half), ThreadPoolExecutor(1) as thread:
        try:
            beside = thread.submit(answered, [name for name in names if name in OF_SOUNDS])
            before = first()
            tell()
            found = answered([name for name in names if name not in OF_SOUNDS])
            found |= beside.result()
        finally:
            stopped.set()
    return before, laid_out(found, names, facts.run.feature)


def laid_out(answers: dict[str, Any], asked: Sequence[str], feature: "Feature") -> dict[str, Any]:
    """The answers as metrics.json has them, in order: those of QUESTIONS that were not asked say so, those
    that the feature has no part of are None."""
    return {
        name: answers.get(name, {"why_not": NOT_ASKED}) if _applies(name, feature) else None
        for name in dict.fromkeys((*QUESTIONS, *asked))
    }


def _applies(name: str, feature: "Feature") -> bool:
    return name not in APPLIES or APPLIES[name](feature)


def _answer(facts: "Facts", name: str) -> dict[str, Any] | None:
    from timbrespace.evaluation.facts import Unanswerable

    if not _applies(name, facts.run.feature):
        return None
    if name in SINGLE and facts.run.feature.kind == "pair":
        return {"why_not": f"each sound is a pair, dry and then wet, {SINGLE[name]}"}
    try:
        return _module(name).measure(facts)
    except Unanswerable as error:
        return {"why_not": str(error)}


def draw(facts: "Facts", answers: dict[str, Any]) -> dict[str, Shown]:
    """What can be seen and heard of the answers, by name, where a question has such."""
    drawn = {}
    for name, found in answers.items():
        module = _module(name)
        if found and "why_not" not in found and hasattr(module, "draw"):
            drawn[name] = module.draw(facts, found)
    return drawn


def show(metrics: dict[str, Any], drawn: Mapping[str, Shown] = NOTHING) -> dict[str, Shown]:
    """The report's part of each question that was asked, in order, and after each what was `drawn` of it."""
    shown, left_out = {}, not_asked(metrics)
    for name in (*QUESTIONS, *ON_REQUEST):
        found = metrics.get(name)
        if not found or name in left_out:
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
