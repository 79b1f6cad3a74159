"""Geometry of a latent table: projections and their inverse, neighbours, paths; sounds without a place."""

import math
import shutil
import sys
import time

import numpy as np
import pytest

from timbrespace.errors import MissingExtra, RunError, TimbrespaceError
from timbrespace.geometry.neighbours import FAR, far, interpolate, nearest, spacing
from timbrespace.geometry.paths import KINDS, follow, grid, lerp, path, slerp
from timbrespace.geometry.project import Pca, umap_map
from timbrespace.mapping import Space, build_space
from timbrespace.runs import Run


def decaying(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    spectrum = 10.0 * 0.8 ** np.arange(columns)
    turn = np.linalg.qr(rng.standard_normal((columns, columns)))[0]
    return ((rng.standard_normal((rows, columns)) * spectrum) @ turn + 3.0).astype(np.float32)


# --- projections ---


def test_pca_finds_the_plane_that_made_the_points():
    rng = np.random.default_rng(1)
    plane = np.linalg.qr(rng.standard_normal((7, 2)))[0].T
    points = rng.standard_normal((50, 2)) * [5.0, 2.0] @ plane + 4.0
    pca = Pca.fit(points, 2)
    assert np.allclose(pca.inverse(pca.transform(points)), points, atol=1e-4)
    assert np.allclose(pca.components @ pca.components.T, np.eye(2), atol=1e-5)
    assert pca.variances.sum() == pytest.approx(pca.total_variance, rel=1e-5)


def test_pca_error_is_the_variance_left_out():
    points = decaying(200, 12)
    pca = Pca.fit(points, 4)
    error = np.square(pca.inverse(pca.transform(points)) - points).sum(1).mean()
    assert error == pytest.approx(pca.total_variance - pca.variances.sum(), rel=1e-3)


def test_fewer_components_are_the_first_ones():
    points = decaying(100, 10)
    big, small = Pca.fit(points, 6), Pca.fit(points, 3)
    short = big.inverse(big.transform(points, 3))
    assert np.allclose(short, small.inverse(small.transform(points)), atol=1e-3)


def test_batches_of_half_precision_agree_with_the_exact_answer():
    points = decaying(400, 90).astype(np.float16)
    exact = Pca.fit(points, 8)

    def batches():
        return (points[i : i + 37] for i in range(0, len(points), 37))

    rough = Pca.fit_batches(batches, 8)
    assert np.allclose(rough.variances, exact.variances, rtol=1e-3)
    assert rough.total_variance == pytest.approx(exact.total_variance, rel=1e-3)
    for a, b in zip(rough.components, exact.components, strict=True):
        assert abs(float(a @ b)) > 0.999


def test_pca_gives_no_more_components_than_there_are():
    assert Pca.fit(np.eye(3), 64).components.shape == (2, 3)
    assert Pca.fit(np.ones((1, 5)), 2).transform(np.ones((1, 5))).tolist() == [[0.0]]


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros(4), np.full((3, 3), np.nan)])
def test_pca_refuses_what_is_no_table(bad):
    with pytest.raises(TimbrespaceError):
        Pca.fit(bad, 2)


def test_umap_of_a_handful_is_their_pca():
    points = decaying(5, 4)
    assert np.array_equal(umap_map(points), Pca.fit(points, 2).transform(points))
    assert umap_map(points[:1]).tolist() == [[0.0, 0.0]]


def test_without_umap_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtra, match=r"pip install"):
        umap_map(np.zeros((9, 4)))


# --- neighbours ---


def test_nearest_agrees_with_looking_at_all_distances():
    rng = np.random.default_rng(2)
    points, queries = rng.standard_normal((301, 5)) + 100.0, rng.standard_normal((17, 5)) + 100.0
    distances, indices = nearest(points, queries, 9)
    full = np.linalg.norm(points[None] - queries[:, None], axis=2)
    assert np.array_equal(indices, np.argsort(full, 1)[:, :9])
    assert np.allclose(distances, np.sort(full, 1)[:, :9])


def test_a_sound_is_its_own_nearest_neighbour():
    points = np.random.default_rng(3).standard_normal((40, 3))
    distances, indices = nearest(points, points, 100)
    assert distances.shape == (40, 40)
    assert indices[:, 0].tolist() == list(range(40)) and not distances[:, 0].any()


def test_nearest_refuses_tables_from_different_spaces():
    with pytest.raises(TimbrespaceError, match="different spaces"):
        nearest(np.zeros((3, 2)), np.zeros((1, 4)), 1)


def test_the_spot_of_a_sound_gives_its_own_latent():
    rng = np.random.default_rng(4)
    spots, latents = rng.standard_normal((60, 2)), rng.standard_normal((60, 8))
    assert np.allclose(interpolate(spots, latents, spots), latents, atol=1e-5)


def test_dragging_over_the_map_never_jumps():
    rng = np.random.default_rng(5)
    spots, latents = rng.standard_normal((80, 2)), rng.standard_normal((80, 4))

    def largest_step(steps: int) -> float:
        line = lerp(np.array([-2.0, -1.5]), np.array([2.0, 1.0]), np.linspace(0, 1, steps))
        out = interpolate(spots, latents, line)
        return float(np.linalg.norm(np.diff(out, axis=0), axis=1).max())

    # a continuous way has steps that shrink with the step length; a jump would stay
    assert largest_step(16_000) < 0.35 * largest_step(4_000) < 0.15


def test_between_two_sounds_lies_their_mean():
    latent = interpolate(np.array([[0.0, 0], [2, 0]]), np.array([[1.0], [5]]), [[1.0, 0]])
    assert latent[0, 0] == pytest.approx(3.0)


def test_few_sounds_and_copies_are_legal():
    copies = interpolate(np.zeros((3, 2)), np.array([[1.0], [2], [6]]), [[0.0, 0], [1.0, 1]])
    assert copies.ravel() == pytest.approx([3.0, 3.0])
    assert interpolate(np.zeros((1, 2)), [[7.0]], [[5.0, 5]])[0, 0] == 7.0


def test_far_is_small_among_the_sounds_and_large_outside():
    spots = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), -1).reshape(-1, 2)
    assert spacing(spots) == pytest.approx(1.0)
    ratio = far(spots, [[4.0, 4.0], [4.5, 4.5], [30.0, 4.0]])
    assert ratio == pytest.approx([0.0, 0.5**0.5, 21.0])
    assert ratio[1] < FAR < ratio[2]
    assert far(spots * 1000, np.array([[30_000.0, 4000.0]]))[0] == pytest.approx(21.0)


# --- paths ---


@pytest.mark.parametrize("kind", KINDS)
def test_paths_begin_and_end_at_the_sounds_and_return_the_same_way(kind):
    rng = np.random.default_rng(6)
    sounds = rng.standard_normal((40, 6)).astype(np.float32)
    a, b = sounds[:2]
    there, back = path(a, b, 7, kind, sounds), path(b, a, 7, kind, sounds)
    assert np.array_equal(there[0], a) and np.array_equal(there[-1], b)
    assert np.allclose(there, back[::-1], atol=1e-5)


def test_follow_keeps_to_where_the_sounds_lie_and_passes_evenly():
    rng = np.random.default_rng(8)
    angle = rng.uniform(0.0, np.pi, 400)
    arch = np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(0.0, 0.02, (400, 2))
    way = follow(np.array([1.0, 0.0]), np.array([-1.0, 0.0]), np.linspace(0, 1, 33), arch)
    assert np.linalg.norm(way, axis=1).min() > 0.85  # of the line: 0, in its middle
    steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
    assert steps.max() < 1.3 * steps.min() and steps.sum() == pytest.approx(np.pi, rel=0.1)


def test_follow_is_the_line_where_no_sound_lies_between():
    a, b, t = np.array([0.0, 0.0]), np.array([1.0, 0.0]), np.linspace(0, 1, 5)
    assert np.allclose(follow(a, b, t, np.array([[9.0, 9.0], [-9.0, 5.0]])), lerp(a, b, t))
    assert np.allclose(follow(a, b, t, np.empty((0, 2))), lerp(a, b, t))
    assert np.array_equal(follow(a, a, t, np.zeros((3, 2))), np.zeros((5, 2)))


def test_follow_answers_while_a_slider_moves():
    sounds = np.random.default_rng(9).standard_normal((8_000, 64))
    times = []
    for _ in range(5):
        began = time.process_time()
        follow(sounds[0], sounds[1], np.array([0.5]), sounds)
        times.append(time.process_time() - began)
    assert min(times) < 0.05


def test_follow_says_what_it_needs():
    with pytest.raises(TimbrespaceError, match="needs the latents of the sounds"):
        path(np.zeros(2), np.ones(2), 3, "follow")
    with pytest.raises(TimbrespaceError, match=r"\(N, 2\), got shape \(4, 3\)"):
        path(np.zeros(2), np.ones(2), 3, "follow", np.zeros((4, 3)))
    with pytest.raises(TimbrespaceError, match="finite"):
        path(np.zeros(2), np.ones(2), 3, "follow", np.full((4, 2), np.nan))


def test_the_arc_keeps_the_distance_from_the_centre_and_turns_evenly():
    a, b = np.array([3.0, 0.0, 0.0]), np.array([0.0, 3.0, 0.0])
    way = slerp(a, b, np.linspace(0, 1, 10))
    assert np.allclose(np.linalg.norm(way, axis=1), 3.0)
    assert np.allclose(np.degrees(np.arctan2(way[:, 1], way[:, 0])), np.linspace(0, 90, 10))
    assert np.linalg.norm(lerp(a, b, 0.5)) == pytest.approx(3.0 / 2**0.5)  # the line cuts inside


def test_the_arc_is_the_line_where_there_is_no_arc():
    a, t = np.array([1.0, 2.0]), np.linspace(0, 1, 5)
    for b in (np.zeros(2), 3 * a, -a):
        assert np.allclose(slerp(a, b, t), lerp(a, b, t))


def test_a_square_has_its_corners():
    corners = np.random.default_rng(7).standard_normal((4, 3)).astype(np.float32)
    square = grid(corners, 3, 5)
    assert square.shape == (3, 5, 3)
    assert np.allclose([square[0, 0], square[0, -1], square[-1, 0], square[-1, -1]], corners)
    assert np.allclose(square[1, 2], corners.mean(0), atol=1e-6)


def test_paths_refuse_one_step_and_unknown_kinds():
    with pytest.raises(TimbrespaceError, match="at least 2"):
        path(np.zeros(2), np.ones(2), 1)
    with pytest.raises(TimbrespaceError, match="lerp, slerp"):
        path(np.zeros(2), np.ones(2), 3, "spline")


# --- sounds without a place ---


def unsure(run: Run, lost: list[int]) -> Run:
    """The run with a model that gives no numbers for these rows of its corpus."""
    model, row = run.model, 0
    encode = model.encode

    def encode_but(x, labels):
        nonlocal row
        found = encode(x, labels)
        for place in range(len(x)):
            if row + place in lost:
                found.mean[place, 0] = math.nan
        row += len(x)
        return found

    model.encode = encode_but
    run.model = model
    return run


def test_sounds_whose_latents_are_no_numbers_have_no_place_in_the_space(tiny_run, tmp_path, caplog):
    path = shutil.copytree(tiny_run, tmp_path / "run")
    whole = Space.open(Run.open(path))
    build_space(unsure(Run.open(path), [0, 5]), umap=False)
    assert "2 sounds whose latents are not finite are left out" in caplog.text
    made = Space.open(Run.open(path))
    kept = [row for row in whole.rows.tolist() if row not in (0, 5)]
    assert made.rows.tolist() == kept and np.array_equal(made.mean, whole.mean[kept])
    assert np.array_equal(made.logvar, whole.logvar[kept])
    assert np.array_equal(made.rms_db, whole.rms_db[kept])
    assert np.isfinite(made.maps["pca"]).all() and len(made.maps["pca"]) == len(kept)
    assert made.split == [whole.split[row] for row in kept]
    assert made.labels["pitch"] == [whole.labels["pitch"][row] for row in kept]
    with pytest.raises(RunError, match="not finite; the training has diverged"):
        build_space(unsure(Run.open(path), list(range(len(whole.rows)))), umap=False)
