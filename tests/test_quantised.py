"""Quantised bottlenecks against what codes must do, and how a training with them is measured."""

import json
import math
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY
from safetensors.torch import load_file

from timbrespace import verbs
from timbrespace.errors import RecipeError, RunError
from timbrespace.evaluation import report
from timbrespace.evaluation.generation import code_costs
from timbrespace.evaluation.verdict import judge
from timbrespace.mapping import Space
from timbrespace.models.codes import Codebooks
from timbrespace.models.quantised import FiniteScalarQuantised, VectorQuantised
from timbrespace.priors.densities import CodeDensity
from timbrespace.priors.prior import Prior, kinds_of
from timbrespace.recipe import load, parse

KINDS = {
    "one each": lambda: VectorQuantised(6, positions=3, dim=4, codebook=8),
    "residual": lambda: VectorQuantised(6, positions=3, dim=4, codebook=8, levels=2, shared=True),
    "gradient": lambda: VectorQuantised(6, positions=3, dim=4, codebook=8, learn="gradient"),
    "fsq": lambda: FiniteScalarQuantised(6, positions=3, steps=(5, 4)),
}


CORNERS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])


def place(neck, codes=None):
    """Quantise the hidden numbers as they are, with one codebook that starts at `codes`."""
    neck.norm = torch.nn.Identity()
    torch.nn.init.eye_(neck.vectors.weight)
    torch.nn.init.zeros_(neck.vectors.bias)
    if codes is not None:
        neck.books[0].codebook = codes
        neck.books[0]._codebook.embed_avg.copy_(codes[None])


@pytest.mark.parametrize("kind", KINDS)
def test_codes_say_all_that_the_decoder_gets_and_cost_their_logarithm(kind):
    torch.manual_seed(0)
    neck = KINDS[kind]()
    h = torch.randn(64, 6)
    neck.train()(h)
    latent = neck.eval()(h)
    assert latent.codes is not None and latent.codes.shape == (64, 3, neck.codebooks.levels)
    assert torch.equal(neck.from_codes(latent.codes), latent.mean)
    assert torch.equal(latent.sample(torch.randn(latent.mean.shape)), latent.mean)
    assert 1 < latent.mean.unique(dim=0).shape[0] <= neck.codebooks.size ** (3 * 2)
    nats = latent.nats(latent.mean).sum(1)
    torch.testing.assert_close(nats, torch.full((64,), neck.codebooks.nats))
    between = 0.5 * (latent.mean[:1] + latent.mean[1:2])  # any point can be decoded, or snapped
    vectors = neck.snap(between).unflatten(1, (3, neck.dim))
    known = latent.mean.unflatten(1, (3, neck.dim))
    if neck.codebooks.levels == 1:
        torch.testing.assert_close(neck.snap(latent.mean), latent.mean)
        nearest = (between.unflatten(1, (3, neck.dim)) - known).norm(dim=2).amin(0)
        assert ((between.unflatten(1, (3, neck.dim)) - vectors).norm(dim=2) <= nearest + 1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_decoder_wants_of_the_codes_reaches_the_encoder(kind):
    torch.manual_seed(0)
    neck = KINDS[kind]().train()
    neck.norm = torch.nn.Identity()
    h = torch.randn(64, 6)
    neck(h)
    wanted = torch.randn(64, neck.latent)
    (neck(h).mean * wanted).sum().backward()
    through = torch.einsum("bz,bh->zh", wanted, h)
    if kind == "fsq":  # a bounded number pushes less near its bound
        assert neck.vectors.weight.grad.abs().sum() > 0
    else:
        torch.testing.assert_close(neck.vectors.weight.grad, through)


def test_a_level_more_leaves_less_of_what_is_missed():
    torch.manual_seed(0)
    missed = []
    for levels in (1, 2, 3):
        neck = VectorQuantised(8, positions=2, dim=4, codebook=16, levels=levels, shared=True)
        for _ in range(60):
            h = torch.randn(256, 8)
            terms = neck.train()(h).terms
        x = neck.norm(neck.vectors(h)).detach()
        missed.append((neck.eval()(h).mean - x).square().sum(1).mean().item())
        assert terms["commitment"].item() > 0
    assert missed[1] < 0.6 * missed[0] and missed[2] < 0.6 * missed[1]


def test_dead_codes_are_revived_where_the_sounds_are():
    """Four clusters, four codes of which three start far away: only revival can find them all."""
    torch.manual_seed(0)
    centres = CORNERS + 20.0
    used = {}
    for revive in (0.0, 0.1):
        neck = VectorQuantised(
            2, positions=1, dim=2, codebook=4, kmeans=False, decay=0.8, revive=revive
        )
        far = torch.tensor([[20.0, 20.0], [99.0, 99.0], [99.0, -99.0], [-99.0, 99.0]])
        place(neck, far)
        for _ in range(80):
            x = centres[torch.randint(4, (64,))] + 0.05 * torch.randn(64, 2)
            latent = neck.train()(x)
        counts = neck.codebooks.counts(latent.codes.numpy())
        used[revive] = neck.codebooks.use(counts)[0].used
    assert used[0.0] <= 2 and used[0.1] == 4


def test_diversity_is_nothing_when_codes_are_chosen_evenly_and_all_when_one_takes_all():
    neck = VectorQuantised(2, positions=1, dim=2, codebook=4, kmeans=False)
    place(neck, CORNERS)
    even, alone = CORNERS.repeat(8, 1) * 1.01, CORNERS[:1].repeat(32, 1) * 1.01
    found = [neck.train()(x).terms["diversity"].item() for x in (even, alone)]
    assert found[0] == pytest.approx(0.0, abs=1e-3)
    assert found[1] == pytest.approx(math.log(4), abs=1e-3)


def test_scaled_commitment_does_not_care_how_large_the_space_is_and_fixed_does():
    terms = {}
    for way in ("fixed", "scaled"):
        for size in (1.0, 10.0):
            torch.manual_seed(0)
            neck = VectorQuantised(4, positions=2, dim=2, codebook=8, commitment=way)
            place(neck)
            for _ in range(30):
                found = neck.train()(torch.randn(256, 4) * size).terms["commitment"]
            terms[way, size] = found.item()
    assert terms["fixed", 10.0] == pytest.approx(100.0 * terms["fixed", 1.0], rel=0.02)
    assert terms["scaled", 10.0] == pytest.approx(terms["scaled", 1.0], rel=0.02)
    assert 0.0 < terms["scaled", 1.0] < 4.0  # a share of the variance times four numbers


def test_use_is_counted_over_all_sounds_and_costs_are_those_of_their_frequencies():
    rng = np.random.default_rng(0)
    books = Codebooks(8, positions=2, levels=2)
    codes = rng.integers(0, 8, (4000, 2, 2))
    codes[:, 0, 1] = 3  # the first position's second code is always the same
    counts = books.counts(codes)
    assert counts.sum() == codes.size and counts[1, 0, 3] == 4000
    first, second = books.use(counts)
    assert (first.codes, first.used, second.used) == (16, 16, 9)
    assert first.perplexity == pytest.approx(8.0, rel=0.01)
    assert second.perplexity == pytest.approx(math.sqrt(8.0), rel=0.01)
    assert books.costs(codes, counts).mean() == pytest.approx(3 * math.log(8), rel=0.01)
    shared = Codebooks(8, positions=2, shared=True)
    assert shared.use(shared.counts(codes[:, :, :1]))[0].codes == 8
    assert shared.expected_used(4) == pytest.approx(1.0 - (7 / 8) ** 8)


VQ = ("objective.bits_per_sound=null", "objective.free_bits=0")
SMALL = tuple(s for s in TINY if "bottleneck" not in s and "bits_per_sound" not in s) + VQ
CODES = "model.bottleneck={kind: vq, positions: 3, dim: 4, codebook: 16, levels: 2}"


@pytest.fixture(scope="module")
def whole(tiny_corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("quantised") / "run"
    return verbs.train("instruments", tiny_corpus, out, settings=(*SMALL, CODES))


def test_an_interrupted_training_goes_on_to_the_same_bits(whole, tiny_corpus, tmp_path):
    """What codes start from and where dead ones come back is drawn from (seed, step)."""
    torch.rand(7)  # somebody else's draws change nothing

    def interrupt(stage, done, total, facts):
        if stage == "train" and done == 6:
            os.kill(os.getpid(), signal.SIGINT)

    settings, out = (*SMALL, CODES), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        verbs.train("instruments", tiny_corpus, out, settings=settings, progress=interrupt)
    verbs.train("instruments", tiny_corpus, out, settings=settings, resume=True)
    one, other = (load_file(p / "weights.safetensors") for p in (whole.path, out))
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ((CODES, "objective.beta=1"), "fixed rate, here 24 bits per sound, which objective.beta"),
        ((CODES, "objective.free_bits=1"), "objective.free_bits cannot change: set it to 0"),
        ((CODES, "model.bottleneck.codebook=64"), "starts 64 codes from the first batch"),
        (("model.bottleneck={kind: fsq, steps: [64, 64, 64]}",), "262144 codes"),
        (("objective.beta=1", "objective.weights.commitment=1"), "does not make"),
        ((), "one of the two"),
    ],
)
def test_what_cannot_fit_is_refused_before_anything_is_read(settings, says):
    with pytest.raises(RecipeError) as caught:
        load("instruments", settings=(*SMALL, *settings))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_more_codes_than_training_sounds_are_refused(tiny_corpus, tmp_path):
    settings = (*SMALL, CODES, "model.bottleneck.codebook=4096", "model.bottleneck.kmeans=false")
    with pytest.raises(RunError, match="4096 codes to choose from.* only .* training sounds"):
        verbs.train("instruments", tiny_corpus, tmp_path / "run", settings=settings)


def test_commitment_has_its_usual_weight_unless_the_recipe_says():
    vq = load("instruments", settings=(*SMALL, CODES))
    assert vq.objective.weights == {"commitment": 0.25}
    assert parse(vq.to_yaml()) == vq
    learnt = (CODES, "model.bottleneck.learn=gradient", "objective.weights.commitment=0")
    weights = load("instruments", settings=(*SMALL, *learnt)).objective.weights
    assert weights == {"commitment": 0.0, "codebook": 1.0}


def test_a_run_of_codes_is_measured_by_its_codes(whole):
    first = whole.history()[-1]
    assert first["valid_bits"] == pytest.approx(24.0) and "valid_active_units" not in first
    assert {"valid_codes_used_2", "valid_perplexity_1", "train_commitment"} <= first.keys()
    verbs.space(whole.path, umap=False)
    metrics = verbs.evaluate(whole.path)
    rate = metrics["rate"]
    assert rate["bits_per_sound"] == pytest.approx(24.0) and rate["codes"] == 2 * 3 * 16
    assert rate["codes_used"] == sum(level["codes_used"] for level in rate["codebooks"])
    assert 1 < rate["perplexity"] <= 16 and 0 < rate["codes_used"] <= rate["codes"]
    assert rate["active_units"] is None and rate["separation"] is None
    assert metrics["distortion"]["rmse_db"] == metrics["distortion"]["rmse_db_at_mean"]
    assert f"{rate['codes_used']} of 96 codes are used" in metrics["verdict"]
    assert "mu" not in metrics["structure"]["neighbours"]["instrument"]  # it is z
    assert (
        "codes" in metrics["posterior"]["why_no_parts"] and metrics["posterior"]["mmd"] is not None
    )
    page = (whole.path / "evaluation" / "report.html").read_text()
    assert ">The codes</h2>" in page and "Bits of each dimension" not in page
    made = verbs.generate(whole.path, whole.path / "new", n=1)
    assert made.files[0].stat().st_size > 1000


def test_new_sounds_of_a_run_of_codes_are_codes(whole, tmp_path):
    """Whatever the prior: the decoder was trained at codes alone."""
    verbs.space(whole.path, umap=False)
    space = Space.open(whole)
    neck = whole.load_model(space.weights).encoder.bottleneck
    assert space.codes is not None
    kept = neck.from_codes(torch.from_numpy(space.codes)).numpy()
    np.testing.assert_allclose(kept, space.mean, atol=1e-5)
    known = neck.from_codes(all_pairs(neck.codebooks)).reshape(-1, 3, 4).numpy()
    for kind in ("mixture", "normal", "codes"):
        prior = Prior.of(whole, space, kind)
        drawn = prior.draw(32, np.random.default_rng(0), pitch=60)
        assert drawn.pitch is not None and (drawn.pitch == 60).all()
        away = np.linalg.norm(drawn.z.reshape(32, 1, 3, 4) - known, axis=3).min(1)
        assert away.max() < 1e-4
    (file,) = (whole.path / "space").glob("prior-codes-*.npz")
    written = file.stat().st_mtime_ns
    again = Prior.of(whole, space, "codes").draw(32, np.random.default_rng(0), pitch=60)
    assert file.stat().st_mtime_ns == written and np.array_equal(again.z, drawn.z)
    made = verbs.generate(whole.path, tmp_path / "new", n=2, prior="codes", pitch=60)
    assert made.pitches == [60, 60]
    Prior.of(whole, replace(space, version="other"), "codes")  # drawn after more training
    (file,) = (whole.path / "space").glob("prior-codes-*.npz")
    assert file.name == "prior-codes-other.npz"
    asked = np.flatnonzero(np.array(space.split) == "train")
    assert isinstance(prior.density, CodeDensity)
    found = code_costs(whole, space, prior.density, asked)
    assert "codes" in kinds_of(whole) and found["uniform_nats"] == pytest.approx(6 * math.log(16))
    assert found["nats"] < found["marginal_nats"] < found["uniform_nats"]
    with pytest.raises(RunError, match="without codes; draw it again with: timbrespace space"):
        Prior.of(whole, replace(space, version="old", codes=None), "codes")


def test_the_report_says_what_codes_cost_by_their_prior(whole):
    folder = whole.path / "evaluation"
    verbs.space(whole.path, umap=False)
    verbs.evaluate(whole.path, ask=["posterior"])
    page = (folder / "report.html").read_text()
    assert "<section id='new-sounds'></section>" in page and "New sounds" not in page
    found = verbs.generation(whole.path)["codes"]
    page = (folder / "report.html").read_text()
    for key in ("uniform_nats", "marginal_nats", "nats"):
        assert f"<td class='n'>{found[key]:.1f}</td>" in page
    assert page.count("New sounds") == 1 and page.rstrip().endswith("</html>")
    said = json.loads((folder / "generation.json").read_text())
    said["codes"]["nats"] = 12.3
    (folder / "generation.json").write_text(json.dumps(said))
    report.show_new_sounds(folder)
    assert (folder / "report.html").read_text() == page.replace(
        f"<td>by the prior of codes</td><td class='n'>{found['nats']:.1f}</td>",
        "<td>by the prior of codes</td><td class='n'>12.3</td>",
    )


def all_pairs(books: Codebooks) -> torch.Tensor:
    """All pairs of codes of two levels, at all positions alike (size * size, positions, 2)."""
    pairs = torch.cartesian_prod(torch.arange(books.size), torch.arange(books.size))
    return pairs[:, None].expand(-1, books.positions, -1)


def test_codes_that_say_nothing_have_collapsed_whatever_their_rate():
    rate = {"nats_per_sound": 40.0, "dimensions": 128, "codes": 512, "codes_expected": 510.0}
    sound = {"distortion": {"rmse_db": 6.0}, "floors": {"mean_sound_rmse_db": 18.0}}
    cases = {
        (8, 0.4): ("collapsed", "8 of 512 codes are used: this space has collapsed; normalise"),
        (100, 30.0): ("dead codes", "keeps 30 bits per sound of the 58 that its codes could say"),
        (500, 56.0): (None, "a healthy space"),
    }
    for (used, bits), (fault, says) in cases.items():
        found = judge(
            {**sound, "rate": {**rate, "codes_used": used, "entropy_bits_per_sound": bits}}
        )
        assert says in found.words and found.faults[:1] == ((fault,) if fault else ())
