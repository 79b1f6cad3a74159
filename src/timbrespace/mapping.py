"""The run's space: latents of the whole corpus, their 2-D maps, their labels."""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.atomic import write_arrays, write_bytes, write_text
from timbrespace.data.corpus import Corpus
from timbrespace.errors import MissingExtra, RunError
from timbrespace.geometry.neighbours import nearest
from timbrespace.machine import use_bfloat16
from timbrespace.runs import Run

Progress = Callable[[str, int, int, dict[str, float]], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Space:
    """N sounds: rows (N,), mean and logvar (N, Z), rms_db (N,), maps {name: (N, 2)}, labels.

    `codes` (N, positions, levels) where the latent is quantised. `weights` is the file of the model
    that drew it: a training that goes on has newer ones.
    """

    rows: np.ndarray
    mean: np.ndarray
    logvar: np.ndarray
    rms_db: np.ndarray
    maps: dict[str, np.ndarray]
    labels: dict[str, list[Any]]
    split: list[str]
    version: str
    weights: Path
    codes: np.ndarray | None = None

    def labels_near(self, points: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """For latent points (N, Z) the labels (N,) of the sound nearest to each, but for the pitch;
        a label that the space has not is left out."""
        near = nearest(self.mean, points.astype(np.float32), 1)[1][:, 0]
        found = {name: self.labels[name] for name in names if name in self.labels}
        found.pop("pitch", None)
        return {name: np.array([values[i] for i in near], object) for name, values in found.items()}

    @classmethod
    def open(cls, run: Run) -> "Space":
        """The space that `build_space` wrote; RunError when there is none yet."""
        folder = run.path / "space"
        try:
            facts = json.loads((folder / "space.json").read_text(encoding="utf-8"))
            with np.load(folder / facts["file"], allow_pickle=False) as arrays:
                tables = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, KeyError):
            raise RunError(
                f"{run.path} has no space yet; make it with: timbrespace space {run.path}"
            ) from None
        if "rms_db" not in tables or "weights" not in facts:
            raise RunError(
                f"the space of {run.path} was drawn by an older version; draw it again with: "
                f"timbrespace space {run.path}"
            )
        return cls(
            tables["rows"], tables["mean"], tables["logvar"], tables["rms_db"],
            {n.removeprefix("map_"): v for n, v in tables.items() if n.startswith("map_")},
            facts["labels"], facts["split"], facts["version"],
            folder / facts["weights"], tables.get("codes"),
        )  # fmt: skip


def build_space(run: Run, *, umap: bool = True, progress: Progress | None = None) -> Space:
    """Encode every row of the run's corpus, project, and write space/; the old space stays readable
    until the new one is whole.

    The PCA is fitted on training rows, or on all where none is left. UMAP joins when umap-learn is
    installed. Sounds whose latents are not finite are left out, with a warning; RunError where none is
    left.
    """
    import torch
    from safetensors.torch import save

    from timbrespace.batches import Pictures
    from timbrespace.geometry.project import Pca, flat, umap_map

    corpus, model = run.corpus, run.model
    store = corpus.features(run.feature)
    rows = np.arange(len(corpus.rows))
    pictures = Pictures.of(corpus, store, rows, run.vocabulary)
    means, logvars, loudness, codes = [], [], [], []
    level = torch.from_numpy(np.array(store.level_db, np.float32))
    # bfloat16 where the training uses it: three times faster, and 0.007 off (rms) where the posterior
    # is 0.4 wide and the means are spread by 1.0 (the demo's run)
    cpu = torch.device("cpu")
    autocast = use_bfloat16(run.recipe.train.precision, cpu)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for x, labels in pictures.in_order(32, cpu):
            latent = model.encode(x.contiguous(memory_format=torch.channels_last), labels)
            here = slice(sum(map(len, means)), sum(map(len, means)) + len(x))
            loudness.append(run.feature.rms_db(x[:, 0], level[here]).numpy())
            means.append(latent.mean.float().numpy())
            logvars.append(latent.logvar.float().numpy())
            if latent.codes is not None:
                codes.append(latent.codes.numpy().astype(np.int32))
            if progress:
                progress("space", sum(map(len, means)), len(rows), {})
    mean, logvar = np.concatenate(means), np.concatenate(logvars)
    usable = np.isfinite(mean).all(1) & np.isfinite(logvar).all(1)
    if not usable.any():
        raise RunError("the latents are not finite; the training has diverged: train again")
    if not usable.all():
        lost = corpus.rows[int(np.flatnonzero(~usable)[0])].title
        log.warning("%d sounds whose latents are not finite are left out (the first: %s)",
                    (~usable).sum(), lost)  # fmt: skip
    rows, mean, logvar = rows[usable], mean[usable], logvar[usable]
    rms_db = np.concatenate(loudness)[usable]
    split = run.split()
    splits = [split.get(int(r), "new") for r in rows]
    train = np.array([s == "train" for s in splits])
    told = mean[:, : model.heard]
    pca = Pca.fit(told[train] if train.any() else told, 2)
    maps = {"pca": flat(pca.transform(told)).astype(np.float32)}
    if umap:
        # PCA needs nothing extra; `timbrespace doctor` names the extra for UMAP
        with suppress(ImportError, MissingExtra):
            maps["umap"] = umap_map(told, seed=run.recipe.seed)
    known = {name: shown_labels(corpus, name) for name in corpus.label_names}
    labels = {name: [values[row] for row in rows] for name, values in known.items()}
    version = sha256(mean.tobytes() + repr(sorted(maps)).encode()).hexdigest()[:12]
    folder = run.path / "space"
    folder.mkdir(exist_ok=True)
    weights = folder / f"weights-{version}.safetensors"
    space = Space(
        rows, mean, logvar, rms_db, maps, labels, splits, version,
        weights, np.concatenate(codes)[usable] if codes else None,
    )  # fmt: skip
    tables = {"rows": rows, "mean": mean, "logvar": logvar, "rms_db": rms_db}
    if space.codes is not None:
        tables["codes"] = space.codes
    tables |= {f"map_{name}": table for name, table in maps.items()}
    file = f"latents-{version}.npz"
    write_arrays(folder / file, **tables)
    write_bytes(weights, save({k: v.contiguous() for k, v in model.state_dict().items()}))
    facts = {
        "version": version, "file": file, "weights": weights.name, "labels": labels, "split": splits
    }  # fmt: skip
    write_text(folder / "space.json", json.dumps(facts, default=_plain))
    for old in [*folder.glob("latents-*.npz"), *folder.glob("weights-*.safetensors")]:
        if old.name not in (file, weights.name):
            old.unlink(missing_ok=True)
    return space


def shown_labels(corpus: Corpus, name: str) -> list[Any]:
    """The label of every row of a corpus, as maps are coloured by it: where knobs of effects stand
    (EFFECT.KNOB, which pairs keep as text) as numbers."""
    values = corpus.labels(name)
    effects = set(corpus.labels("effect")) if "effect" in corpus.label_names else set()
    if not any(name.startswith(f"{effect}.") for effect in effects):
        return values
    return [None if value in (None, "") else float(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no label")
