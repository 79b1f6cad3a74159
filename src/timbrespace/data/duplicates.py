"""Sounds that are there more than once: copies of one file, and the same sound under other bytes.

A near copy (another level, rate, coding or word length) is found by its picture, which knows no
level. Of a picture the loudest part counts, squared: what codecs, noise and word length change lies
below. Two sounds are alike when the cosine of what is heard so is above ALIKE, and their lengths
agree. Candidates come from pictures averaged to GRID cells, where what is alike must be near.

Measured on 9,984 notes of the built-in instruments (bench/results/alike.md): of copies at -30 dB or
12 bits, through 44.1 kHz, MP3 or Vorbis 95 to 100 % are found, of those through 11 kHz or 8 bits 70
to 80 %, of those that begin 20 ms later nearly none; no two notes of different pitch are taken for
copies.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from timbrespace.data.table import Table

ALIKE = 0.998  # cosine of two pictures
QUIET = 0.4  # of a picture's range that does not count: what is 48 of 80 dB below the loudest cell
GRID = (8, 16)  # bands and times of the coarse picture
NEAR = 0.07  # distance of two coarse pictures of length 1 that are looked at more closely
DEPTH = 4  # values along a coarse cell that are averaged; more of them cost time
CELLS = (64, 64)  # of the pictures that decide
AXES = 8  # principal axes of the coarse pictures that the neighbours are searched in
NEIGHBOURS = 16  # of each sound, at most
LENGTH = (0.01, 0.06)  # lengths agree within 1 %, or the seconds that an MP3 adds
_BLOCK = 64  # pictures in memory at a time
_QUERY = 4096  # coarse pictures whose neighbours are searched at a time


@dataclass(frozen=True)
class Alike:
    """Pairs of rows (P, 2), ascending, that are near copies, and the cosines (P,) of their pictures."""

    pairs: np.ndarray
    cosines: np.ndarray


def exact(table: "Table") -> list[np.ndarray]:
    """Groups of rows with the same sound of files with the same bytes."""
    whole = table.sha256.view(np.dtype((np.void, 32))).ravel()
    content = np.unique(whole, return_inverse=True)[1].ravel()[table.file]
    order = np.lexsort((np.arange(len(table)), table.start, content))
    same = (np.diff(content[order]) == 0) & (np.diff(table.start[order]) == 0)
    groups = np.split(order, np.flatnonzero(~same) + 1) if same.any() else []
    return sorted((group for group in groups if len(group) > 1), key=lambda group: group[0])


def thin(values: Any, rows: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """Pictures (n, bands, times) float32 of some rows, 0 to 1: every k-th mel and frame, so that at
    least `cells` are left where there are as many.

    values: pictures -1 to 1 that index as an array.
    """
    steps = [max(1, size // most) for size, most in zip(values.shape[1:], cells, strict=True)]
    some = values[rows][:, :: steps[0], :: steps[1]].astype(np.float32)
    some += 1.0
    some *= 0.5
    return some


def coarse(
    values: Any, grid: tuple[int, int], rows: np.ndarray, depth: int | None = None
) -> np.ndarray:
    """Pictures (n, bands, times) float32 of some rows, 0 to 1, averaged to at most grid cells.

    A cell is the mean of depth x depth of its values, or of all; a block of pictures is in memory at
    a time.
    """
    cells = values.shape[1:] if depth is None else (grid[0] * depth, grid[1] * depth)
    starts = range(0, len(rows), _BLOCK)
    return np.concatenate([_pool(thin(values, rows[s : s + _BLOCK], cells), grid) for s in starts])


def _pool(block: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Means of a block (n, bands, times) in at most grid cells of nearly equal size."""
    for axis, most in ((2, grid[1]), (1, grid[0])):
        size = block.shape[axis]
        edges = np.arange(min(size, most)) * size // min(size, most)
        widths = np.diff(np.append(edges, size)).astype(np.float32)
        sums = np.add.reduceat(block, edges, axis=axis)
        block = sums / (widths if axis == 2 else widths[:, None])
    return block


def heard(values: Any, rows: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """Like `thin`, with the quiet part at 0 and what is above it squared, 0 to 1."""
    loud = np.maximum(thin(values, rows, cells) - QUIET, 0.0)
    loud *= 1.0 / (1.0 - QUIET)
    return np.square(loud, out=loud)


def alike(values: Any, seconds: np.ndarray, skip: np.ndarray) -> Alike:
    """Near copies among pictures (N, mels, frames) of sounds that last `seconds` (N,).

    skip (N,): not looked at: silence, and all but one of exact copies. Of each sound at most
    NEIGHBOURS are compared, so that time and memory stay linear.
    """
    asked = np.flatnonzero(~skip)
    none = Alike(np.zeros((0, 2), np.int64), np.zeros(0))
    if len(asked) < 2:
        return none
    asked, small = _coarse_heard(values, asked)
    if len(asked) < 2:
        return none
    pairs = _near(small)
    pairs = asked[pairs]
    gap = np.abs(seconds[pairs[:, 0]] - seconds[pairs[:, 1]])
    pairs = pairs[gap <= np.maximum(LENGTH[0] * seconds[pairs].max(1, initial=0.0), LENGTH[1])]
    cosines = np.zeros(len(pairs))
    for start in range(0, len(pairs), _BLOCK):
        some = pairs[start : start + _BLOCK]
        x, y = (heard(values, some[:, k], CELLS) for k in (0, 1))
        top, one_, other_ = (np.einsum("nmf,nmf->n", a, b) for a, b in ((x, y), (x, x), (y, y)))
        cosines[start : start + _BLOCK] = top / np.sqrt(one_ * other_)
    good = cosines >= ALIKE
    return Alike(pairs[good], cosines[good])


def _coarse_heard(values: Any, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coarse pictures (n, bands * times) float16 of length 1 of the rows asked for, and these rows
    without those of which nothing is heard."""
    cells = (GRID[0] * DEPTH, GRID[1] * DEPTH)
    found = np.zeros((len(asked), 0), np.float16)
    for start in range(0, len(asked), _BLOCK):
        block = slice(start, start + _BLOCK)
        small = _pool(heard(values, asked[block], cells), GRID)
        small = small.reshape(len(small), -1)
        if not found.size:  # small pictures have fewer cells than GRID
            found = np.zeros((len(asked), small.shape[1]), np.float16)
        length = np.linalg.norm(small, axis=1, keepdims=True)
        found[block] = small / np.where(length > 0, length, 1.0)
    loud = found.any(1)
    return (asked, found) if loud.all() else (asked[loud], found[loud])


def _near(small: np.ndarray) -> np.ndarray:
    """Pairs (P, 2), ascending and distinct, of pictures (n, D) of length 1 that are NEAR."""
    from scipy.spatial import KDTree

    # A distance along any axes is never above the whole distance: nothing near is lost.
    some = small[:: 1 + len(small) // 10_000].astype(np.float32)
    _, vectors = np.linalg.eigh(np.cov(some.T, dtype=np.float64))
    axes = vectors[:, ::-1][:, :AXES].astype(np.float32)
    blocks = [slice(at, at + _QUERY) for at in range(0, len(small), _QUERY)]
    places = np.concatenate([small[block].astype(np.float32) @ axes for block in blocks])
    tree, found = KDTree(places), []
    count = min(NEIGHBOURS + 1, len(small))
    for block in blocks:
        near = np.asarray(tree.query(places[block], k=count, distance_upper_bound=NEAR)[1])
        one = np.repeat(np.arange(block.start, block.start + len(near)), count)
        other = near.reshape(-1)
        real = (other < len(small)) & (one != other)
        pairs = np.unique(np.sort(np.stack([one[real], other[real]], 1), axis=1), axis=0)
        for at in range(0, len(pairs), _QUERY):
            two = small[pairs[at : at + _QUERY]].astype(np.float32)
            found.append(
                pairs[at : at + _QUERY][np.linalg.norm(two[:, 0] - two[:, 1], axis=1) <= NEAR]
            )
    return np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 2), np.int64)


def groups(pairs: np.ndarray, count: int) -> np.ndarray:
    """For each of `count` rows the number of its group; rows that pairs (P, 2) join share one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), np.int8)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]
