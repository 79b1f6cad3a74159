"""Training of a vocoder on recordings: random pieces, pictures made on the way, spectra compared.

The loss of a step (docs/vocoder.md has the equations): multi-resolution STFT and mel distance of the
sound itself, log magnitudes where the STFT is the picture's own, how far each bin's frequency is off, and,
where it is asked for, what discriminators say.
"""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from timbrespace.atomic import write_bytes
from timbrespace.errors import RecipeError, RunError
from timbrespace.features.log_mel import LogMel
from timbrespace.features.sweep import advance_of
from timbrespace.losses.spectral import multi_resolution_stft
from timbrespace.machine import SignalStop, use_bfloat16
from timbrespace.models.vocoder import Curves, VocoderNet
from timbrespace.vocoders.adversary import Adversary
from timbrespace.vocoders.measure import drawn, measure, way_back
from timbrespace.vocoders.recordings import UNKNOWN, Places, Recordings, each_of, recordings
from timbrespace.vocoders.vocoder import PART, Vocoder, contract

Progress = Callable[[str, int, int, dict[str, float]], None]

FRAMES = 64  # of a piece
QUIET = 1e-3  # a piece whose peak is lower is drawn anew, up to DRAWS times
DRAWS = 4
BEGINNINGS = 0.25  # of the pieces are the beginning of a recording
LEAST = 1e-4  # magnitude of a bin of a sound with peak 1: below it all is alike
HEADROOM_DB = 40.0  # how far a piece may lie below its picture's loudest cell
LEAST_MEL = 1e-10  # mel power of such a sound
WEIGHTS = {
    "mr_stft": 1.0, "mel": 0.5, "magnitude": 0.5, "turn": 2.0, "heard": 0.5, "adversary": 0.1,
    "match": 0.2,
}  # fmt: skip
CHECKPOINT_SECONDS = 120.0
WARM_UP = 50  # steps
VALIDATIONS = 10  # in the whole of a training
HEARD = 48  # held-out sounds of a validation


@dataclass(frozen=True)
class Plan:
    """What a training does: its length in `steps`, or in `minutes`, and how it learns.

    drop: how often the pitch is not told. smooth: how often a picture is blurred and rounded as those
    that a model decodes are. RecipeError for what cannot be.
    """

    steps: int | None = None
    minutes: float | None = None
    batch: int = 8
    learning_rate: float = 1.5e-3
    seed: int = 0
    drop: float = 0.3
    smooth: float = 0.0
    adversarial: bool = False
    channels: int = 192
    blocks: int = 3

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise RecipeError("a vocoder is trained for --minutes or for --steps; give one of them")
        for name in ("steps", "minutes", "batch", "learning_rate", "channels", "blocks"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise RecipeError(f"{name} should be more than 0, got {value}")
        for name in ("drop", "smooth"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise RecipeError(f"{name} should be from 0 to 1, got {getattr(self, name)}")

    @property
    def network(self) -> dict[str, Any]:
        """The sizes of the network, as it takes them."""
        return {"channels": self.channels, "blocks": self.blocks}


class State:
    """All that a training is: networks, optimisers, counters. A checkpoint holds it whole."""

    def __init__(self, feature: LogMel, plan: Plan, device: torch.device) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self.net = VocoderNet(feature, **plan.network).to(device)
            self.adversary = Adversary().to(device) if plan.adversarial else None
        rate = plan.learning_rate
        self.optimizers = [_optimizer(self.net, rate)]
        if self.adversary is not None:
            self.optimizers.append(_optimizer(self.adversary, rate))
        self.step, self.seconds, self.best, self.validated = 0, 0.0, math.inf, 0

    @property
    def networks(self) -> list[nn.Module]:
        return [self.net, *([] if self.adversary is None else [self.adversary])]

    def pack(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        tensors: dict[str, Tensor] = {}
        for number, (network, optimizer) in enumerate(
            zip(self.networks, self.optimizers, strict=True)
        ):
            tensors |= {f"{number}.weights.{k}": v for k, v in network.state_dict().items()}
            for at, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{number}.moments.{at}.{k}": v for k, v in moments.items()}
        counters = {
            "step": self.step, "seconds": self.seconds, "best": self.best,
            "validated": self.validated,
        }  # fmt: skip
        return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, counters

    def unpack(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        for number, (network, optimizer) in enumerate(
            zip(self.networks, self.optimizers, strict=True)
        ):
            own = {
                k.partition(".")[2]: v
                for k, v in tensors.items() if k.startswith(f"{number}.")
            }  # fmt: skip
            network.load_state_dict(
                {k.removeprefix("weights."): v for k, v in own.items() if k.startswith("weights.")}
            )
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in own.items():
                if key.startswith("moments."):
                    _, at, name = key.split(".")
                    moments.setdefault(int(at), {})[name] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        for name, value in counters.items():
            setattr(self, name, value)


def _optimizer(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.8, 0.99), fused=True)


@dataclass(frozen=True)
class Batch:
    """Pieces (B, n) as loud as they are recorded, their pictures, levels (B,) and pitches (B,)."""

    sound: Tensor
    values: Tensor
    level_db: Tensor
    pitch: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(x.to(device) for x in vars(self).values()))


def batch_of(sounds: Recordings, feature: LogMel, plan: Plan, step: int) -> Batch:
    """The batch of a step: a function of (seed, step) alone.

    Half of the pieces are as far below their picture's loudest cell as the rest of a longer sound may
    be, up to 40 dB.
    """
    rng = np.random.default_rng((plan.seed, step))
    length = (FRAMES - 1) * feature.hop
    pieces = np.zeros((plan.batch, length), np.float32)
    pitch = np.full(plan.batch, UNKNOWN, np.float32)
    for place in range(plan.batch):
        for _ in range(DRAWS):
            number = sounds.draw(rng)
            whole = sounds.samples(number)
            last = max(0, len(whole) - length)
            first = 0 if rng.random() < BEGINNINGS else int(rng.integers(last + 1))
            piece = whole[first : first + length]
            if float(np.abs(piece).max(initial=0.0)) > QUIET:
                break
        pieces[place, : len(piece)] = piece
        if rng.random() >= plan.drop:
            pitch[place] = sounds.pitch[number]
    sound = torch.from_numpy(pieces)
    picture = feature.analyse_all(sound)
    head = torch.from_numpy(rng.uniform(0.0, HEADROOM_DB, plan.batch).astype(np.float32))
    head = head * torch.from_numpy(rng.random(plan.batch) < 0.5)
    values = feature.from_db(feature.to_db(picture.values) - head[:, None, None])
    values = _smoothed(values, torch.from_numpy(rng.random(plan.batch) < plan.smooth), rng)
    return Batch(sound, values, picture.level_db + head, torch.from_numpy(pitch))


def _smoothed(values: Tensor, chosen: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures of which the `chosen` (B,) are blurred by up to a few cells and rounded to steps of up
    to 4 %, as a model draws them."""
    if not chosen.any():
        return values
    blurred = avg_pool2d(values[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    share = torch.from_numpy(rng.random(len(values)).astype(np.float32))[:, None, None]
    steps = torch.from_numpy(rng.uniform(25.0, 200.0, len(values)).astype(np.float32))
    soft = torch.lerp(values, blurred, share)
    soft = (soft * steps[:, None, None]).round() / steps[:, None, None]
    return torch.where(chosen[:, None, None], soft.clamp(-1.0, 1.0), values)


def losses(net: VocoderNet, batch: Batch) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The terms of a batch, unweighted, and two sounds (B, n) divided by the recording's peak: the
    recording and what the network makes of its picture.

    Magnitudes are compared by a sound that has the recording's phase, so that no error of phase blurs
    them; what of a bin is tone and what noise, by the sound with the network's own phase.
    """
    feature, length = net.feature, batch.sound.shape[1]
    curves = net.curves(batch.values, batch.level_db, batch.pitch)
    peak = batch.sound.abs().amax(1, keepdim=True).clamp_min(QUIET)
    gain = torch.pow(10.0, batch.level_db / 20.0)[:, None, None] / peak[:, None]
    target = batch.sound / peak
    window = torch.hann_window(feature.n_fft, device=target.device)

    def transform(x: Tensor) -> Tensor:
        return torch.stft(
            x, feature.n_fft, feature.hop, window=window, pad_mode="constant", return_complex=True
        ).transpose(1, 2)

    def sound(spectrum: Tensor) -> Tensor:
        return torch.istft(
            spectrum.transpose(1, 2), feature.n_fft, feature.hop, window=window, length=length
        )

    truth = transform(target)
    texture, size = net.texture(curves), curves.size.exp() * gain
    given = sound(torch.polar(size, truth.angle()))
    mels = [
        (x.abs().square() @ net.filterbank.T).clamp_min(LEAST_MEL).log()
        for x in (truth, transform(given))
    ]
    true_size = truth.abs().clamp_min(LEAST)
    terms = {
        "mr_stft": multi_resolution_stft(given, target),
        "mel": (mels[0] - mels[1]).abs().mean(),
        "magnitude": (size.clamp_min(LEAST).log() - true_size.log()).abs().mean(),
        "turn": _turn(net, curves, truth, true_size),
        "heard": multi_resolution_stft(sound(texture * size.detach()), target),
    }
    return terms, target, sound(texture * size)


def _turn(net: VocoderNet, curves: Curves, truth: Tensor, size: Tensor) -> Tensor:
    """How far each bin's phase turns from frame to frame beside the truth: 1 - cos of the error (Ai &
    Ling 2023 on instantaneous frequency), weighted by how loud the bin is, and half by the root of
    that."""
    feature = net.feature
    implied = torch.from_numpy(
        advance_of(curves.size.detach().cpu().numpy(), feature.n_fft, feature.hop)
    ).to(truth.device)
    advance = implied + curves.bend
    error = 0.5 * (advance[:, 1:] + advance[:, :-1]) - truth.angle().diff(dim=1)
    loud = size / size.mean((1, 2), keepdim=True)
    soft = size.sqrt() / size.sqrt().mean((1, 2), keepdim=True)
    weight = 0.5 * (loud + soft)
    return (torch.minimum(weight[:, 1:], weight[:, :-1]) * (1.0 - error.cos())).mean()


def train_step(
    state: State, batch: Batch, progress: float, plan: Plan, autocast: bool
) -> dict[str, float]:
    """One step of all networks; `progress` 0 .. 1 sets the learning rate (a cosine after a warm-up)."""
    rate = plan.learning_rate * min(1.0, (state.step + 1) / WARM_UP)
    rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress))) + 1e-3
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
    with torch.autocast(batch.sound.device.type, torch.bfloat16, enabled=autocast):
        terms, target, made = losses(state.net, batch)
    if state.adversary is not None:
        judged = state.adversary.judge(target, made.detach())
        _descend(state.optimizers[1], state.adversary, judged)
        terms |= state.adversary.terms(target, made)
    total = torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum()
    if not torch.isfinite(total):
        raise RunError(
            f"step {state.step + 1} came to NaN or infinity; the last checkpoint is kept: lower "
            "--learning-rate and start again"
        )
    _descend(state.optimizers[0], state.net, total)
    state.step += 1
    return {"loss": float(total.detach()), **{k: float(v.detach()) for k, v in terms.items()}}


def _descend(optimizer: torch.optim.Optimizer, network: nn.Module, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


def train(
    places: Places, out: str | Path, feature: LogMel, plan: Plan, *,
    resume: bool = False, data: str | None = None, licence: str = "not stated",
    progress: Progress | None = None,
) -> Vocoder:  # fmt: skip
    """Train a vocoder for the pictures of `feature` on the recordings of corpora or folders into the
    file `out`, which holds the one that was best on held-out instruments.

    Beside it lies OUT.training, with which `resume` goes on; a training of so many steps on a CPU then
    ends in the same bits. Ctrl-C writes it first. RunError when a file is in the way, or the training
    that is to go on had other settings or other recordings.
    """
    out = Path(out)
    kept = out.with_name(out.name + ".training")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    autocast = use_bfloat16("auto", device)
    split = recordings(places, feature.sample_rate)
    settings = {"feature": contract(feature), "recordings": split.about, **asdict(plan)}
    state = State(feature, plan, device)
    if resume and kept.is_file():
        state.unpack(*_load(kept, settings))
    elif out.exists() or kept.exists():
        raise RunError(f"{out} is there already; go on with --resume, or choose another --out")
    sounds, pitch = drawn(split.valid, HEARD)
    training = {
        "command": _command(places, out, feature, plan), "seed": plan.seed,
        "data": data or split.about,
    }  # fmt: skip
    about = {
        "feature": contract(feature), "network": plan.network, "training": training,
        "licence": licence,
    }  # fmt: skip
    began, saved = time.monotonic() - state.seconds, time.monotonic()

    def keep() -> None:
        state.seconds = time.monotonic() - began
        tensors, counters = state.pack()
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, save(tensors, metadata={"training": json.dumps([settings, counters])}))

    def validate() -> None:
        told = {**training, "steps": state.step, "minutes": round(state.seconds / 60, 1)}
        vocoder = Vocoder(copy.deepcopy(state.net), {**about, "training": told})
        row = measure(feature, sounds, pitch, {"vocoder": way_back(vocoder)})[0]
        if progress:
            progress("vocoder", state.validated, VALIDATIONS, row)
        if row["mr_stft"] < state.best:
            state.best = row["mr_stft"]
            figures = {k: round(v, 3) for k, v in row.items() if k != "method"}
            vocoder.about["held_out"] = figures
            vocoder.save(out)

    with SignalStop() as stop:
        while (done := _share(state, plan, began)) < 1.0:
            batch = batch_of(split.train, feature, plan, state.step).to(device)
            found = train_step(state, batch, done, plan, autocast)
            if progress:
                whole, part = plan.steps or round(60 * (plan.minutes or 0)), state.step
                if plan.steps is None:
                    part = min(whole, round(time.monotonic() - began))
                progress("train", part, whole, found)
            share = _share(state, plan, began)
            if share * VALIDATIONS >= state.validated + 1:
                state.validated = int(share * VALIDATIONS)
                validate()
            if stop.asked or time.monotonic() - saved > CHECKPOINT_SECONDS:
                keep()
                saved = time.monotonic()
            if stop.asked:
                raise KeyboardInterrupt
    keep()
    return Vocoder.open(out)


def _command(places: Places, out: Path, feature: LogMel, plan: Plan) -> str:
    """What anybody types to train the same."""
    names = (Path(place).resolve().name for place in each_of(places))
    words = ["timbrespace vocoder train", *names, f"--out {out.name}"]
    standard = {**asdict(Plan(steps=1)), "steps": None, **LogMel(mels=128).settings()}
    chosen = {**asdict(plan), **feature.settings()}
    for name in (*PART, *asdict(plan)):
        if chosen[name] != standard[name] and chosen[name] is not None:
            flag = f"--{name.replace('_', '-')}"
            words.append(flag if chosen[name] is True else f"{flag} {chosen[name]}")
    return " ".join(words)


def _share(state: State, plan: Plan, began: float) -> float:
    """How much of the training is done, 0 .. 1."""
    if plan.steps is not None:
        return state.step / plan.steps
    assert plan.minutes is not None
    return (time.monotonic() - began) / (60.0 * plan.minutes)


def _load(path: Path, settings: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            had, counters = json.loads((file.metadata() or {})["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError):
        raise RunError(f"{path} is damaged; remove it and start again") from None
    other = sorted(k for k in settings if settings[k] != had.get(k))
    if other:
        raise RunError(
            f"{path} was trained with other settings ({', '.join(other)}); resume with the same, or "
            "choose another --out"
        )
    return tensors, counters
