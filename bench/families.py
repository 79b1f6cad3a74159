"""Training speed of a family of models beside the same family in pythae, in one run.

    pip install --no-deps pythae==0.1.2
    python bench/families.py CORPUS --family gaussian --steps 60 --rounds 3

gaussian         the default's networks; pythae's BetaVAE at the same beta (at 1 it is its VAE)
gaussian-conv2d  the same with the reports' networks on their pictures of 80 x 128
vq               the default's networks with codes, one codebook for all positions; pythae's VQVAE

Its HVAE is Hamiltonian; a hierarchy of levels, residual or finite scalar codes it has not.

Both have the same networks with the same weights at the start, take the same batches from memory and
make as many steps at the same learning rate. pythae's own model is trained as its trainer does, float32,
Adam, one step after the other; its data loader is left out, which favours it. Ours is the recipe's step.
Beside the speed stand rate and distortion of validation sounds, z sampled, and of codes how many are used.
Writes bench/results/families.md, two lines a family: lines of other families are kept.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import result
import torch
from torch import Tensor

from timbrespace.batches import Pictures, order
from timbrespace.data.corpus import Corpus
from timbrespace.features.catalogue import feature_of
from timbrespace.machine import use_bfloat16
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe import Recipe, load
from timbrespace.recipe.feature import WaveformSection
from timbrespace.training.state import State
from timbrespace.training.step import train_step

CPU = torch.device("cpu")
# pythae knows neither conditions nor weights of cells; what is compared is the family alone
PLAIN = (
    "model.condition.labels=[]", "objective.loud=0",
    "train.augment.layer=0", "train.augment.tilt_db=0", "train.schedule=constant",
    "train.warmup_steps=0", "train.weight_decay=0",
    "train.precision=auto",
)  # fmt: skip
BETA = (
    "objective.reconstruction=gaussian_nll", "objective.beta=4", "objective.bits_per_sound=null",
    "objective.free_bits=0", "objective.warmup_steps=0",
)  # fmt: skip
HEADINGS = (
    "family", "library", "bits per sound", "sounds per second", "times pythae", "valid dB",
    "codes used",
)  # fmt: skip


@dataclass(frozen=True)
class Decoded:
    """What a model makes of a batch: pictures, nats per sound, and codes where it has any."""

    x: Tensor
    nats: float
    codes: Tensor | None = None


@dataclass(frozen=True)
class Family:
    """A recipe with settings, pythae's model of it, and what each makes of validation sounds."""

    recipe: str
    settings: tuple[str, ...]
    theirs: Callable[[Recipe], Any]
    decoded: Callable[[Any, Tensor], Decoded]


def networks_of(recipe: str) -> tuple[str, ...]:
    """Settings that give any recipe the encoder and decoder of this one: no linear start, which
    pythae has not, and no decoder that is told a condition."""
    model = load(recipe, settings=("model.decoder.film=false",)).model
    return tuple(
        f"model.{name}={json.dumps(getattr(model, name).model_dump())}"
        for name in ("encoder", "decoder")
    )


def ours_decoded(model: Autoencoder, x: Tensor) -> Decoded:
    latent = model.encode(x)
    z = latent.sample(torch.randn(latent.mean.shape))
    return Decoded(model.decode(z), float(latent.nats(z).sum(1).mean()), latent.codes)


def network(recipe: Recipe) -> Autoencoder:
    """Ours, as it is before the first step, in the memory layout that pythae takes."""
    return State.fresh(recipe, CPU).model.to(memory_format=torch.contiguous_format)  # pyright: ignore


def shape(recipe: Recipe) -> tuple[int, int, int]:
    return 1, *feature_of(recipe.feature.model_dump()).shape


def gaussian(recipe: Recipe) -> Any:
    """pythae's BetaVAE with the networks of a recipe."""
    from pythae.models import BetaVAE, BetaVAEConfig  # pyright: ignore
    from pythae.models.base.base_utils import ModelOutput  # pyright: ignore
    from pythae.models.nn import BaseDecoder, BaseEncoder  # pyright: ignore

    class Encoder(BaseEncoder):
        def __init__(self, model: Autoencoder) -> None:
            super().__init__()
            self.part: Any = model.encoder

        def forward(self, x: Tensor):
            latent = self.part(x, {})
            return ModelOutput(embedding=latent.mean, log_covariance=latent.logvar)

    class Decoder(BaseDecoder):
        def __init__(self, model: Autoencoder) -> None:
            super().__init__()
            self.part = model.decoder

        def forward(self, z: Tensor):
            return ModelOutput(reconstruction=self.part(z, {}))

    model = network(recipe)
    config = BetaVAEConfig(
        input_dim=shape(recipe), latent_dim=model.latent, beta=recipe.objective.beta
    )
    return BetaVAE(config, Encoder(model), Decoder(model))


def gaussian_decoded(model: Any, x: Tensor) -> Decoded:
    out = model({"data": x})
    return Decoded(out.recon_x, float(out.reg_loss))


def vq(recipe: Recipe) -> Any:
    """pythae's VQVAE with the networks of a recipe; its codebook is one for all positions."""
    from pythae.models import VQVAE, VQVAEConfig  # pyright: ignore
    from pythae.models.base.base_utils import ModelOutput  # pyright: ignore
    from pythae.models.nn import BaseDecoder, BaseEncoder  # pyright: ignore

    bottleneck: Any = recipe.model.bottleneck

    class Encoder(BaseEncoder):
        """Our network and vectors, as pythae wants them: (B, dim, 1, positions)."""

        def __init__(self, model: Autoencoder) -> None:
            super().__init__()
            self.part: Any = model.encoder

        def forward(self, x: Tensor):
            told = self.part.conditions({}, len(x), x.device)
            vectors = self.part.bottleneck.vectors(self.part.net(x, told))
            vectors = vectors.unflatten(1, (bottleneck.positions, bottleneck.dim))
            return ModelOutput(embedding=vectors.transpose(1, 2)[:, :, None])

    class Decoder(BaseDecoder):
        def __init__(self, model: Autoencoder) -> None:
            super().__init__()
            self.part = model.decoder

        def forward(self, z: Tensor):
            return ModelOutput(reconstruction=self.part(z[:, :, 0].transpose(1, 2).flatten(1), {}))

    model = network(recipe)
    config = VQVAEConfig(
        input_dim=shape(recipe), latent_dim=bottleneck.size,
        num_embeddings=bottleneck.codebook, use_ema=True, decay=bottleneck.decay,
        commitment_loss_factor=0.25,
    )  # fmt: skip
    return VQVAE(config, Encoder(model), Decoder(model))


def vq_decoded(model: Any, x: Tensor) -> Decoded:
    out = model({"data": x})
    codes = out.quantized_indices.reshape(len(x), -1)
    return Decoded(out.recon_x, codes.shape[1] * math.log(model.model_config.num_embeddings), codes)


FAMILIES = {
    "gaussian": Family(
        "instruments-conv", ("model.decoder.film=false", *BETA), gaussian, gaussian_decoded
    ),
    "gaussian-conv2d": Family("nsynth-baseline", BETA, gaussian, gaussian_decoded),
    "vq": Family(
        "vq", ("model.bottleneck.shared=true", *networks_of("instruments-conv")), vq, vq_decoded
    ),
}


@torch.no_grad()
def measured(
    decoded: Callable[[Tensor], Decoded], valid: Pictures, db_per_unit: float
) -> tuple[float, float, str]:
    """Bits per sound and dB RMSE of the validation sounds, and the codes that they choose."""
    squared, nats, codes = 0.0, 0.0, []
    for x, _ in valid.in_order(128, CPU):
        found = decoded(x)
        squared += float((found.x.float() - x).square().mean((1, 2, 3)).sum())
        nats += found.nats * len(x)
        if found.codes is not None:
            codes.append(found.codes.numpy().ravel())
    used = str(len(np.unique(np.concatenate(codes)))) if codes else "none"
    count = len(valid)
    return nats / count / math.log(2.0), (squared / count) ** 0.5 * db_per_unit, used


def rows(name: str, corpus: Corpus, *, steps: int, rounds: int) -> list[list[str]]:
    """Train both, `rounds` times `steps` steps in turns, and say what came of it."""
    family = FAMILIES[name]
    recipe = load(family.recipe, settings=(*PLAIN, *family.settings))
    store = corpus.features(feature_of(recipe.feature.model_dump()))
    pictures, valid = (
        Pictures.of(corpus, store, corpus.split_rows(split), Vocabulary())
        for split in ("train", "valid")
    )
    ours, theirs = State.fresh(recipe, CPU), family.theirs(recipe)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=recipe.train.learning_rate)
    autocast, batch, total = (
        use_bfloat16(recipe.train.precision, CPU),
        recipe.train.batch,
        steps * rounds,
    )
    epochs = math.ceil(total * batch / len(pictures))
    positions = torch.cat([order(0, epoch, len(pictures)) for epoch in range(epochs)])

    def our_step(x: Tensor, labels: dict[str, Tensor]) -> None:
        train_step(ours, recipe, x, labels, steps=total, autocast=autocast)

    def their_step(x: Tensor, labels: dict[str, Tensor]) -> None:
        loss = theirs({"data": x}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    speeds: dict[str, list[float]] = {"pythae": [], "ours": []}
    for start in range(0, total, steps):
        for library, step in (("pythae", their_step), ("ours", our_step)):
            began = time.perf_counter()
            for here in positions.split(batch)[start : start + steps]:
                step(*pictures.batch(here, CPU))
            speeds[library].append(steps * batch / (time.perf_counter() - began))
    base = median(speeds["pythae"])
    model, feature = ours.model.eval(), recipe.feature
    assert not isinstance(feature, WaveformSection)
    theirs.eval()
    decoded = {
        "pythae": lambda x: family.decoded(theirs, x), "ours": lambda x: ours_decoded(model, x)
    }  # fmt: skip
    found = []
    for library, decode in decoded.items():
        bits, db, used = measured(decode, valid, -feature.floor_db / 2.0)
        speed = median(speeds[library])
        found.append([
            name, library, f"{bits:.1f}", f"{speed:.0f}", f"{speed / base:.2f}", f"{db:.2f}", used,
        ])  # fmt: skip
    return found


def main() -> None:
    parser = result.options(__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--steps", type=int, default=60, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=result.FOLDER / "families.md")
    given = parser.parse_args()
    busy = result.busy()
    new = rows(given.family, Corpus.open(given.corpus), steps=given.steps, rounds=given.rounds)
    others = FAMILIES.keys() - {given.family}
    old = given.out.read_text(encoding="utf-8").splitlines() if given.out.is_file() else []
    kept = [line[2:-2].split(" | ") for line in old if line.startswith("| ")]
    kept = [cells for cells in kept if cells[0] in others]
    command = f"python bench/families.py CORPUS --family {given.family} --steps {given.steps}"
    result.write(
        given.out, "Families beside pythae",
        result.made_by(
            f"{command} --rounds {given.rounds}", f"{torch.get_num_threads()} threads", load=busy
        ),
        result.table(HEADINGS, [*kept, *new]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
