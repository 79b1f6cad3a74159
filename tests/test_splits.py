"""Splits: what must stay together does, what was asked is done, and what a split flatters is measured."""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbrespace import cli
from timbrespace.data import leak
from timbrespace.data.cutting import Cut
from timbrespace.data.prepare import prepare
from timbrespace.data.sources import Listed
from timbrespace.data.splits import Splitting, divide, listed_in, shares_of
from timbrespace.errors import CorpusError
from timbrespace.features.log_mel import LogMel

RATE = 8000
SMALL = LogMel(sample_rate=RATE, mels=16, frames=16, n_fft=512, hop=128)
FAMILIES = ("brass", "reed", "string")


def note(partials: np.ndarray, seed: int) -> np.ndarray:
    """A tone with the given levels of 12 partials, a little different for each seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(2100) / RATE
    waves = [a * np.sin(2 * np.pi * (250.0 * (k + 1)) * t + rng.uniform(0, 6)) for k, a in partials]
    return 0.05 * np.sum(waves, 0) + 0.001 * rng.standard_normal(len(t))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 instruments that have nothing in common but a family's name, 8 notes each: a family can
    only be named by who remembers the instruments."""
    root = tmp_path_factory.mktemp("splits") / "sounds"
    rng = np.random.default_rng(0)
    for i in range(30):
        levels = list(enumerate(rng.exponential(1.0, 12) ** 2))
        folder = root / FAMILIES[i % 3] / f"{FAMILIES[i % 3]}{i}"
        folder.mkdir(parents=True)
        for n in range(8):
            soundfile.write(folder / f"n{n}.wav", note(levels, 100 * i + n), RATE)  # type: ignore[arg-type]
    return root


def made(root: Path, out: Path, **settings: object):
    corpus = prepare(root, out, feature=SMALL, workers=0, **settings)  # type: ignore[arg-type]
    return corpus, json.loads((out / "health.json").read_text())


def homes(corpus, label: str) -> dict[object, set[str]]:
    found: dict[object, set[str]] = defaultdict(set)
    for row in corpus.rows:
        found[row.labels[label]].add(row.split)
    return found


def apart(corpus, label: str) -> bool:
    return all(len(home) == 1 for home in homes(corpus, label).values())


# What a split flatters


def test_memory_of_instruments_is_measured_on_a_random_split_and_chance_without(
    sounds: Path, tmp_path: Path
) -> None:
    corpus, health = made(sounds, tmp_path / "r", split_by="random")
    assert not apart(corpus, "instrument") and health["split"]["shared"] > 10
    assert health["leak"]["label"] == "family" and health["leak"]["group"] == "instrument"
    assert health["leak"]["accuracy"] > 0.9
    # three families drawn blindly: a third is right, within what three times three instruments say
    assert 0.05 < health["leak"]["apart"] < 0.65
    words = next(w for w in health["warnings"] if "a random split flatters" in w)
    for text in (
        f"{health['leak']['accuracy']:.0%}",
        "no instrument is in two",
        "--split-by instr",
    ):
        assert text in words
    corpus, health = made(sounds, tmp_path / "a")
    assert apart(corpus, "instrument") and health["leak"] is None
    assert health["split"]["by"] == "instrument" and health["split"]["shared"] == 0
    assert not [w for w in health["warnings"] if "flatters" in w]


def test_what_is_truly_alike_in_a_family_is_no_leak() -> None:
    rng = np.random.default_rng(0)
    families = [f"f{i % 4}" for i in range(400)]
    groups = [f"i{i % 40}" for i in range(400)]
    sort = rng.normal(0, 1, (4, 10, 12))
    pictures = np.clip([sort[i % 4] + rng.normal(0, 0.2, (10, 12)) for i in range(400)], -1, 1)
    split = ["valid" if u < 0.2 else "train" for u in rng.random(400)]
    found = leak.measure(pictures, families, groups, split, (0.8, 0.1, 0.1))
    assert found is not None and found["accuracy"] == found["apart"] == 1.0
    assert 0.1 < found["majority"] < 0.4
    assert leak.measure(pictures, ["f"] * 400, groups, split, (0.8, 0.1, 0.1)) is None
    assert leak.measure(pictures, families, groups, ["train"] * 400, (0.8, 0.1, 0.1)) is None
    few = [f"i{i % 8}" for i in range(400)]
    assert leak.measure(pictures, families, few, split, (0.8, 0.1, 0.1)) is None
    blind = [None] * 400
    assert leak.measure(pictures, families, blind, split, (0.8, 0.1, 0.1)) is None


def test_a_source_that_shares_instruments_between_its_splits_is_told(tmp_path: Path) -> None:
    for i in range(120):
        folder = tmp_path / "s" / ("train" if i % 5 else "valid") / f"fam{i % 2}" / f"ins{i % 12}"
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{i}.wav", note([(i % 12, 1.0)], i), RATE)  # type: ignore[list-item]
    corpus, health = made(tmp_path / "s", tmp_path / "c")
    assert health["split"]["by"] == "source" and health["split"]["shared"] == 12
    assert "the source's own split flatters" in " ".join(health["warnings"])
    corpus, health = made(tmp_path / "s", tmp_path / "d", split_by="instrument")
    assert apart(corpus, "instrument") and health["leak"] is None
    assert "own split is not used" in " ".join(health["warnings"])


# What stays together


def test_the_named_label_is_apart_and_its_shares_are_near(sounds: Path, tmp_path: Path) -> None:
    corpus, health = made(sounds, tmp_path / "f", split_by="family")
    assert apart(corpus, "family") and health["split"]["by"] == "family"
    corpus, health = made(
        sounds, tmp_path / "i", split_by="instrument", split=(0.6, 0.2, 0.2), seed=3
    )
    assert apart(corpus, "instrument")
    assert [health["splits"][s] for s in ("train", "valid", "test")] == [144, 48, 48]
    other, _ = made(sounds, tmp_path / "j", split_by="instrument", split=(0.6, 0.2, 0.2), seed=4)
    assert [r.split for r in other.rows] != [r.split for r in corpus.rows]


def test_by_file_copies_and_chunks_stay_together_and_at_random_they_do_not(tmp_path: Path) -> None:
    root = tmp_path / "s"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        soundfile.write(root / f"{i:02d}.wav", rng.uniform(-0.5, 0.5, 4 * RATE), RATE)
    for i in range(6):
        (root / f"copy{i}.wav").write_bytes((root / f"{i:02d}.wav").read_bytes())
    cut = Cut("chunks", 0.5, 0.25)
    by_content: dict[str, set[str]] = defaultdict(set)
    corpus, health = made(root, tmp_path / "f", cut=cut)
    for row in corpus.rows:
        by_content[row.sha256].add(row.split)
    assert health["split"]["by"] == "file" and all(len(h) == 1 for h in by_content.values())
    assert health["splits"]["valid"] == pytest.approx(0.1 * len(corpus.rows), abs=31)
    corpus, health = made(root, tmp_path / "r", cut=cut, split_by="random")
    assert health["split"]["group"] == "file" and health["split"]["shared"] > 6
    assert health["splits"]["valid"] == pytest.approx(0.1 * len(corpus.rows), abs=1)
    assert "--split-by file" in " ".join(health["warnings"])


def test_what_has_no_value_of_the_label_goes_by_file_and_is_told() -> None:
    files = [Listed(f"{i}", {"speaker": f"p{i % 5}" if i < 40 else None}) for i in range(60)]
    contents = [str(i // 2 if i >= 40 else i) for i in range(60)]
    found = divide(files, contents, [1] * 60, Splitting("speaker"), group=None, stratum=None)
    assert "20 files have no speaker" in found.notes[0]
    for i in range(40, 60, 2):
        assert found.names[i] == found.names[i + 1]
    for speaker in range(5):
        assert len({found.names[i] for i in range(40) if i % 5 == speaker}) == 1


def test_a_label_of_one_value_is_not_what_auto_splits_by() -> None:
    files = [Listed(f"{i}", {"speaker": "p1"}) for i in range(20)]
    found = divide(files, list(map(str, range(20))), [1] * 20, Splitting(), group="speaker",
                   stratum=None)  # fmt: skip
    assert found.by == "file" and set(found.names) == {"train", "valid", "test"}


# Lists


def test_lists_win_and_what_is_in_none_is_left_out(sounds: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    names = sorted(str(p.relative_to(sounds)) for p in sounds.rglob("*.wav"))
    (lists / "train_filtered.txt").write_text("\n".join(names[:100]) + "\nno/such.wav\n")
    # from a folder further up, from the root of a disk, and without suffix
    lines = [f"./data/{n}" for n in names[100:110]] + [f"/disk/{n}" for n in names[110:120]]
    (lists / "valid_filtered.txt").write_text("\r\n".join(lines + [n[:-4] for n in names[120:130]]))
    (lists / "test_filtered.txt").write_text(
        "\n".join(n.replace("/", "\\") for n in names[130:150])
    )
    (lists / "readme.txt").write_text("these are lists")
    corpus, health = made(sounds, tmp_path / "c", split_lists=lists)
    expected = dict.fromkeys(names[:100], "train") | dict.fromkeys(names[100:130], "valid")
    expected |= dict.fromkeys(names[130:150], "test")
    assert {row.file: row.split for row in corpus.rows} == expected
    assert health["files"] == 150 and health["split"]["by"] == "lists"
    told = " ".join(health["warnings"])
    assert "90 files are in none of the lists" in told and "1 lines of" in told
    # the table of a corpus is such a list too
    again, _ = made(sounds, tmp_path / "d", split_lists=tmp_path / "c/sounds.csv")
    assert [(r.file, r.split) for r in again.rows] == [(r.file, r.split) for r in corpus.rows]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_list_is_read_as_any_table_of_sounds(tmp_path: Path, mark: str) -> None:
    lines = ["Filename,Split", "1,Training", '"a/2.wav",', "b/3,dev"]
    (tmp_path / "l.csv").write_text("\n".join(lines).replace(",", mark), encoding="utf-8-sig")
    kept, notes = listed_in(
        tmp_path / "l.csv", [Listed(name, {}) for name in ("a/1.wav", "a/2.wav", "b/3.wav")]
    )
    assert [(f.file, f.split) for f in kept] == [("a/1.wav", "train"), ("b/3.wav", "valid")]
    assert notes == ["1 files are in none of the lists and left out"]


@pytest.mark.parametrize(
    ("texts", "word"),
    [({}, "no train.txt"), ({"train.txt": "nobody.wav"}, "no path in"),
     ({"train.txt": "a/1.wav", "val.txt": "1.wav"}, "in train and in valid"),
     ({"test.txt": "a/1.wav"}, "no sounds for train"), ({"train.txt": "\udcff"}, "UTF-8"),
     ({"l.csv": "path,set\na,b\n"}, "columns path and split"), ({"l.csv": ""}, "it has none"),
     ({"l.csv": "path,split\na/1.wav,later\n"}, "line 2: split should be train, valid or test")],
)  # fmt: skip
def test_lists_that_cannot_be_are_one_sentence(tmp_path: Path, texts: dict, word: str) -> None:
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    path = tmp_path / "l.csv" if "l.csv" in texts else tmp_path
    with pytest.raises(CorpusError, match=word) as caught:
        listed_in(path, [Listed("a/1.wav", {}), Listed("a/2.wav", {}), Listed("b/2.wav", {})])
    assert "\n" not in str(caught.value)


def test_a_name_that_two_files_have_is_not_guessed() -> None:
    files = [Listed("a/1.wav", {}), Listed("a/2.wav", {}), Listed("b/2.wav", {})]
    from timbrespace.data.splits import _finder

    find = _finder([f.file for f in files])
    assert [find(t) for t in ("1", "2.wav", "b/2", "x/b/2.wav", "c/2.wav")] == [
        "a/1.wav", None, "b/2.wav", "b/2.wav", None,
    ]  # fmt: skip


# Refusals


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"by": "instrumnt"}, ["did you mean instrument?", "there are: auto, file, random, instrument"]),
     ({"by": "maker"}, ["all sounds have the same maker (Yamaha)"]),
     ({"shares": (0.8, 0.1, 0.2)}, ["add to 1", "got 0.8,0.1,0.2"]),
     ({"shares": (0.0, 0.5, 0.5)}, ["nothing to train on"]),
     ({"shares": (float("nan"), 0.5, 0.5)}, ["add to 1"]),
     ({"by": "random", "lists": Path("l")}, ["give one of the two"])],
)  # fmt: skip
def test_refusals_are_one_sentence(settings: dict, words: list[str]) -> None:
    files = [Listed(f"{i}", {"instrument": f"i{i}", "maker": "Yamaha"}) for i in range(4)]
    with pytest.raises(CorpusError) as caught:
        Splitting(**settings).check(files)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "0.8", "0.8,0.2", "a,b,c", "0.7;0.2;0.1", "1,0,0,0"])
def test_shares_that_are_no_three_numbers_are_refused(text: str) -> None:
    with pytest.raises(CorpusError, match="three numbers such as 0.8,0.1,0.1"):
        shares_of(text)


def test_the_command_line_splits_and_refuses_before_it_reads(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def typed(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["timbrespace", "prepare", str(sounds), *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), capsys.readouterr().err

    code, told = typed("--out", tmp_path / "c", "--split-by", "famly")
    assert code == 2 and "did you mean family?" in told and not (tmp_path / "c").exists()
    code, told = typed("--out", tmp_path / "c", "--split", "1,2,3")
    assert code == 2 and "add to 1" in told and not (tmp_path / "c").exists()
    code, told = typed("--out", tmp_path / "c", "--split-by", "family", "--split", "0.4,0.3,0.3")
    assert code == 0 and "80 train, 80 valid, 80 test" in told
    assert f"health report: {tmp_path / 'c' / 'health.html'}" in told
