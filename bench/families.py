"""Training speed of a family of models beside the same family in pythae, in one run.

    pip install --no-deps pythae==0.1.2
    python bench/families.py CORPUS --family vq --steps 60 --rounds 3

Both have the same networks, take the same batches from memory and make as many steps at the same
learning rate and rate in bits. pythae's own model is trained as its trainer does, float32, Adam, one
step after the other; its data loader is left out, which favours it. Ours is the recipe's step. Beside
the speed stand the distortion on validation sounds and, of codes, how many of them are used. Writes
bench/results/families.md, one line a family: lines of other families are kept.
"""

import argparse
import datetime
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from timbrespace.batches import Pictures, order
from timbrespace.data.corpus import Corpus
from timbrespace.features.catalogue import feature_of
from timbrespace.machine import use_bfloat16
from timbrespace.models.autoencoder import Autoencoder
from timbrespace.models.vocabulary import Vocabulary
from timbrespace.recipe import Recipe, load
from timbrespace.training.state import State
from timbrespace.training.step import train_step

CPU = torch.device("cpu")
# pythae knows neither conditions nor weights of cells; what is compared is the family alone
PLAIN = (
    "model.condition.labels=[]", "model.decoder.film=false", "objective.loud=0",
    "train.augment.layer=0", "train.augment.tilt_db=0", "train.schedule=constant",
)  # fmt: skip
HEADINGS = (
    "family", "library", "bits per sound", "sounds per second", "times pythae", "valid dB",
    "codes used",
)  # fmt: skip
Decode = Callable[[Tensor], tuple[Tensor, Tensor]]


class TheirEncoder(nn.Module):
    """Our encoder's network and vectors, as pythae wants them: (B, dim, 1, positions)."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.part, neck = model.encoder, model.encoder.bottleneck
        self.shape = (neck.codebooks.positions, neck.dim)

    def forward(self, x: Tensor):
        from pythae.models.base.base_utils import ModelOutput  # pyright: ignore

        told = self.part.conditions({}, len(x), x.device)
        vectors = self.part.bottleneck.vectors(self.part.net(x, told))
        return ModelOutput(embedding=vectors.unflatten(1, self.shape).transpose(1, 2)[:, :, None])


class TheirDecoder(nn.Module):
    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.part = model.decoder

    def forward(self, z: Tensor):
        from pythae.models.base.base_utils import ModelOutput  # pyright: ignore

        return ModelOutput(reconstruction=self.part(z[:, :, 0].transpose(1, 2).flatten(1), {}))


def vq(recipe: Recipe) -> nn.Module:
    """pythae's VQVAE with the networks of a recipe; its codebook is one for all positions."""
    from pythae.models import VQVAE, VQVAEConfig  # pyright: ignore
    from pythae.models.nn import BaseDecoder, BaseEncoder  # pyright: ignore

    class Encoder(TheirEncoder, BaseEncoder): ...

    class Decoder(TheirDecoder, BaseDecoder): ...

    model = State.fresh(recipe, CPU).model.to(memory_format=torch.contiguous_format)
    bottleneck = recipe.model.bottleneck
    config = VQVAEConfig(
        input_dim=(1, recipe.feature.mels, recipe.feature.frames), latent_dim=bottleneck.size,
        num_embeddings=bottleneck.codebook, use_ema=True, decay=bottleneck.decay,
        commitment_loss_factor=0.25,
    )  # fmt: skip
    return VQVAE(config, Encoder(model), Decoder(model))


FAMILIES = {"vq": ("vq", ("model.bottleneck.shared=true",), vq)}


def ours_decoded(state: State) -> Decode:
    def decode(x: Tensor) -> tuple[Tensor, Tensor]:
        latent = state.model.eval().encode(x)
        assert latent.codes is not None
        return state.model.decode(latent.mean), latent.codes[:, :, 0]

    return decode


def theirs_decoded(model: nn.Module) -> Decode:
    def decode(x: Tensor) -> tuple[Tensor, Tensor]:
        out = model.eval()({"data": x})
        return out.recon_x, out.quantized_indices.reshape(len(x), -1)

    return decode


@torch.no_grad()
def measured(decode: Decode, valid: Pictures, floor_db: float) -> tuple[float, int]:
    """dB RMSE on the validation sounds, and how many codes they choose."""
    squared, codes = 0.0, []
    for x, _ in valid.in_order(128, CPU):
        made, chosen = decode(x)
        squared += float((made.float() - x).square().mean((1, 2, 3)).sum())
        codes.append(chosen.numpy())
    return (squared / len(valid)) ** 0.5 * -floor_db / 2.0, len(np.unique(np.concatenate(codes)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--steps", type=int, default=60, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/families.md")
    given = parser.parse_args()
    name, settings, make = FAMILIES[given.family]
    recipe = load(name, settings=(*PLAIN, *settings))
    corpus = Corpus.open(given.corpus)
    feature = feature_of(recipe.feature.model_dump())
    store = corpus.features(feature)
    ours = State.fresh(recipe, CPU)
    pictures, valid = (
        Pictures.of(corpus, store, corpus.split_rows(split), Vocabulary())
        for split in ("train", "valid")
    )
    theirs = make(recipe)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=recipe.train.learning_rate)
    autocast, batch = use_bfloat16(recipe.train.precision, CPU), recipe.train.batch
    positions = torch.cat([order(0, epoch, len(pictures)) for epoch in range(60)])
    total, done = given.steps * given.rounds, {"ours": 0, "pythae": 0}

    def one_step(library: str) -> None:
        here = positions[done[library] * batch : (done[library] + 1) * batch]
        x, labels = pictures.batch(here, CPU)
        if library == "ours":
            train_step(ours, recipe, x, labels, steps=total, autocast=autocast)
        else:
            loss = theirs({"data": x}).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        done[library] += 1

    speeds: dict[str, list[float]] = {"ours": [], "pythae": []}
    for _ in range(given.rounds):
        for library, found in speeds.items():
            theirs.train()
            began = time.perf_counter()
            for _ in range(given.steps):
                one_step(library)
            found.append(given.steps * batch / (time.perf_counter() - began))
    bits = recipe.model.bottleneck.codebooks.nats / np.log(2.0)
    base = median(speeds["pythae"])
    lines = []
    for library, decode in (("pythae", theirs_decoded(theirs)), ("ours", ours_decoded(ours))):
        db, used = measured(decode, valid, -80.0)
        speed = median(speeds[library])
        lines.append(
            f"| {given.family} | {library} | {bits:.1f} | {speed:.0f} | {speed / base:.2f} | "
            f"{db:.2f} | {used} of {recipe.model.bottleneck.codebook} |"
        )
    old = given.out.read_text(encoding="utf-8").splitlines() if given.out.is_file() else []
    kept = [line for line in old if line.startswith("| ") and line.split(" ")[1] in FAMILIES]
    lines = [line for line in kept if line.split(" ")[1] != given.family] + lines
    text = "\n".join([
        "# Families beside pythae", "",
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}; `python bench/families.py "
        f"CORPUS --family {given.family} --steps {given.steps} --rounds {given.rounds}`.", "",
        "| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|", *lines, "",
    ])  # fmt: skip
    given.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
