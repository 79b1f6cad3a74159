"""The run folder: everything one training made, readable without this code.

recipe.yaml          the whole recipe; provenance.json: version, seed, machine, threads, corpus
split.csv            row id, file, split        feature.json   the picture's settings
weights.safetensors  the weights in use (averaged when the recipe says so), plain tensors
checkpoints/         last, previous, best       history.csv    one line per epoch
status.json          where the training stands  space/  evaluation/
vocabulary.json      the values of each label that the model is told, in the order of their numbers
knobs.json           those of each effect, where the model reads them off pairs
calibration.json     how sure it may be of them, measured when the training has ended
dissimilarities/     what distances in the latent were to follow, where the recipe names such files
"""

import csv
import json
import logging
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from timbrespace.atomic import write_text
from timbrespace.data.corpus import Corpus
from timbrespace.data.dissimilarities import Dissimilarities
from timbrespace.data.storage import is_address
from timbrespace.effects.catalogue import find
from timbrespace.effects.knobs import Knob
from timbrespace.errors import EffectError, RunError
from timbrespace.features.catalogue import feature_of
from timbrespace.features.feature import Feature
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe import Recipe, build, parse
from timbrespace.recipe.objective import GATHERS

if TYPE_CHECKING:
    from torch import Tensor

    from timbrespace.models.autoencoder import Autoencoder, DecoderHalf, EncoderHalf
    from timbrespace.models.heads import Calibration

FORMAT = 1
CALIBRATION = "calibration.json"
log = logging.getLogger(__name__)


@dataclass
class Run:
    """A run folder, opened. Heavy parts (model, corpus) are loaded when first asked for."""

    path: Path
    recipe: Recipe
    provenance: dict[str, Any]

    @classmethod
    def create(cls, path: str | Path, recipe: Recipe, corpus: Corpus) -> "Run":
        """A new run folder; RunError when `path` exists and is not empty, or the recipe wants a
        label that the corpus has not, or more codes than it has sounds."""
        path = Path(path)
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise RunError(
                f"{path} is not empty; choose another --out, or continue it with --resume"
            )
        vocabulary = vocabulary_of(recipe, corpus)
        _check_codes(recipe, corpus)
        _check_effects(recipe, vocabulary)
        dissimilarities: dict[str, Dissimilarities] = {}
        if recipe.objective.perceptual is not None:
            dissimilarities = Dissimilarities.read_all(recipe.objective.perceptual.file)
            for table in dissimilarities.values():
                table.of_training_sounds(corpus)  # are there any?
        import torch

        from timbrespace import __version__

        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be made: {error.strerror}") from None
        provenance = {
            "format": FORMAT, "timbrespace": __version__, "torch": torch.__version__,
            "python": platform.python_version(), "machine": platform.machine(),
            "cores": os.cpu_count(), "threads": torch.get_num_threads(), "seed": recipe.seed,
            "corpus": corpus.place, "corpus_digest": corpus.digest,
        }  # fmt: skip
        run = cls(path, recipe, provenance)
        lines = ["row,file,split"]
        files = [_cell(file) for file in corpus.rows.files]
        places = zip(corpus.rows.file.tolist(), corpus.rows.splits, strict=True)
        lines += [f"{row},{files[file]},{split}" for row, (file, split) in enumerate(places)]
        write_text(path / "split.csv", "\n".join(lines) + "\n")
        write_text(path / "feature.json", json.dumps(run.feature.contract, indent=1) + "\n")
        write_text(path / "recipe.yaml", recipe.to_yaml())
        write_text(path / "vocabulary.json", json.dumps(vocabulary.words, indent=1) + "\n")
        if vocabulary.knobs:
            write_text(
                path / "knobs.json", json.dumps(knobs_as_json(vocabulary.knobs), indent=1) + "\n"
            )
        for name, table in dissimilarities.items():
            run.dissimilarities_path.mkdir(exist_ok=True)
            write_text(run.dissimilarities_path / name, table.to_csv())
        write_text(path / "provenance.json", json.dumps(provenance, indent=1) + "\n")
        return run

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """An existing run; RunError when the folder is none, or from a newer format."""
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"there is no run folder {path}; train one with: timbrespace train")
        try:
            provenance = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
            text = (path / "recipe.yaml").read_text(encoding="utf-8")
        except (OSError, ValueError):
            raise RunError(
                f"{path} is not a run: it lacks a readable recipe.yaml and provenance.json"
            ) from None
        if not isinstance(provenance, dict) or provenance.get("format") != FORMAT:
            raise RunError(f"{path} has another run format than {FORMAT}; train it again")
        return cls(path, parse(text, where=str(path / "recipe.yaml")), provenance)

    @property
    def name(self) -> str:
        return self.recipe.name

    @cached_property
    def feature(self) -> Feature:
        return feature_of(self.recipe.feature.model_dump())

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The values of its labels; runs from before the file knew pitch alone."""
        path = self.path / "vocabulary.json"
        if not path.is_file():
            return Vocabulary.of({name: () for name in self.recipe.model.condition.names})
        try:
            words = json.loads(path.read_text(encoding="utf-8"))
            knobs = {}
            if self.recipe.model.heads.labels:
                path = self.path / "knobs.json"
                knobs = knobs_of_json(json.loads(path.read_text(encoding="utf-8")))
            return Vocabulary(
                {str(name): tuple(map(str, values)) for name, values in words.items()}, knobs
            )
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            raise RunError(f"{path} is damaged; train the run again") from None

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus it was trained on; RunError when that is gone or has changed."""
        path = self.provenance["corpus"]
        if not is_address(path) and not Path(path).is_dir():
            raise RunError(
                f"the corpus of this run, {path}, is gone; pass --corpus with its new place"
            )
        corpus = Corpus.open(path)
        if corpus.digest != self.provenance["corpus_digest"]:
            raise RunError(
                f"{path} has changed since this run was trained; train again or pass another --corpus"
            )
        return corpus

    @property
    def lock_path(self) -> Path:
        """Held by the process that trains this run."""
        return self.path / "training.lock"

    @property
    def dissimilarities_path(self) -> Path:
        """What distances in the latent follow, where the recipe wants that; a single file in runs from
        before there could be several."""
        one = self.path / "dissimilarities.csv"
        return one if one.is_file() else self.path / "dissimilarities"

    @property
    def weights_path(self) -> Path:
        return self.path / "weights.safetensors"

    @cached_property
    def model(self) -> "Autoencoder":
        """The trained model in eval mode; load again with `reload` after more training."""
        return self.load_model(self.weights_path)

    def load_model(self, weights: Path) -> "Autoencoder":
        """The run's model with the weights of a file, in eval mode."""
        model = build(self.recipe, self.vocabulary)
        model.load_state_dict(self._tensors(weights, ""))
        if model.heads is not None:
            model.heads.calibration = self._calibration()
        return model.eval()

    def keep_calibration(self, calibration: "Calibration") -> None:
        """Remember how sure the model's heads may be."""
        write_text(self.path / CALIBRATION, json.dumps(asdict(calibration)))

    def _calibration(self) -> "Calibration":
        """What is remembered; nothing before the training's end, and of runs from before the file."""
        from timbrespace.models.heads import Calibration

        path = self.path / CALIBRATION
        if not path.is_file():
            return Calibration()
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            temperature, widening = float(told["temperature"]), float(told["widening"])
            if not (0 < temperature < math.inf and 0 < widening < math.inf):
                raise ValueError
            return Calibration(temperature, widening)
        except (OSError, ValueError, TypeError, KeyError):
            raise RunError(f"{path} is damaged; train the run again, or delete the file") from None

    def reload(self) -> None:
        """Forget the loaded model, so that the next use reads the newest weights."""
        self.__dict__.pop("model", None)

    def load_encoder(self) -> "EncoderHalf":
        """The encoder half alone (sounds to latents)."""
        half = build(self.recipe, self.vocabulary).encoder
        half.load_state_dict(self._tensors(self.weights_path, "encoder."))
        return half.eval()

    def load_decoder(self) -> "DecoderHalf":
        """The decoder half alone (latents to sounds)."""
        half = build(self.recipe, self.vocabulary).decoder
        half.load_state_dict(self._tensors(self.weights_path, "decoder."))
        return half.eval()

    def _tensors(self, weights: Path, prefix: str) -> "dict[str, Tensor]":
        from safetensors import SafetensorError, safe_open

        if not weights.is_file():
            raise RunError(f"{self.path} has no weights yet; train it, or wait for the first epoch")
        try:
            with safe_open(str(weights), framework="pt") as file:
                names = [n for n in file.keys() if n.startswith(prefix)]  # noqa: SIM118
                return {n.removeprefix(prefix): file.get_tensor(n) for n in names}
        except SafetensorError as error:
            raise RunError(f"{weights} is damaged: {error}") from None

    def split(self) -> dict[int, str]:
        """Row id -> train, valid or test, as it was when training began."""
        with open(self.path / "split.csv", encoding="utf-8", newline="") as file:
            return {int(line["row"]): line["split"] for line in csv.DictReader(file)}

    def history(self) -> list[dict[str, float]]:
        """One dict per finished epoch; empty before the first."""
        path = self.path / "history.csv"
        if not path.is_file():
            return []
        with open(path, encoding="utf-8", newline="") as file:
            return [{k: float(v) for k, v in line.items() if v} for line in csv.DictReader(file)]

    def status(self) -> dict[str, Any]:
        """Where the training stands: epoch, epochs, finished, and the words of the last verdict."""
        try:
            return json.loads((self.path / "status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"epoch": 0, "epochs": self.recipe.train.epochs, "finished": False}


def vocabulary_of(recipe: Recipe, corpus: Corpus) -> Vocabulary:
    """The values that the training sounds of a corpus have of the recipe's labels, and the knobs of its
    effects where the model reads them.

    RunError for a label that the corpus has not; pitch alone may be missing: then every sound's is
    unknown, since the recipes that are told it should take any folder of sounds.
    """
    values: dict[str, list[Any]] = {}
    rows = corpus.split_rows("train")
    heads = recipe.model.heads.labels
    told = [*recipe.model.condition.names, *heads]
    shared = [label for term, label in GATHERS.items() if recipe.objective.weights.get(term)]
    for name in dict.fromkeys([*told, *shared]):
        if name not in told and name in corpus.label_names:
            continue  # its values have no meaning but that two are equal
        if name in corpus.label_names:
            labels = corpus.labels(name)
            values[name] = [labels[int(row)] for row in rows]
        elif name == "pitch":
            log.warning("%s has no pitches: the model takes each as unknown", corpus.place)
            values[name] = []
        else:
            known = ", ".join(corpus.label_names) or "none"
            raise RunError(
                f"recipe {recipe.name} wants the label {name!r}, which {corpus.place} has not; it "
                f"has: {known}"
            )
    return Vocabulary.of(values, _knobs_of(recipe, corpus) if heads else None)


def _knobs_of(recipe: Recipe, corpus: Corpus) -> dict[str, tuple[Knob, ...]]:
    """The knobs of each effect of a corpus of pairs; RunError for a corpus of anything else."""
    path = corpus.path / "pairs.json"
    try:
        effects = json.loads(path.read_text(encoding="utf-8"))["effects"]
        return knobs_of_json({name: facts["knobs"] for name, facts in effects.items()})
    except OSError:
        raise RunError(
            f"recipe {recipe.name} reads knobs off pairs of sounds, and {corpus.place} holds none; make "
            "some with: timbrespace effects pairs"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RunError(f"{path} is damaged; make the pairs again") from None


def knobs_as_json(knobs: Mapping[str, tuple[Knob, ...]]) -> dict[str, list[dict[str, Any]]]:
    """The knobs of each effect as plain values; `knobs_of_json` is the inverse."""
    return {effect: [asdict(knob) for knob in own] for effect, own in knobs.items()}


def knobs_of_json(plain: Mapping[str, Any]) -> dict[str, tuple[Knob, ...]]:
    """The knobs of each effect that plain values describe: name, unit, low, high and curve at least."""
    return {
        effect: tuple(Knob(**{"default": knob["low"], **knob}) for knob in own)
        for effect, own in plain.items()
    }


def _check_codes(recipe: Recipe, corpus: Corpus) -> None:
    """RunError when there are more codes to choose from than training sounds to choose them."""
    codes, sounds = recipe.model.bottleneck.codebooks, len(corpus.split_rows("train"))
    if codes is None:
        return
    vectors = sounds * (codes.positions if codes.shared else 1)
    if codes.size > vectors:
        raise RunError(
            f"recipe {recipe.name} has {codes.size} codes to choose from at each position, but "
            f"{corpus.path} has only {sounds} training sounds, {vectors} vectors for them; make the "
            "codebook smaller or prepare more sounds"
        )


def _check_effects(recipe: Recipe, vocabulary: Vocabulary) -> None:
    """RunError where the recipe trains through an effect that is not here."""
    for name in vocabulary.words["effect"] if recipe.objective.through else ():
        try:
            find(name)
        except EffectError as error:
            raise RunError(
                f"recipe {recipe.name} trains through the effects of its pairs: {error}; or take "
                "objective.weights.audio and .audio_l1 out"
            ) from None


def jsonable(value: Any) -> Any:
    """Numbers that JSON can hold: what is not finite becomes null."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text
