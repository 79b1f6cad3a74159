"""Maps of effects and knobs, and ways between pairs, to be seen and heard.

Conventions
-----------
Maps are the run's own, in which what was measured is large. On a map of knobs every panel is one knob: pairs
of its effect in the colour of where it stands, from 0 (dark) to 1 (bright), all others grey. Pictures of
ways are decoded from means; what is heard are five places one after the other, made of pictures by the
feature's own inversion: the wet sounds, and the dry ones where both ends have the same.
"""

from typing import Any

import numpy as np

from timbrespace.audio.files import to_wav_bytes
from timbrespace.audio.level import fade_edges, limit
from timbrespace.evaluation import figures
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.effect_paths import STEPS, halves, line
from timbrespace.evaluation.facts import Facts, labels
from timbrespace.page import escape, image, player

HEARD = (0, 2, 4, 6, 8)  # places of a way
SECONDS = 1.5  # of each
LOUDNESS_DB = -23.0  # dBFS (RMS) of both sounds of a pair together
HEADS = [f"{100 * place // (STEPS - 1)} %" for place in range(STEPS)]
TITLES = {
    "two_effects": "One sound, two effects", "two_sounds": "Two sounds, one setting"
}  # fmt: skip


def draw(facts: Facts, found: dict[str, Any], settings: tuple[list[str], np.ndarray]) -> Shown:
    """Maps by effect and by knob (`settings`: names (K,) and places (N, K) of all rows of the maps), and
    the ways of `found["paths"]["examples"]`."""
    body, drawn = ["<h3>Maps of effects and knobs</h3>"], {}
    for one in facts.maps:
        name = {"pca": "PCA", "umap": "UMAP"}.get(one.name, one.name)
        effects = labels(facts.corpus, "effect", one.rows)
        if effects is not None:
            drawn[f"effects-map-{one.name}"] = figures.map_by_name(
                one.xy, effects, one.measured, f"{name} by effect"
            )
            body.append(image(drawn[f"effects-map-{one.name}"], f"{name} of the pairs by effect"))
        names, places = settings
        if names:
            drawn[f"knobs-map-{one.name}"] = figures.maps_by_knob(one.xy, names, places)
            body.append(image(drawn[f"knobs-map-{one.name}"], f"{name} of the pairs by each knob"))
    for kind, ways in found["paths"]["examples"].items():
        for number, rows in enumerate(ways, start=1):
            a, b = (int(np.flatnonzero(facts.here.rows == row)[0]) for row in rows)
            title = f"{TITLES[kind]}: {_told(facts, a)} to {_told(facts, b)}"
            png, heard = _way(facts, a, b, dry=kind == "two_effects")
            drawn[f"effects-{kind.replace('_', '-')}-{number}"] = png
            body += [f"<h4>{escape(title)}</h4>", image(png, f"{title}: strips of pictures"), heard]
    return Shown("".join(body), drawn)


def _told(facts: Facts, position: int) -> str:
    row = int(facts.here.rows[position])
    effect = labels(facts.corpus, "effect", [row])
    name = facts.corpus.rows[row].title
    return name if effect is None else f"{effect[0]} ({name})"


def _way(facts: Facts, a: int, b: int, *, dry: bool) -> tuple[bytes, str]:
    """The strips of a way from a to b of `facts.here`, dry and wet, and players."""
    import torch

    latents = line(facts.here.mean[a], facts.here.mean[b])
    nearer = np.where(np.arange(STEPS) <= STEPS // 2, a, b)
    rows = list(zip(("dry", "wet"), halves(facts.decode(latents, nearer)), strict=True))
    changed = [strip[-1] - strip[0] for _, strip in rows]
    png = figures.strips(
        rows, HEADS, facts.run.feature.yardstick, ("last - first", changed)
    )  # fmt: skip
    feature, at = facts.run.feature, np.array(HEARD)
    told = {name: value[nearer[at]] for name, value in facts.here.pictures.labels.items()}
    with torch.no_grad():
        made = facts.run.model.decode(torch.from_numpy(latents[at]).float(), told)[:, 0].float()
    made = made.clamp(-1.0, 1.0)
    sounds = feature.invert(made, LOUDNESS_DB - feature.rms_db(made)).numpy()
    half, rate = sounds.shape[1] // 2, feature.sample_rate
    length = min(half, round(SECONDS * rate))
    wet = [fade_edges(sound[half : half + length], rate) for sound in sounds]
    heard = {"wet along the way": wet}
    if dry:
        heard = {"dry along the way": [fade_edges(s[:length], rate) for s in sounds]} | heard
    players = "".join(
        f"<label>{words}{player(to_wav_bytes(limit(np.concatenate(parts), rate), rate))}</label>"
        for words, parts in heard.items()
    )
    return png, f"<div class='players'>{players}</div>"
