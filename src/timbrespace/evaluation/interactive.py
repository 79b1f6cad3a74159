"""One page of maps to point at and to hear: a run's, or several side by side.

Conventions
-----------
All sounds are shown, to MOST points in all panels together; beyond that as many of them drawn at
random, and the page says so. A sound is the same in every run that has its file and its start, and
what is pointed at in one panel is marked in all. Sounds that can be heard are the recordings, mono,
two seconds at 16 kHz, of a sample drawn at random from those measured, as far as HEARD and
AUDIO_BYTES reach. The page needs no network: it holds Plotly's script (MIT), its points and its sounds.
"""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.errors import MissingExtra, RunError, TimbrespaceError
from timbrespace.evaluation import figures
from timbrespace.evaluation.figures.style import COLOURS, FLOOR, Drawing
from timbrespace.page import document, escape

if TYPE_CHECKING:
    from timbrespace.data.corpus import Corpus
    from timbrespace.runs import Run

MOST = 80_000  # points in a page: 60 bytes each
HEARD = 240  # sounds in a page
AUDIO_BYTES = 7_000_000  # of them, in base64
SECONDS, SAMPLE_RATE = 2.0, 16_000  # of each
KINDS = {"pca": "PCA", "umap": "UMAP"}
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
UNITS = {"rmse_db": "error, dB", "rmse_db_at_mean": "error of decode(mu), dB", "bits": "bits"}
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data:; base-uri 'none'; form-action 'none'"
)
STYLE = """
body { max-width: none; padding-bottom: 1rem; }
.bar { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: center; margin: .6rem 0; }
.bar input[type=search] { width: 14rem; } .bar select, .bar input, .bar button { font: inherit; }
#said { min-height: 1.5rem; margin: .2rem 0; max-width: none; }
#maps { position: relative; } #plot { width: 100%; }
.mark { position: absolute; width: 16px; height: 16px; margin: -8px 0 0 -8px; border-radius: 50%;
  border: 2px solid #000; box-shadow: 0 0 0 2px #fff; pointer-events: none; box-sizing: border-box; }
.mark span { position: absolute; top: 14px; left: 10px; background: #fffffff0; color: #111;
  border: 1px solid #999; border-radius: .2rem; padding: .1rem .35rem; font-size: .8rem;
  white-space: pre; z-index: 2; }
.mark.left span { left: auto; right: 10px; }
"""


@dataclass(frozen=True)
class Atlas:
    """The maps of one run: N sounds, rows (N,) of its corpus and whether each was measured (N,), what
    each is called in every run and to people, maps {name: (N, 2)}, columns {name: N values}, where
    None is not known."""

    run: str
    rows: np.ndarray
    measured: np.ndarray
    keys: list[str]
    names: list[str]
    maps: dict[str, np.ndarray]
    columns: dict[str, list[Any]]

    @classmethod
    def of(
        cls, name: str, corpus: "Corpus", rows: np.ndarray, maps: dict[str, np.ndarray],
        sounds: str, parts: Mapping[int, str],
    ) -> "Atlas":  # fmt: skip
        """Rows of a corpus on the maps of a run so named, with the labels of each, the figures in
        `sounds` (the text of sounds.csv) and the part of the corpus that the run has it in."""
        from timbrespace.mapping import shown_labels

        own = [corpus.rows[row] for row in rows.tolist()]
        columns: dict[str, list[Any]] = {}
        for label in corpus.label_names:
            values = shown_labels(corpus, label)
            columns[label] = [_known(values[row]) for row in rows.tolist()]
        columns["part"] = [parts.get(row) for row in rows.tolist()]
        measures = {int(line["row"]): line for line in csv.DictReader(io.StringIO(sounds))}
        for figure in next(iter(measures.values()), {}):
            if figure not in ("row", "file", "group"):
                found = [measures.get(row, {}).get(figure) for row in rows.tolist()]
                columns[UNITS.get(figure, figure.replace("_", " "))] = [_number(v) for v in found]
        measured = np.isin(rows, list(measures))
        keys = [f"{one.file}@{one.start}" for one in own]
        return cls(name, rows, measured, keys, [one.title for one in own], maps, columns)

    @classmethod
    def open(cls, run: "Run", name: str) -> "Atlas":
        """A run's space and its last evaluation, under a name; RunError without a space."""
        from timbrespace.mapping import Space

        space, sounds = Space.open(run), ""
        with suppress(OSError):
            sounds = (run.path / "evaluation" / "sounds.csv").read_text(encoding="utf-8")
        if len(run.corpus.rows) <= int(space.rows.max()):
            raise RunError(
                f"the space of {run.path} has sounds that {run.corpus.path} has no more; draw it "
                f"again with: timbrespace space {run.path}"
            )
        parts = dict(zip(space.rows.tolist(), space.split, strict=True))
        return cls.of(name, run.corpus, space.rows, space.maps, sounds, parts)

    def take(self, at: np.ndarray) -> "Atlas":
        """The sounds at these positions."""

        def some(values: list[Any]) -> list[Any]:
            return [values[i] for i in at.tolist()]

        return Atlas(
            self.run, self.rows[at], self.measured[at], some(self.keys), some(self.names),
            {name: xy[at] for name, xy in self.maps.items()},
            {name: some(values) for name, values in self.columns.items()},
        )  # fmt: skip


def recordings(atlas: Atlas, corpus: "Corpus", *, seed: int = 0) -> dict[str, bytes]:
    """FLAC by key of the sounds measured that can be heard in a page, or of any where none was
    measured; what cannot be read is left out."""
    from timbrespace.audio.files import to_bytes
    from timbrespace.audio.level import fade_edges

    at = np.flatnonzero(atlas.measured) if atlas.measured.any() else np.arange(len(atlas.rows))
    found: dict[str, bytes] = {}
    used = 0
    for i in np.random.default_rng(seed).permutation(at)[:HEARD].tolist():
        with suppress(TimbrespaceError, OSError):
            sound = corpus.audio(int(atlas.rows[i]), sample_rate=SAMPLE_RATE).mono()
            sound = fade_edges(sound[: int(SECONDS * SAMPLE_RATE)], SAMPLE_RATE)
            sound = np.round(sound * 32768.0) / 32768.0  # 16 bits: a third of the bytes
            data = to_bytes(sound, SAMPLE_RATE, format="flac")
            used += 4 * len(data) // 3
            if used > AUDIO_BYTES:
                break
            found[atlas.keys[i]] = data
    return found


def page(atlases: Sequence[Atlas], heard: Mapping[str, bytes], title: str) -> str:
    """The page of one or more runs and of the sounds (FLAC by key) that it lets hear.

    MissingExtra without Plotly, RunError where the runs have no map in common.
    """
    script = plotly()
    kinds = _kinds(atlases)
    total = len({key for a in atlases for key in a.keys})
    atlases = _fewer(atlases, heard, MOST // (len(atlases) * len(kinds)))
    keys = list(dict.fromkeys(key for a in atlases for key in a.keys))
    number = {key: i for i, key in enumerate(keys)}
    names = {key: name for a in atlases for key, name in zip(a.keys, a.names, strict=True)}
    data = {
        "names": [names[key] for key in keys],
        "runs": [_packed(a, kinds, number) for a in atlases],
        "kinds": {kind: KINDS.get(kind, kind) for kind in kinds},
        "colours": COLOURS, "symbols": SYMBOLS, "grey": FLOOR,
        "sounds": {
            number[key]: base64.b64encode(flac).decode()
            for key, flac in heard.items()
            if key in number
        },
    }  # fmt: skip
    told = f"{total:,} sounds"
    if len(keys) < total:
        told = f"{len(keys):,} of {told}, drawn at random"
    measured = sum(bool(m) for m in atlases[0].measured)
    of = f"a sample of the {measured:,} measured" if measured else "none was measured"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='quiet'>{told}; large marks were measured. Point at one: it is marked in every panel. "
        f"Click one with a dark rim to hear its recording: {len(data['sounds'])} can be heard here "
        f"({of}), {SECONDS:g} s of each. Drag to zoom, double click to see all; a click on a name in "
        "the legend hides it.</p>",
        "<div class='bar'>"
        "<label>Colour by <select id='colour'></select></label>"
        "<label>Map <select id='kind'></select></label>"
        "<label><input type='checkbox' id='labels' checked> names on the map</label>"
        "<label>Find <input type='search' id='find' placeholder='name; Enter: the next'></label>"
        "<button id='before'>Hear the one before</button><button id='next'>Hear the next</button>"
        "</div><p id='said' role='status' aria-live='polite'></p>"
        "<div id='maps'><div id='plot' role='img' aria-label='Maps of the sounds'></div></div>",
        f"<script>{script}</script>",
        f"<script type='application/json' id='data'>{embedded(data)}</script>",
        f"<script>{Path(__file__).with_name('interactive.js').read_text(encoding='utf-8')}</script>",
    ]
    return document(title, body, STYLE, POLICY)


def picture(atlases: Sequence[Atlas]) -> Drawing:
    """The first map that all runs have, the last drawn first (UMAP before PCA), side by side and by
    family, as a figure."""
    kind = _kinds(atlases)[-1]
    return figures.maps_by_name([
        (f"{a.run}: {KINDS.get(kind, kind)}", a.maps[kind],
         a.columns.get("family", ["sounds"] * len(a.rows)), a.measured)
        for a in atlases
    ])  # fmt: skip


def _kinds(atlases: Sequence[Atlas]) -> list[str]:
    """The maps that all runs have."""
    kinds = [k for k in atlases[0].maps if all(k in a.maps for a in atlases)]
    if not kinds:
        raise RunError("the runs have no map in common; draw their spaces with: timbrespace space")
    return kinds


def plotly() -> str:
    """Plotly's script, as its package brings it."""
    found = find_spec("plotly")
    place = None if found is None else (found.submodule_search_locations or [None])[0]
    script = None if place is None else Path(place, "package_data", "plotly.min.js")
    if script is None or not script.is_file():
        raise MissingExtra(
            'figures to point at need Plotly, which is not installed: pip install "timbrespace[maps]"'
        )
    return script.read_text(encoding="utf-8")


def _fewer(atlases: Sequence[Atlas], heard: Mapping[str, bytes], most: int) -> list[Atlas]:
    """At most so many sounds of each run, the same of all: those heard, those measured, others."""
    if max(len(a.keys) for a in atlases) <= most:
        return list(atlases)
    measured: dict[str, bool] = {}
    for a in atlases:
        for key, one in zip(a.keys, a.measured.tolist(), strict=True):
            measured[key] = measured.get(key, False) or one
    keys = list(measured)
    order = [keys[i] for i in np.random.default_rng(0).permutation(len(keys))]
    kept = set(sorted(order, key=lambda k: (k not in heard, not measured[k]))[:most])
    return [a.take(np.array([i for i, k in enumerate(a.keys) if k in kept], int)) for a in atlases]


def _packed(atlas: Atlas, kinds: Sequence[str], number: Mapping[str, int]) -> dict[str, Any]:
    """What the page holds of a run: numbers as they are, names as places in a list of names."""
    columns: dict[str, Any] = {}
    for name, values in atlas.columns.items():
        known = [v for v in values if v is not None]
        if not known:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
            columns[name] = {"numbers": [v if v is None else round(float(v), 4) for v in values]}
            continue
        words = sorted({str(v) for v in known})
        place = {word: i for i, word in enumerate(words)}
        codes = [None if v is None else place[str(v)] for v in values]
        columns[name] = {"words": words, "codes": codes}
    return {
        "run": atlas.run,
        "ids": [number[key] for key in atlas.keys],
        "measured": [int(one) for one in atlas.measured],
        "maps": {kind: np.round(atlas.maps[kind].T, 3).tolist() for kind in kinds},
        "columns": columns,
    }


def embedded(data: Any) -> str:
    """JSON that ends no script, whatever names hold."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _known(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    missing = value is None or value == "" or (isinstance(value, float) and not np.isfinite(value))
    return None if missing else value


def _number(text: str | None) -> float | None:
    try:
        return _known(float(text or "nan"))
    except ValueError:
        return None
