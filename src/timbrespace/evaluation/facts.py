"""What every question of an evaluation may look at: rows through the encoder, their labels, sound.

A question (evaluation/catalogue.py) gets `Facts` and gives figures; where it cannot be answered it
raises `Unanswerable` with a sentence, which stands in metrics.json and in the report.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.audio.pitch import Pitch, track
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation.floors import Floors

if TYPE_CHECKING:
    from timbrespace.batches import Pictures
    from timbrespace.data.corpus import Corpus
    from timbrespace.data.ratings import Study
    from timbrespace.evaluation.report import Map
    from timbrespace.evaluation.views import Views
    from timbrespace.runs import Run

BATCH = 128
HEARD = 48  # sounds that are made audible: 64 of 128 by 256 took 9 s of one busy core
RENDERED = 16  # of them at a time


class Unanswerable(TimbrespaceError):
    """A question that these sounds or this run have no answer to; the sentence says why."""


@dataclass(frozen=True)
class Encoded:
    """Rows of a corpus through the encoder: mean, logvar, one sampled z and what each of its numbers
    costs in nats, all (N, Z)."""

    rows: np.ndarray
    pictures: "Pictures"
    mean: np.ndarray
    logvar: np.ndarray
    z: np.ndarray
    nats: np.ndarray
    codes: np.ndarray | None = None  # (N, positions, levels) where the latent is quantised

    @classmethod
    def of(
        cls, run: "Run", corpus: "Corpus", rows: np.ndarray, rng: np.random.Generator
    ) -> "Encoded":
        """Encode `rows`; z is drawn with `rng`. Sounds whose latents are not finite are left out of `rows`;
        TimbrespaceError where those of all are not."""
        import torch

        from timbrespace.batches import Pictures

        pictures = Pictures.of(corpus, corpus.features(run.feature), rows, run.vocabulary)
        tables: dict[str, list[np.ndarray]] = {}
        with torch.no_grad():
            for x, labels in pictures.in_order(BATCH, torch.device("cpu")):
                found = run.model.encode(x.contiguous(memory_format=torch.channels_last), labels)
                noise = torch.from_numpy(rng.standard_normal(found.mean.shape, np.float32))
                z = found.sample(noise)
                made = {
                    "mean": found.mean, "logvar": found.logvar, "z": z, "nats": found.nats(z)
                }  # fmt: skip
                if found.codes is not None:
                    made["codes"] = found.codes
                for name, values in made.items():
                    tables.setdefault(name, []).append(values.numpy())
        joined = {name: np.concatenate(parts) for name, parts in tables.items()}
        numbers = [joined[name] for name in ("mean", "logvar", "z", "nats")]
        usable = np.logical_and.reduce([np.isfinite(table).all(1) for table in numbers])
        if not usable.any():
            raise TimbrespaceError("the latents are not finite; the training has diverged")
        encoded = cls(rows, pictures, **joined)
        return encoded if usable.all() else encoded.take(np.flatnonzero(usable))

    def take(self, at: np.ndarray) -> "Encoded":
        """The sounds at these positions."""
        from timbrespace.batches import Pictures

        own = self.pictures
        pictures = Pictures(
            own.store, own.rows[at], {k: v[at] for k, v in own.labels.items()},
            None if own.kept is None else own.kept[at], own.vocabulary,
        )  # fmt: skip
        codes = None if self.codes is None else self.codes[at]
        return Encoded(
            self.rows[at],
            pictures,
            self.mean[at],
            self.logvar[at],
            self.z[at],
            self.nats[at],
            codes,
        )


@dataclass(frozen=True)
class Rendering:
    """One sound made audible, samples (n,) each at the feature's rate over its window.

    recording: as far as the window reaches; where it cannot be read it is empty, and `unread` says why.
    inversion: the original's own picture made sound. model: what the model makes of it (z sampled), as
    loud as the original, `loudness_db` (RMS, dBFS). position: which of `Facts.here` it is.
    """

    position: int
    recording: np.ndarray
    unread: str | None
    inversion: np.ndarray
    model: np.ndarray
    loudness_db: float


@dataclass(frozen=True)
class Facts:
    """A run, the corpus it is measured on (`corpus`), the one that floors and probes learn from
    (`learnt`), rows of both through the encoder, and the floors fitted on all training rows.

    here: the rows of `split`. there: at most 3,000 training rows, of pairs 6,000. training: the ids of all.
    studies: those that the question of perception asks about, if any. maps: those of the report.
    """

    run: "Run"
    corpus: "Corpus"
    learnt: "Corpus"
    split: str
    seed: int
    here: Encoded
    there: Encoded
    floors: Floors
    training: np.ndarray
    studies: "tuple[Study, ...] | None" = None
    maps: "Sequence[Map]" = ()

    def rng(self, name: str) -> np.random.Generator:
        """Random numbers of a question's own: the same whatever else is asked."""
        return np.random.default_rng([self.seed, *name.encode()])

    def labels(self, name: str) -> list[Any] | None:
        """The label of each row of `here`, None where it has none; None without such labels."""
        return labels(self.corpus, name, self.here.rows)

    def labels_there(self, name: str) -> list[Any] | None:
        """The same of `there`."""
        return labels(self.learnt, name, self.there.rows)

    @cached_property
    def groups(self) -> list[Any]:
        """What intervals and tests draw as a whole: the instrument or speaker of each row of `here`, its
        file where it has none."""
        nobody = [None] * len(self.here.rows)
        known = self.labels("instrument") or self.labels("speaker") or nobody
        files = [self.corpus.rows[row].file for row in self.here.rows]
        return [file if name is None else name for name, file in zip(known, files, strict=True)]

    def originals(self, positions: np.ndarray) -> np.ndarray:
        """Pictures (N, mels, frames) of rows of `here`, as the feature's yardstick shows them."""
        import torch

        x = self.here.pictures.batch(torch.as_tensor(positions), torch.device("cpu"))[0]
        return self.run.feature.view(x[:, 0]).values.numpy()

    def decode(self, z: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """What the model makes of z (N, Z) when it is told the labels of these rows of `here`, as the
        yardstick shows it, (N, mels, frames)."""
        import torch

        told = {name: value[positions] for name, value in self.here.pictures.labels.items()}
        made = []
        with torch.no_grad():
            for start in range(0, len(z), BATCH):
                part = slice(start, start + BATCH)
                own = {name: value[part] for name, value in told.items()}
                values = self.run.model.decode(torch.from_numpy(z[part]).float(), own)
                made.append(self.run.feature.view(values[:, 0].float()).values.numpy())
        return np.concatenate(made)

    @cached_property
    def views(self) -> "Views":
        """At most 1,000 rows of `here`, and `there`, as the space has them and as its floors do."""
        from timbrespace.evaluation.views import Views

        return Views.of(self)

    @cached_property
    def heard(self) -> list[Rendering]:
        """At most 48 sounds, made audible: which ones follows from the split and the seed."""
        at = np.random.default_rng(self.seed).permutation(len(self.here.rows))[:HEARD]
        return list(self.rendered(np.sort(at)))

    @cached_property
    def tracked(self) -> dict[str, list[Pitch]]:
        """The pitch of each sound of `heard`: of its "recording", "inversion" and "model", each as long as
        the recording; what cannot be read has no frames."""
        rate = self.run.feature.sample_rate
        found: dict[str, list[Pitch]] = {"recording": [], "inversion": [], "model": []}
        for one in self.heard:
            length = len(one.recording) or len(one.inversion)
            found["recording"].append(track(one.recording, rate))
            found["inversion"].append(track(one.inversion[:length], rate))
            found["model"].append(track(one.model[:length], rate))
        return found

    def rendered(self, positions: np.ndarray) -> Iterator[Rendering]:
        """These rows of `here`, made audible one after another: many need no more memory than a few."""
        import torch

        for part in np.split(positions, range(RENDERED, len(positions), RENDERED)):
            with torch.no_grad():
                some = self._rendered(part)
            yield from some

    def _rendered(self, at: np.ndarray) -> list[Rendering]:
        import torch

        feature, here = self.run.feature, self.here
        levels = np.asarray(self.corpus.features(feature).level_db)[here.rows[at]]
        x, told = here.pictures.batch(torch.from_numpy(at), torch.device("cpu"))
        x, level = x[:, 0], torch.from_numpy(levels.astype(np.float32))
        made = self.run.model.decode(torch.from_numpy(here.z[at]), told)[:, 0].float()
        made = made.clamp(-1.0, 1.0)
        loudness = feature.rms_db(x, level)
        inverted = feature.invert(x, level).numpy()
        heard = feature.invert(made, loudness - feature.rms_db(made)).numpy()
        found = []
        for i, position in enumerate(at.tolist()):
            recording, unread = self._recording(position, inverted.shape[1])
            one = Rendering(
                position, recording, unread, inverted[i], heard[i], float(loudness[i])
            )  # fmt: skip
            found.append(one)
        return found

    def _recording(self, position: int, length: int) -> tuple[np.ndarray, str | None]:
        row = int(self.here.rows[position])
        try:
            sound = self.corpus.audio(row, sample_rate=self.run.feature.sample_rate)
            return np.ascontiguousarray(sound.mono()[:length], np.float32), None
        except (TimbrespaceError, OSError) as error:
            return np.empty(0, np.float32), str(error)


def labels(corpus: "Corpus", name: str, rows: Sequence[int] | np.ndarray) -> list[Any] | None:
    """The label of each row, None where it has none; None when the corpus has no such label."""
    if name not in corpus.label_names:
        return None
    values = corpus.labels(name)
    found = [_one(values[r]) for r in rows]
    return found if any(v is not None for v in found) else None


def _one(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    missing = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
    return None if missing else value
