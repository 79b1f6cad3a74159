"""Which sounds are for training, validation and test.

Sounds of one instrument stay together: family accuracy of the same features was measured at 0.75 on
a random split and at 0.31 to 0.48 when validation holds only unheard instruments (`leak` measures
it for a corpus).
"""

import difflib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from timbrespace.audio.files import printable
from timbrespace.data.sources import SPLIT_NAMES, Files, Label, Listed
from timbrespace.data.sources.table import csv_lines, path_and_split, split_said
from timbrespace.data.sources.walk import refuse_endless
from timbrespace.data.table import SPLITS
from timbrespace.errors import CorpusError

SHARES = (0.8, 0.1, 0.1)
WAYS = ("auto", "file", "random")


@dataclass(frozen=True)
class Splitting:
    """How sounds are divided.

    by: auto (the source's own split where it gives train and valid, else apart by what the source
    names as its group, such as instrument, else by file), file (copies together), random (each sound
    on its own), or the name of a label whose values are never in two splits.
    shares of train, valid and test add to 1; lists, a folder or CSV, says it file by file.
    """

    by: str = "auto"
    shares: tuple[float, float, float] = SHARES
    seed: int = 0
    lists: Path | None = None

    def __post_init__(self) -> None:
        shares = self.shares
        if len(shares) != 3 or min(shares) < 0 or not abs(sum(shares) - 1.0) < 1e-6:
            raise CorpusError(
                "split should be three shares (train, valid, test) that add to 1, such as "
                f"0.8,0.1,0.1; got {','.join(f'{share:g}' for share in shares)}"
            )
        if shares[0] <= 0:
            raise CorpusError("split leaves nothing to train on; its first share should be above 0")
        if self.lists is not None and self.by != "auto":
            raise CorpusError(
                f"split lists say where every file goes, so a split by {self.by} cannot be had too; "
                "give one of the two"
            )

    def check(self, files: Sequence[Listed]) -> None:
        """CorpusError unless `by` can divide these files; asked before they are read."""
        if self.by in WAYS:
            return
        found = {listed.labels.get(self.by) for listed in files} - {None}
        if len(found) > 1:
            return
        if found:
            raise CorpusError(
                f"all sounds have the same {self.by} ({printable(str(found.pop()))}), which leaves "
                "nothing to validate on; split by file or by another label"
            )
        names = sorted({n for f in files for n, value in f.labels.items() if value is not None})
        near = difflib.get_close_matches(self.by, [*WAYS, *names], n=1)
        raise CorpusError(
            f"there is no label {self.by!r} to split by"
            + (f"; did you mean {near[0]}?" if near else "")
            + f"; there are: {', '.join([*WAYS, *names])}"
        )


def shares_of(text: str) -> tuple[float, float, float]:
    """The shares that `0.8,0.1,0.1` says; CorpusError when they are not three numbers."""
    try:
        train, valid, test = (float(part) for part in text.split(","))
    except ValueError:
        raise CorpusError(
            f"split should be three numbers such as 0.8,0.1,0.1, got {text[:40]!r}"
        ) from None
    return train, valid, test


@dataclass(frozen=True)
class Division:
    """The split of every sound in order, what it was made `by` (source, lists, file, random or a
    label), and notes for the person who asked."""

    names: list[str]
    by: str
    notes: list[str]


def divide(
    files: Sequence[Listed], sha256: Sequence[str], counts: Sequence[int], how: Splitting,
    *, group: str | None, stratum: str | None,
) -> Division:  # fmt: skip
    """A split for every sound; file i has counts[i] of them and the content sha256[i].

    group: the label whose values `auto` keeps apart; stratum: the label that every split should
    hold its share of. What has no value of the label goes by file.
    """
    files = Files.of(files)
    given: list[Label] = files.split.tolist()
    notes: list[str] = []
    present = {name for name in given if name is not None}
    by, shares = how.by, how.shares
    if by != "auto":
        if present:
            notes.append(f"the source's own split is not used (--split-by {by})")
        given = [None] * len(given)
    elif {"train", "valid"} <= present:
        if None in given:
            notes.append(f"{given.count(None)} files without a split of their own go to train")
        given = [name or "train" for name in given]
        by = "source" if how.lists is None else "lists"
    else:
        # What was given is kept where it can be: a lone test split stays one.
        fixed = {"test"} if "train" in present and "test" in present else set()
        if present:
            notes.append(
                f"only {' and '.join(sorted(map(str, present)))} given; train and valid are split here"
            )
        given = [name if name in fixed else None for name in given]
        if fixed:
            rest = shares[0] + shares[1]
            shares = (shares[0] / rest, shares[1] / rest, 0.0)
        values = np.unique(files.label(group).codes)
        by = group if group is not None and (values >= 0).sum() > 1 else "file"
    open_ = [i for i, name in enumerate(given) if name is None]
    labels, layers = files.label(by), files.label(stratum)
    together = [_together(by, labels[i], sha256[i], i, counts[i]) for i in open_]
    lone = 0 if by in (*WAYS, "source", "lists") else sum(labels[i] is None for i in open_)
    if lone:
        notes.append(f"{lone} files have no {by} and are split by file")
    strata = [_text(layers[i]) for i in open_]
    chosen = iter(disjoint(
        [key for keys in together for key in keys],
        [s for s, keys in zip(strata, together, strict=True) for _ in keys],
        shares, how.seed,
    ))  # fmt: skip
    names: list[str] = []
    for name, count in zip(given, counts, strict=True):
        names += [str(name) if name else next(chosen) for _ in range(count)]
    return Division(names, by, notes)


def _together(by: str, label: Label, sha256: str, place: int, count: int) -> list[str]:
    """For each sound of a file what it must stay together with."""
    if by == "random":
        return [f"s {place}.{n}" for n in range(count)]
    return [f"f {sha256}" if by == "file" or label is None else f"v {label}"] * count


def _text(value: Label) -> str | None:
    return None if value is None else str(value)


def disjoint(
    groups: Sequence[str], strata: Sequence[str | None], shares: tuple[float, float, float],
    seed: int,
) -> list[str]:  # fmt: skip
    """A split for each sound such that no group is in two; the same for the same seed.

    groups and strata (N,): what must stay together (instrument), and what every split should hold
    its share of (family). Shares of train, valid, test add to 1. Two groups give train and valid,
    one gives train alone; from three on, every split with a share has one.
    """
    size: dict[str, int] = defaultdict(int)
    members: dict[str, list[str]] = defaultdict(list)
    for group, stratum in zip(groups, strata, strict=True):
        if group not in size:
            members[stratum or ""].append(group)
        size[group] += 1
    rng = np.random.default_rng(seed)
    placed = []
    for stratum in sorted(members):
        inside = sorted(members[stratum])
        order = rng.permutation(len(inside))
        # Spread each stratum evenly over 0..1, so that a cut anywhere takes its share of each.
        placed += [((k + rng.random()) / len(inside), inside[i]) for k, i in enumerate(order)]
    queue = [group for _, group in sorted(placed)]
    split_of = dict.fromkeys(queue, "train")
    wanted = [name for name, share in (("valid", shares[1]), ("test", shares[2])) if share > 0]
    total = len(groups)
    for number, name in enumerate(wanted):
        taken, later = 0, len(wanted) - number - 1
        share = shares[SPLITS.index(name)] * total
        while len(queue) > 1 + (later if len(queue) > 1 + later else 0):
            if taken and taken + size[queue[-1]] / 2 > share:
                break
            group = queue.pop()
            split_of[group] = name
            taken += size[group]
    return [split_of[group] for group in groups]


# Lists


def listed_in(path: Path, files: Sequence[Listed]) -> tuple[list[Listed], list[str]]:
    """The files that lists name, with the split they give, and notes on what they leave out.

    path: a folder with train.txt, valid.txt and test.txt (or train_filtered.txt and the like), a
    path a line, or a CSV with the columns path and split. A path may be relative to any folder above
    the file; its name alone will do where it is the only one. CorpusError when nothing fits, when a
    file is in two splits, and when there is nothing to train on.
    """
    where = printable(path)
    find = _finder([listed.file for listed in files])
    split_of: dict[str, str] = {}
    strangers = 0
    for text, split in _entries(path):
        file = find(text)
        if file is None:
            strangers += 1
            continue
        if split_of.setdefault(file, split) != split:
            raise CorpusError(
                f"{where} has {printable(file)} in {split_of[file]} and in {split}; keep it in one"
            )
    if not split_of:
        raise CorpusError(
            f"no path in {where} is one of the {len(files)} sounds; paths should be relative to "
            "the folder of the sounds"
        )
    if "train" not in split_of.values():
        raise CorpusError(f"{where} has no sounds for train; add a train.txt, or rows of it")
    notes = []
    if strangers:
        notes.append(f"{strangers} lines of {where} name no sound of the folder")
    if len(split_of) < len(files):
        notes.append(f"{len(files) - len(split_of)} files are in none of the lists and left out")
    kept = [replace(f, split=split_of[f.file]) for f in files if f.file in split_of]
    return kept, notes


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """What the lists say: (path as written, split)."""
    where = printable(path)
    if not path.exists():
        raise CorpusError(
            f"there are no lists at {where}; pass a folder with train.txt, valid.txt and test.txt, "
            "or a CSV"
        )
    if not path.is_dir():
        yield from _csv_entries(path)
        return
    found = False
    for file in sorted(path.iterdir()):
        words = re.split(r"[^a-z]+", file.stem.lower())
        split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)
        if split is not None and file.suffix.lower() == ".txt":
            found = True
            for line in _read(file).splitlines():
                if line.strip():
                    yield line.strip(), split
    if not found:
        raise CorpusError(f"{where} has no train.txt, valid.txt or test.txt; put the lists there")


def _csv_entries(path: Path) -> Iterator[tuple[str, str]]:
    where = printable(path)
    columns, lines = csv_lines(path)
    key, split = path_and_split(columns)
    if key is None or split is None:
        raise CorpusError(
            f"{where} should have the columns path and split; it has "
            f"{printable(', '.join(columns)[:200]) or 'none'}"
        )
    for number, line in lines:
        said = split_said(line[split], path, number)
        if said and line[key]:
            yield line[key], said


def _read(path: Path) -> str:
    refuse_endless(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{printable(path)} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CorpusError(f"{printable(path)} is not text in UTF-8; save it as that") from None


def _finder(files: Sequence[str]) -> Callable[[str], str | None]:
    """From what a list calls a file to the file: by its path, the end of it, or its name when that
    is the only one; with or without suffix."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for file in files:
        by_stem[PurePosixPath(file).stem].append(file)

    def find(text: str) -> str | None:
        text = os.path.normpath(text.replace("\\", "/")).replace(os.sep, "/")
        name = PurePosixPath(text)
        several = by_stem.get(name.stem) or by_stem.get(name.name) or []
        same = [f for f in several if _ends_alike(f, text)]
        chosen = same or several
        return chosen[0] if len(chosen) == 1 else None

    return find


def _ends_alike(file: str, text: str) -> bool:
    bare = file[: len(file) - len(PurePosixPath(file).suffix)]
    return any(f"/{a}".endswith(f"/{b}") for f in (file, bare) for a, b in ((f, text), (text, f)))
