"""A controller: a place in a small cube to the knobs of an effect, and back.

One file: the arrays of two networks as safetensors, and in its header what they are for as JSON. It
holds all that playing needs but the effect itself, and nothing that could run code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from timbrespace.atomic import write_bytes
from timbrespace.controller.network import Network
from timbrespace.effects.catalogue import find
from timbrespace.effects.effect import Effect
from timbrespace.effects.knobs import Knob
from timbrespace.errors import EffectError

FORMAT = 1
OVER = (
    0.1  # a decoder's outputs reach so far beyond 0..1 in all, so that a knob can stand at an end
)


@dataclass(frozen=True)
class Axis:
    """What one axis of a controller does to the sound.

    follows: what of the sound goes with it most (of two within 0.1 the first): "effect" (how much there
    is), "brightness" or "loudness"; correlation: Spearman's rho with it from -1 to 1. knob: the knob that
    goes with it most, with its own rho. All measured at random positions.
    """

    follows: str
    correlation: float
    knob: str
    knob_correlation: float

    @property
    def words(self) -> str:
        """For people, such as "more effect (0.97), drive up (0.99)"."""
        heard = {
            "effect": ("more effect", "less effect"), "brightness": ("brighter", "darker"),
            "loudness": ("louder", "softer"),
        }[self.follows][self.correlation < 0.0]  # fmt: skip
        turned = "down" if self.knob_correlation < 0.0 else "up"
        return (
            f"{heard} ({abs(self.correlation):.2f}), "
            f"{self.knob} {turned} ({abs(self.knob_correlation):.2f})"
        )


@dataclass(frozen=True)
class Controller:
    """Positions (d,) from 0 to 1 in place of the knobs of `effect`, an effect's name.

    Positions are spread evenly: as many settings lie in one part of the cube as in another. The sound
    with the least effect lies at `clean`, always the corner 0, ..., 0. made: by what it was made, as plain
    numbers and words. measures: what `measure` found, {} where it was not asked.
    """

    effect: str
    knob_list: tuple[Knob, ...]
    kind: str
    axes: tuple[Axis, ...]
    decoder: Network  # positions, scaled to -1..1, to knobs before their sigmoid
    encoder: Network  # knobs, scaled to -1..1, to positions as quantiles of the normal distribution
    made: dict[str, Any]
    measures: dict[str, Any]

    @property
    def dimensions(self) -> int:
        """Numbers of a position."""
        return len(self.axes)

    @property
    def clean(self) -> np.ndarray:
        """The position (d,) of the sound with the least effect."""
        return np.zeros(self.dimensions)

    @property
    def facts(self) -> dict[str, Any]:
        """What it is and what it was measured to do, as plain data."""
        clean = self.knobs(self.clean)
        return {
            "effect": self.effect, "kind": self.kind, "dimensions": self.dimensions,
            "knobs": [knob.name for knob in self.knob_list],
            "axes": [{**asdict(axis), "words": axis.words} for axis in self.axes],
            "clean": {
                knob.name: knob.from_unit(float(place))
                for knob, place in zip(self.knob_list, clean, strict=True)
            },
            "made": self.made, "measures": self.measures,
        }  # fmt: skip

    @property
    def lines(self) -> list[str]:
        """The same for people."""
        clean = ", ".join(
            f"{knob.name} {knob.words(knob.from_unit(float(place)))}"
            for knob, place in zip(self.knob_list, self.knobs(self.clean), strict=True)
        )
        by = f" of latents of {self.made['run']}" if self.made.get("run") else ""
        return [
            f"{self.effect} in {self.dimensions} dimensions ({self.kind}{by}), from "
            f"{self.made['settings']} settings on {self.made['sounds']} sounds",
            *(f"axis {number}: {axis.words}" for number, axis in enumerate(self.axes, 1)),
            f"clean corner: {clean}",
            *(told(self.measures) if self.measures else []),
        ]

    def knobs(self, position: np.ndarray) -> np.ndarray:
        """Where the knobs stand, (..., K) from 0 to 1, at positions (..., d); those outside of 0..1 are
        brought in. EffectError for another number of dimensions and for NaN."""
        place = self._checked(position, self.dimensions, "a position", "dimensions")
        return unit_of(self.decoder(2.0 * place - 1.0)).astype(np.float64)

    def position(self, units: np.ndarray) -> np.ndarray:
        """The positions (..., d) from 0 to 1 of knobs that stand at units (..., K)."""
        from scipy.special import ndtr

        places = self._checked(units, len(self.knob_list), "a setting", "knobs")
        return np.asarray(ndtr(self.encoder(2.0 * places - 1.0)), np.float64)

    def _checked(self, given: np.ndarray, size: int, what: str, parts: str) -> np.ndarray:
        table = np.asarray(given, np.float64)
        if not table.ndim or table.shape[-1] != size or np.isnan(table).any():
            raise EffectError(
                f"{what} of this controller of {self.effect} is {size} {parts} from 0 to 1, got "
                f"{'NaN' if np.isnan(table).any() else f'the shape {table.shape}'}"
            )
        return np.clip(table, 0.0, 1.0)

    def find_effect(self) -> Effect:
        """The effect that it plays; EffectError where it is not here, or has other knobs by now."""
        effect = find(self.effect)
        if [_known(k) for k in effect.knobs] != [_known(k) for k in self.knob_list]:
            raise EffectError(
                f"this controller was made for a {self.effect} with other knobs or ranges; make it "
                f"anew with: timbrespace effects controller --effect {self.effect}"
            )
        return effect

    def save(self, path: str | Path) -> None:
        """Write it as one file; OSError as the system gives it."""
        from safetensors.numpy import save

        facts = {
            "format": FORMAT, "effect": self.effect, "kind": self.kind,
            "knobs": [asdict(knob) for knob in self.knob_list],
            "axes": [asdict(axis) for axis in self.axes],
            "made": self.made, "measures": self.measures,
        }  # fmt: skip
        arrays = {**self.decoder.arrays("decoder"), **self.encoder.arrays("encoder")}
        header = {"timbrespace.controller": json.dumps(facts, allow_nan=False)}
        write_bytes(path, save(arrays, header))

    @classmethod
    def open(cls, path: str | Path) -> "Controller":
        """What `save` wrote; EffectError where there is no file, another one, or a damaged one."""
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise EffectError(
                f"{path} is no file; make a controller with: timbrespace effects controller"
            )
        try:
            with safe_open(path, "numpy") as file:
                facts = json.loads((file.metadata() or {})["timbrespace.controller"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if facts["format"] != FORMAT:
                raise EffectError(
                    f"{path} has another format of controllers than {FORMAT}; make it anew"
                )
            opened = cls(
                str(facts["effect"]), tuple(Knob(**knob) for knob in facts["knobs"]),
                str(facts["kind"]), tuple(Axis(**axis) for axis in facts["axes"]),
                Network.from_arrays(arrays, "decoder"), Network.from_arrays(arrays, "encoder"),
                dict(facts["made"]), dict(facts["measures"]),
            )  # fmt: skip
            opened.position(opened.knobs(opened.clean))  # the networks fit knobs and axes
            opened.lines  # noqa: B018  # all that is told of it is there
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            raise EffectError(f"{path} is no controller, or a damaged one; make it anew") from None
        return opened


def told(found: dict[str, Any]) -> list[str]:
    """What `measure` found, a sentence each."""
    best = max(found["knob_r2_each"], key=found["knob_r2_each"].get)
    lines = [
        f"knobs: a position tells {found['knob_r2']:.2f} of them (mean R²; {best} "
        f"{found['best_knob_r2']:.2f}) and gives back {found['returned_r2']:.2f}",
        f"reach: {found['coverage']:.0%} of random settings have a position that sounds like them; "
        f"{found['evenness']:.0%} of the first two axes' square is used",
    ]
    if found["audio"] is not None:
        lines.append(
            f"sound: at a setting's position {found['audio']:.2f} as far from it as the dry sound (MR-STFT; "
            f"knobs in the middle {found['audio_centre']:.2f})"
        )
    if None not in (found["midpoint"], found["midpoint_same"]):
        lines.append(
            f"way: over the middle {found['midpoint']:.2f} times the direct one (all knobs turned straight "
            f"between the same ends: {found['midpoint_same']:.2f}), roughness {found['roughness']:.2f} "
            f"({found['roughness_same']:.2f}), bend {found['non_linearity']:.2f} "
            f"({found['non_linearity_same']:.2f})"
        )
    if found.get("rises"):
        first, second = found["rises"]
        lines.append(
            f"monotone: {first:.0%} of small steps along axis 1 take no effect away, and {second:.0%} "
            "along axis 2 no brightness (or darkness)"
        )
    lines.append(
        f"clean corner: {found['clean_db']:.1f} dB of effect, and {found['clean_rank']:.0%} of random "
        "positions have less"
    )
    if not found["held_out_sound"]:
        lines.append("measured on a sound of the making: give two or more, and one is kept back")
    return lines


def unit_of(outputs: np.ndarray) -> np.ndarray:
    """Knob places 0..1 of a decoder's outputs."""
    bent = 1.0 / (1.0 + np.exp(-np.clip(outputs, -60.0, 60.0)))
    return np.clip((1.0 + OVER) * bent - 0.5 * OVER, 0.0, 1.0)


def _known(knob: Knob) -> tuple[object, ...]:
    return knob.name, knob.unit, knob.low, knob.high, knob.curve
