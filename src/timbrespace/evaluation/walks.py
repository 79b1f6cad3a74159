"""Pictures and sounds of ways through a space: what `continuity` measures, to be seen and heard.

Conventions
-----------
All pictures are decoded from posterior means and told the labels of a real sound, the nearer end's on a
way. Columns are evenly spaced places from one end to the other; a difference is what the middle has
that the cross-fade of the decoded ends has not, or one end less the other. Sounds are made of
pictures by the feature's own inversion, all equally loud.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.audio.files import to_wav_bytes
from timbrespace.audio.level import fade_edges, limit
from timbrespace.evaluation import figures
from timbrespace.evaluation.catalogue import Shown
from timbrespace.geometry.paths import KINDS, Kind, path
from timbrespace.geometry.project import Pca, flat
from timbrespace.page import escape, image, player

if TYPE_CHECKING:
    from timbrespace.evaluation.facts import Facts

PLACES = 9  # of a way that are drawn
HEARD = (0, 2, 4, 6, 8)  # of them that are heard
SOUNDED: tuple[Kind, ...] = ("slerp", "follow")
SECONDS = 1.0  # of each
LOUDNESS_DB = -23.0  # dBFS (RMS)
WALKED = 6  # dimensions, the most informative
WIDTHS = 2.0  # standard deviations of mu that a walk goes to either side
FAMILIES = 4  # that stand at one pitch in the grid
HEADS = [f"{100 * place // (PLACES - 1)} %" for place in range(PLACES)]
NAMES = {"lerp": "straight (lerp)", "slerp": "by an arc (slerp)", "follow": "by sounds (follow)"}


def draw(facts: "Facts", examples: list[dict[str, Any]]) -> Shown:
    """Figures and players of the ways between two rows each of `examples`, of walks along single
    dimensions, and of the ways between families at one pitch, as a part of the report."""
    body, drawn = ["<h3>Ways to be seen and heard</h3>"], {}
    for number, example in enumerate(examples, start=1):
        ends = [int(np.flatnonzero(facts.here.rows == row)[0]) for row in example["rows"]]
        png, heard = _way(facts, ends[0], ends[1])
        drawn[f"way-{number}"] = png
        title = f"From {_title(facts, ends[0])} to {_title(facts, ends[1])}"
        body += [f"<h4>{escape(title)}</h4>", image(png, f"{title}: map, strips"), heard]
    if examples:
        start = int(np.flatnonzero(facts.here.rows == examples[0]["rows"][0])[0])
        drawn["walks"] = _walks(facts, start)
        body += [
            f"<h3>Along single dimensions</h3><p>The {WALKED} dimensions that keep most bits, from "
            f"-{WIDTHS:g} to {WIDTHS:g} standard deviations of mu; all other numbers are those of "
            f"{escape(_title(facts, start))}. On the right what the last has and the first has not.</p>",
            image(drawn["walks"], "Strips of pictures along single dimensions"),
        ]
    grid = _families(facts)
    if grid is not None:
        drawn["families"], pitch = grid
        body += [
            f"<h3>Between families at pitch {pitch:g}</h3>",
            image(drawn["families"], "Strips of pictures from family to family, by an arc"),
        ]
    return Shown("".join(body), drawn)


def _title(facts: "Facts", position: int) -> str:
    return facts.corpus.rows[int(facts.here.rows[position])].title


def _between(facts: "Facts", a: int, b: int, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Latents (9, Z) and pictures (9, height, frames) of a way."""
    mean = facts.here.mean
    latents = path(mean[a], mean[b], PLACES, kind, facts.there.mean)
    told = np.where(np.arange(PLACES) <= PLACES // 2, a, b)
    return latents, facts.decode(latents, told)


def _way(facts: "Facts", a: int, b: int) -> tuple[bytes, str]:
    """The figure of three ways, and players of two."""
    made = {kind: _between(facts, a, b, kind) for kind in KINDS}
    pictures = {kind: pictures for kind, (_, pictures) in made.items()}
    first, last = pictures["lerp"][0], pictures["lerp"][-1]
    t = np.linspace(0.0, 1.0, PLACES)[:, None, None]
    faded = (1.0 - t) * first + t * last
    rows = [*((NAMES[kind], pictures[kind]) for kind in KINDS), ("ends faded, no way", faded)]
    middle = PLACES // 2
    changed = [*(pictures[kind][middle] - faded[middle] for kind in KINDS), last - first]
    pca = Pca.fit(facts.there.mean, 2)
    png = figures.way(
        flat(pca.transform(facts.there.mean)),
        {NAMES[kind]: flat(pca.transform(latents)) for kind, (latents, _) in made.items()},
        (_title(facts, a), _title(facts, b)), rows, HEADS, facts.run.feature.yardstick,
        ("mid - fade; B - A", changed),
    )  # fmt: skip
    heard = "".join(
        f"<label>{NAMES[kind]}{player(_sound(facts, made[kind][0], a, b))}</label>"
        for kind in SOUNDED
    )
    return png, f"<div class='players'>{heard}</div>"


def _sound(facts: "Facts", latents: np.ndarray, a: int, b: int) -> bytes:
    """A WAV of five places of a way, one after the other."""
    import torch

    feature = facts.run.feature
    at = np.array(HEARD)
    told = np.where(at <= PLACES // 2, a, b)
    labels = {name: value[told] for name, value in facts.here.pictures.labels.items()}
    with torch.no_grad():
        made = facts.run.model.decode(torch.from_numpy(latents[at]).float(), labels)[:, 0].float()
    made = made.clamp(-1.0, 1.0)
    sounds = feature.invert(made, LOUDNESS_DB - feature.rms_db(made)).numpy()
    length = min(sounds.shape[1], round(SECONDS * feature.sample_rate))
    parts = [fade_edges(sound[:length], feature.sample_rate) for sound in sounds]
    return to_wav_bytes(limit(np.concatenate(parts), feature.sample_rate), feature.sample_rate)


def _walks(facts: "Facts", start: int) -> bytes:
    nats = facts.here.nats.mean(0)
    chosen = np.argsort(-nats, kind="stable")[:WALKED]
    centre, spread = facts.here.mean.mean(0), facts.here.mean.std(0)
    latents = np.repeat(facts.here.mean[start][None], len(chosen) * PLACES, 0)
    latents = latents.reshape(len(chosen), PLACES, -1)
    steps = np.linspace(-WIDTHS, WIDTHS, PLACES)
    for line, dimension in zip(latents, chosen, strict=True):
        line[:, dimension] = centre[dimension] + steps * spread[dimension]
    flat = latents.reshape(-1, latents.shape[2])
    pictures = facts.decode(flat, np.full(len(flat), start))
    strips = np.split(pictures, len(chosen))
    rows = [
        (f"{dimension}: {nats[dimension] / np.log(2.0):.1f} bits", strip)
        for dimension, strip in zip(chosen, strips, strict=True)
    ]
    return figures.strips(
        rows, [f"{step:+.1f}" for step in steps], facts.run.feature.yardstick,
        ("last - first", [strip[-1] - strip[0] for strip in strips]),
    )  # fmt: skip


def _families(facts: "Facts") -> tuple[bytes, float] | None:
    """Ways by an arc between each two of four families, at the pitch that most families were heard at; None
    where no two have one in common."""
    families, pitches = facts.labels("family"), facts.labels("pitch")
    if families is None or pitches is None:
        return None
    heard: dict[Any, dict[Any, int]] = {}
    for i, (family, pitch) in enumerate(zip(families, pitches, strict=True)):
        if family is not None and pitch is not None:
            heard.setdefault(pitch, {}).setdefault(family, i)
    if not heard:
        return None
    pitch = max(heard, key=lambda pitch: (len(heard[pitch]), -abs(float(pitch) - 60.0)))
    chosen = facts.rng("families").permutation(sorted(map(str, heard[pitch])))[:FAMILIES]
    own = {str(family): i for family, i in heard[pitch].items()}
    rows = [
        (f"{one} to {other}", _between(facts, own[one], own[other], "slerp")[1])
        for n, one in enumerate(chosen)
        for other in chosen[n + 1 :]
    ]
    if not rows:
        return None
    return figures.strips(rows, HEADS, facts.run.feature.yardstick), float(pitch)
