"""A page of pairs to hear: the original, its own picture made sound, and what the model makes of it."""

from collections.abc import Sequence
from itertools import chain

from timbrespace.evaluation.examples import KINDS, lines, read, sounds
from timbrespace.evaluation.report import STYLE
from timbrespace.page import document, escape, image, player
from timbrespace.writeup.evidence import Evidence

BYTES = 13_000_000  # of sounds and pictures in the page, which stays under 20 MB as text
GROUPS = {"random": "drawn at random", "best": "among the best", "worst": "among the worst"}


def page(evidence: Sequence[Evidence]) -> str:
    """The page, from the examples that each run's evaluation left; as many of each run as all have room."""
    body = [
        "<h1>Listen</h1><p>What is heard of the model is decode(mu). The inversion is what no model of "
        "this feature can exceed.</p>"
    ]
    for found in evidence:
        body.append(f"<h2>{escape(found.name)}</h2>")
        body += _examples(found, BYTES // len(evidence))
    return document("Listen", body, STYLE)


def _examples(found: Evidence, room: int) -> list[str]:
    folder, examples = found.run.path / "evaluation", found.metrics["examples"]
    numbered = list(chain.from_iterable(((g, row) for row in rows) for g, rows in examples.items()))
    measured = lines(folder)
    made = []
    # the first of each group, then the second: what has no room is missing from all groups alike
    turns = sorted(
        enumerate(numbered), key=lambda one: (examples[one[1][0]].index(one[1][1]), [*GROUPS].index(one[1][0]))
    )  # fmt: skip
    for number, (group, row) in turns:
        heard = sounds(folder, group, row)
        picture = read(folder / "figures" / f"example-{number}.png")
        size = len(picture) + sum(map(len, heard.values()))
        if "model" not in heard or size > room:
            continue
        room -= size
        players = "".join(
            f"<label>{KINDS[kind]}{player(wav)}</label>" for kind, wav in heard.items()
        )
        title = escape(measured.get(str(row), {}).get("file", f"row {row}"))
        seen = image(picture, f"Original, model and difference: {title}") if picture else ""
        missing = "" if "original" in heard else " The recording could not be read."
        made.append(
            f"<figure><figcaption><b>{title}</b>, {GROUPS[group]}.{missing}</figcaption>{seen}"
            f"<div class='players'>{players}</div></figure>"
        )
    left = len(numbered) - len(made)
    if left:
        made.append(f"<p class='quiet'>{left} more are in the run's folder evaluation/audio.</p>")
    return made
