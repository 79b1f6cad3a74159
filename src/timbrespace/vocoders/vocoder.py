"""A vocoder in a file: weights, the pictures that it was made for, and where it comes from.

The file is plain safetensors: weights in float16, and one JSON text in its header.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from timbrespace.atomic import write_bytes
from timbrespace.errors import AudioError, RecipeError, RunError
from timbrespace.features import decibels
from timbrespace.features.decibels import LEAST_POWER, Block
from timbrespace.features.feature import KEPT, LENGTHS, Feature
from timbrespace.features.inversion import mel_plan, pull_to_mel
from timbrespace.features.log_mel import LogMel
from timbrespace.features.phase import griffin_lim
from timbrespace.models.vocoder import VocoderNet

FORMAT = 1
SUFFIX = ".safetensors"
SHIPPED = files("timbrespace.vocoders") / "weights"
PART = (
    "sample_rate",
    "n_fft",
    "hop",
    "mels",
    "floor_db",
)  # of a feature's settings; frames are free
ROUNDS = 5
BATCH = 8  # sounds whose spectra are held at once


def contract(feature: Feature) -> dict[str, Any]:
    """What pictures mean, as far as it matters to a vocoder: not how long they are or how they are kept."""
    return {k: v for k, v in feature.contract.items() if k not in KEPT + LENGTHS}


def shipped() -> list[str]:
    """Names of the vocoders that come with the package."""
    folder = Path(str(SHIPPED))
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


class Vocoder:
    """Pictures of one sort of log-mel to sound. Open one with `Vocoder.open`.

    about: what the file says of itself (`timbrespace vocoder info`). rounds: of fast Griffin-Lim, in
    which frames that overlap come to agree and the mels are pulled to the picture's; what lies under its
    floor stays as the network knows it.
    """

    def __init__(self, net: VocoderNet, about: dict[str, Any], *, rounds: int = ROUNDS) -> None:
        self.net, self.about, self.rounds = net.eval().requires_grad_(False), about, rounds

    @property
    def feature(self) -> LogMel:
        """The log-mel that it takes, of any number of frames."""
        return self.net.feature

    @classmethod
    def open(cls, place: str | Path, *, rounds: int = ROUNDS) -> "Vocoder":
        """The vocoder in a file, or a shipped one by name; RunError when there is none, or when it is
        damaged or newer than this package."""
        path, known = Path(place), shipped()
        if str(place) in known:
            path = Path(str(SHIPPED)) / f"{place}{SUFFIX}"
        if not path.is_file():
            names = ", ".join(known) or "none yet"
            raise RunError(
                f"there is no vocoder {place}; give a file of `timbrespace vocoder train`, or one that "
                f"is shipped ({names})"
            )
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})["timbrespace"])
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            if about["format"] != FORMAT:
                raise RunError(
                    f"{path} has the format {about['format']} and this package reads {FORMAT}; update "
                    "timbrespace, or train a vocoder again"
                )
            feature = LogMel.from_settings(about["feature"])
            net = VocoderNet(feature, noise=tensors["noise"], **about["network"])
            net.load_state_dict(tensors)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError):
            raise RunError(
                f"{path} is no vocoder, or is damaged; train one with: timbrespace vocoder train"
            ) from None
        return cls(net, about, rounds=rounds)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        halves = {k: v.half().contiguous() for k, v in self.net.state_dict().items()}
        header = {"timbrespace": json.dumps({"format": FORMAT, **self.about})}
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(halves, metadata=header))

    def check(self, feature: Feature) -> None:
        """RecipeError when pictures of `feature` are not those that it was trained for."""
        if feature.kind != LogMel.kind:
            raise RecipeError(
                f"the vocoder takes pictures of kind {LogMel.kind} and these are {feature.kind}; leave "
                "the vocoder out"
            )
        has, wants = contract(self.feature), contract(feature)
        other = [key for key in has if has[key] != wants[key]]
        if not other:
            return
        ours, theirs = (", ".join(f"{k} {d[k]}" for k in other) for d in (has, wants))
        flags = " ".join(f"--{key.replace('_', '-')} {wants[key]}" for key in PART if key in other)
        raise RecipeError(
            f"the vocoder was trained for {ours} and these pictures have {theirs}; train one with: "
            f"timbrespace vocoder train CORPUS --out FILE {flags}"
        )

    @torch.no_grad()
    def invert(
        self, values: Tensor, level_db: Tensor, *, pitch: Tensor | None = None,
        length: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Samples (*, length) of pictures (*, mels, T) whose loudest cell has level_db (*,).

        pitch (*,) in MIDI numbers makes partials clearer where it is known; numbers outside of 0 .. 127
        are unknown. T is free; length in samples defaults to (T - 1) * hop. The same pictures give the
        same samples. More than 2,048 frames pass in blocks, as in `Decibels.invert`. AudioError for
        NaN or infinity, RecipeError for other shapes.
        """
        values = torch.as_tensor(values)
        mels, hop = self.feature.mels, self.feature.hop
        if values.ndim < 2 or values.shape[-2] != mels or values.shape[-1] == 0:
            raise RecipeError(
                f"the vocoder takes pictures of {mels} mels with at least one frame, got the shape "
                f"{tuple(values.shape)}"
            )
        length = (values.shape[-1] - 1) * hop if length is None else length
        if length < 0:
            raise RecipeError(f"length should be 0 samples or more, got {length}")
        lead, device = values.shape[:-2], self.net.noise.device
        flat = values.reshape(-1, *values.shape[-2:]).to(device, torch.float32)
        level = self._each(level_db, lead, device)
        known = self._each(-1.0 if pitch is None else pitch, lead, device)
        if not (torch.isfinite(flat).all() and torch.isfinite(level).all()):
            raise AudioError("the picture contains NaN or infinite values; it cannot become sound")
        parts = zip(flat.split(BATCH), level.split(BATCH), known.split(BATCH), strict=True)
        samples = torch.cat([self._inverted(*part, length) for part in parts]) if len(flat) else (
            flat.new_zeros(0, length)
        )  # fmt: skip
        return samples.reshape(*lead, length).to(values.device)

    def block(self, pitch: float | None) -> Block:
        """What makes sound of blocks of powers, for `Decibels.joined`: as `invert` does of a picture, with
        the pitch in MIDI numbers where it is known."""
        return self._blocks(torch.tensor(-1.0 if pitch is None else float(pitch)))

    def _blocks(self, pitch: Tensor) -> Block:
        @torch.no_grad()
        def block(power: Tensor, phase: Tensor | None, length: int | None, first: int) -> Tensor:
            away, power = power.device, power.to(self.net.noise.device)
            level = 10.0 * power.amax((1, 2)).clamp_min(LEAST_POWER).log10()
            db = 10.0 * power.clamp_min(1e-30).log10() - level[:, None, None]
            length = (power.shape[-1] - 1) * self.feature.hop if length is None else length
            values = self.feature.from_db(db).clamp(-1.0, 1.0)
            told = pitch.to(power.device).expand(len(power))
            return self._spoken(values, level, told, length, phase, first).to(away)

        return block

    def _each(self, number: Tensor | float, lead: torch.Size, device: torch.device) -> Tensor:
        given = torch.as_tensor(number, dtype=torch.float32, device=device)
        return given.expand(lead).reshape(-1)

    def _inverted(self, values: Tensor, level_db: Tensor, pitch: Tensor, length: int) -> Tensor:
        values = values.clamp(-1.0, 1.0)
        if values.shape[-1] <= decibels.BLOCK:
            return self._spoken(values, level_db, pitch, length)
        power = self.feature.powers_of(values) * torch.pow(10.0, level_db / 10.0)[:, None, None]
        return torch.cat(list(self.feature.in_blocks([power], length, self._blocks(pitch))), 1)

    def _spoken(
        self, values: Tensor, level_db: Tensor, pitch: Tensor, length: int,
        known: Tensor | None = None, first: int = 0,
    ) -> Tensor:  # fmt: skip
        """Samples (B, length) of pictures that begin at frame `first` of their sound, whose phase (B, bins,
        T) is `known` where it is a number."""
        curves = self.net.curves(values, level_db, pitch)
        texture = self.net.texture(curves, known, first)
        spectrum = (texture * curves.size.exp()).transpose(1, 2)
        mels, plan, below = self.net.powers(values), mel_plan(self.net.filterbank), values <= -1.0
        samples = griffin_lim(
            spectrum.abs(), self.feature.n_fft, self.feature.hop, rounds=self.rounds,
            phase=spectrum.angle(), length=length,
            refine=lambda index, power: pull_to_mel(power, mels[index], plan, below[index]),
        )  # fmt: skip
        heard = (values > -1.0).flatten(1).any(1)  # silence stays silence
        scale = torch.pow(10.0, level_db / 20.0) * heard
        return samples * scale[:, None]
