"""What each layout lists: files, labels, splits, and every trap that its real data set is known for."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbrespace.data.corpus import Corpus
from timbrespace.data.cutting import Cut
from timbrespace.data.prepare import prepare
from timbrespace.data.sources import LAYOUTS, Source, list_source, parse_name
from timbrespace.errors import CorpusError, MissingExtra
from timbrespace.features.log_mel import LogMel

SMALL = LogMel(mels=16, frames=20, n_fft=512)
RATE = 16000


def put(*paths: Path, seconds: float = 0.1, hz: float = 440.0) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
        soundfile.write(path, sound, RATE)


def touch(root: Path, *names: str) -> Path:
    """Files that only their names matter of."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def listed(path: Path, layout: str = "auto", labels: Path | None = None) -> Source:
    return list_source(path, layout, labels)


def files(source: Source) -> list[str]:
    return [item.file for item in source.files]


def labels(source: Source) -> dict[str, dict]:
    return {item.file: item.labels for item in source.files}


def splits(source: Source) -> dict[str, str | None]:
    return {item.file: item.split for item in source.files}


def note(source: Source, *words: str) -> bool:
    """Whether one of the notes says all the words."""
    return any(all(word in text for word in words) for text in source.notes)


def sentence(path: Path, layout: str = "auto", table: Path | None = None) -> str:
    with pytest.raises(CorpusError) as caught:
        list_source(path, layout, table)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


# NSynth

NOTES = ("bass_synthetic_068-049-025", "synth_lead_electronic_007-010-100")


def entry(**changes: object) -> dict:
    """The entry of NOTES[0] as published, with changes; a change to None takes the key away."""
    whole = {
        "note": 217499, "note_str": NOTES[0], "instrument": 656,
        "instrument_str": "bass_synthetic_068", "pitch": 49, "velocity": 25, "sample_rate": 16000,
        "qualities": [0, 1] + [0] * 8, "qualities_str": ["dark"], "instrument_family": 0,
        "instrument_family_str": "bass", "instrument_source": 2, "instrument_source_str": "synthetic",
    }  # fmt: skip
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not None}


def nsynth(root: Path, examples: dict | None, names: tuple[str, ...] = NOTES) -> Path:
    touch(root, *(f"audio/{name}.wav" for name in names))
    if examples is not None:
        (root / "examples.json").write_text(json.dumps(examples))
    return root


def test_nsynth_as_published_with_its_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        nsynth(tmp_path / f"nsynth-{split}", {NOTES[0]: entry()}, NOTES[:1])
    source = listed(tmp_path)
    assert (source.layout, source.group, source.stratum) == ("nsynth", "instrument", "family")
    assert list(splits(source).values()) == ["train", "valid", "test"]
    assert source.files[0].file == f"nsynth-train/audio/{NOTES[0]}.wav"
    assert source.files[0].labels == {
        "pitch": 49, "velocity": 25, "instrument": "bass_synthetic_068", "family": "bass",
        "source": "synthetic",
    }  # fmt: skip
    assert source.notes == []
    assert listed(tmp_path / "nsynth-valid").files[0].split == "valid"


def test_nsynth_unpacked_into_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    nsynth(tmp_path / "download/nsynth/nsynth-test", {NOTES[0]: entry()}, NOTES[:1])
    source = listed(tmp_path)
    assert source.layout == "nsynth" and splits(source) == {
        f"download/nsynth/nsynth-test/audio/{NOTES[0]}.wav": "test"
    }


def test_nsynth_names_say_the_labels_when_examples_json_is_missing(tmp_path: Path) -> None:
    source = listed(nsynth(tmp_path / "nsynth-valid", None))
    assert source.layout == "nsynth" and note(source, "no examples.json")
    assert labels(source)[f"audio/{NOTES[1]}.wav"] == {
        "pitch": 10, "velocity": 100, "instrument": "synth_lead_electronic_007",
        "family": "synth_lead", "source": "electronic",
    }  # fmt: skip
    assert parse_name("some_song") == {}
    assert files(listed(tmp_path / "nsynth-valid/audio")) == [f"{name}.wav" for name in NOTES]


def test_nsynth_entries_with_every_fault_are_told_and_survive(tmp_path: Path) -> None:
    names = tuple(f"flute_acoustic_{k:03d}-060-075" for k in range(9))
    faulty = [
        entry(pitch=None), entry(pitch="60", note=1), entry(velocity=128, note=2), 5,
        entry(instrument_str=["x"], note=3), entry(instrument_family_str="\ud800", note=4),
        entry(pitch=True, note=5), entry(pitch=127, note=217499),
    ]  # fmt: skip
    source = listed(nsynth(tmp_path, dict(zip(names, faulty, strict=False)), names), "nsynth")
    of = [item.labels for item in source.files]
    assert of[0]["pitch"] == 60  # the name says it
    assert of[1]["pitch"] is None and of[2]["velocity"] is None and of[6]["pitch"] is None
    assert of[3]["family"] == "flute" and of[8]["instrument"] == "flute_acoustic_008"
    assert of[4]["instrument"] is None and of[5]["family"] is None and of[7]["pitch"] == 127
    for words in (
        ("1 sound: pitch is missing", names[0]), ("2 sounds: pitch in", "0 to 127", names[1]),
        ("velocity", names[2]), ("no object", names[3]), ("instrument_str", "no text", names[4]),
        ("instrument_family_str", "no text"), ("not in examples.json", names[8]),
        ("note number", names[7]),
    ):  # fmt: skip
        assert note(source, *words), words


def test_nsynth_names_that_lead_outside_are_refused_one_by_one(tmp_path: Path) -> None:
    outside = ("../../evil", "/etc/passwd", "a\\b", "..", "", "nul\0", "half\ud800")
    examples = {NOTES[0]: entry()} | dict.fromkeys(outside, entry())
    source = listed(nsynth(tmp_path, examples, NOTES[:1]))
    assert files(source) == [f"audio/{NOTES[0]}.wav"]
    assert note(source, "7 names", "outside audio", "../../evil")


def test_nsynth_files_that_are_missing_stay_listed_and_doubled_names_are_told(
    tmp_path: Path,
) -> None:
    nsynth(tmp_path, None, NOTES[:1])
    one = json.dumps(entry())
    (tmp_path / "examples.json").write_text(
        f'\ufeff{{"{NOTES[0]}": {{}}, "{NOTES[0]}": {one}, "{NOTES[1]}": {one}}}', encoding="utf-8"
    )
    source = listed(tmp_path)
    assert files(source) == [f"audio/{name}.wav" for name in NOTES]
    assert source.files[0].labels["pitch"] == 49
    assert note(source, "1 name", "twice", NOTES[0])


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, "\x00", '{"a":' + "1" * 5000 + "}"])
def test_nsynth_bad_examples_json_is_one_sentence(tmp_path: Path, text: str) -> None:
    nsynth(tmp_path, None)
    (tmp_path / "examples.json").write_text(text)
    assert "examples.json" in sentence(tmp_path)


def test_nsynth_still_packed_says_to_extract_it(tmp_path: Path) -> None:
    touch(tmp_path, "nsynth-valid.jsonwav.tar.gz")
    for path, layout in ((tmp_path, "auto"), (tmp_path, "nsynth")):
        assert "extract it" in sentence(path, layout)
    assert "extract it" in sentence(tmp_path / "nsynth-valid.jsonwav.tar.gz")
    touch(tmp_path / "tf", "nsynth-train.tfrecord")
    assert "json/wav form" in sentence(tmp_path / "tf")


def test_nsynth_sounds_beside_the_layout_are_told(tmp_path: Path) -> None:
    nsynth(tmp_path / "nsynth-test", {NOTES[0]: entry()}, NOTES[:1])
    touch(tmp_path, "mine/a.wav", "mine/b.flac")
    assert note(listed(tmp_path), "2 audio files", "mine/a.wav", "layout folder")


# GTZAN


def gtzan(root: Path, suffix: str = ".wav", count: int = 3) -> Path:
    names = (f"{g}/{g}.{k:05d}{suffix}" for g in ("blues", "jazz", "rock") for k in range(count))
    return touch(root, *names)


@pytest.mark.parametrize("inside", ["Data/genres_original", "genres_original", "genres", "."])
def test_gtzan_is_found_at_any_level(tmp_path: Path, inside: str) -> None:
    gtzan(tmp_path / inside, ".au" if inside == "genres" else ".wav")
    source = listed(tmp_path)
    assert (source.layout, source.group, source.stratum) == ("gtzan", None, "genre")
    assert len(source.files) == 9 and {item.split for item in source.files} == {None}
    assert labels(source)[files(source)[0]] == {"genre": "blues"}
    assert all((tmp_path / file).is_file() for file in files(source))
    assert note(source, "train_filtered.txt") and len(source.notes) == 1


def test_gtzan_on_kaggle_has_pictures_and_tables_beside_it(tmp_path: Path) -> None:
    gtzan(tmp_path / "Data/genres_original")
    touch(tmp_path, "Data/images_original/blues/blues00000.png", "Data/features_30_sec.csv")
    assert listed(tmp_path).layout == listed(tmp_path / "Data").layout == "gtzan"
    touch(tmp_path, "models/net.h5")
    assert listed(tmp_path).layout == "gtzan"


def test_gtzan_filtered_lists_give_the_split_and_leave_out_the_faults(tmp_path: Path) -> None:
    gtzan(tmp_path / "genres", ".au")
    for split, number in (("train", 0), ("valid", 1), ("test", 2)):
        lines = [f"{g}/{g}.{number:05d}.wav\n" for g in ("blues", "jazz", "rock")]
        lines = lines[:-1] if split == "test" else lines
        (tmp_path / f"{split}_filtered.txt").write_text("".join(lines) + "\n")
    for split in ("train", "valid"):  # the filtered ones win
        (tmp_path / f"{split}.txt").write_text("blues/blues.00002.wav\n")
    source = listed(tmp_path)
    assert len(source.files) == 8 and "genres/rock/rock.00002.au" not in files(source)
    assert splits(source)["genres/blues/blues.00001.au"] == "valid"
    assert note(source, "train_filtered.txt", "1 track in none")
    assert splits(listed(tmp_path / "genres"))["blues/blues.00002.au"] == "test"
    (tmp_path / "genres").rename(tmp_path / "mine")
    assert set(splits(listed(tmp_path / "mine")).values()) == {None}  # what lies above is not its
    (tmp_path / "mine").rename(tmp_path / "genres")
    with open(tmp_path / "test_filtered.txt", "a") as file:
        file.write("jazz/jazz.00000.wav\n")
    assert "list of train" in sentence(tmp_path)


def test_gtzan_lists_of_other_files_are_not_used(tmp_path: Path) -> None:
    gtzan(tmp_path)
    for split in ("train", "valid", "test"):
        touch(tmp_path, f"{split}_filtered.txt")
    source = listed(tmp_path)
    assert len(source.files) == 9 and note(source, "names no track that is here")


def test_gtzan_index_names_artists_which_no_two_splits_share(tmp_path: Path) -> None:
    gtzan(tmp_path)
    (tmp_path / "GTZANindex.txt").write_text(
        "# a comment\nblues.00000.wav ::: John Lee Hooker ::: One Bourbon\n"
        "jazz.00001.wav :::  ::: ?\nnonsense\n"
    )
    source = listed(tmp_path)
    assert source.group == "artist"
    assert labels(source)["blues/blues.00000.wav"] == {
        "genre": "blues", "artist": "John Lee Hooker", "track": "One Bourbon",
    }  # fmt: skip
    assert labels(source)["jazz/jazz.00001.wav"]["artist"] is None
    assert note(source, "artists", "1 track")


def test_gtzan_converted_in_place_is_one_file_a_track(tmp_path: Path) -> None:
    gtzan(gtzan(tmp_path, ".au"), ".wav", 2)
    touch(tmp_path, "blues/my own.wav", "techno/techno.00000.wav")
    source = listed(tmp_path)
    assert len(source.files) == 9 + 2 and "blues/blues.00000.au" not in files(source)
    assert note(source, "6 files", "another format") and note(source, "my own.wav", "not named")
    assert note(source, "techno", "none of GTZAN's genres")
    assert not note(source, "elsewhere")


def test_gtzan_prepared_skips_the_corrupt_track_and_does_the_rest(tmp_path: Path) -> None:
    put(*(tmp_path / f"g/jazz/jazz.{k:05d}.wav" for k in (53, 55)))
    put(*(tmp_path / f"g/pop/pop.{k:05d}.wav" for k in range(2)), hz=900.0)
    (tmp_path / "g/jazz/jazz.00054.wav").write_bytes(b"\0" * 2000)
    corpus = prepare(tmp_path / "g", tmp_path / "c", feature=SMALL)
    assert corpus.layout == "gtzan" and len(corpus.rows) == 4
    assert corpus.labels("genre") == ["jazz", "jazz", "pop", "pop"]
    health = json.loads((tmp_path / "c/health.json").read_text())
    assert [f["path"] for f in health["skipped_files"]] == ["jazz/jazz.00054.wav"]


# VCTK

INFO = """ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p280  25  F    French   Unknown  France (mic2 files unavailable)
p315  18  M    American New England (Text unavailable)
s5    -   f    Unknown
p999

nonsense here
"""


def vctk(root: Path, folder: str = "wav48_silence_trimmed") -> Path:
    for speaker, utterances in (("p225", (1, 2)), ("p280", (1,)), ("p362", (7,)), ("s5", (24,))):
        for utterance in utterances:
            stem = f"{folder}/{speaker}/{speaker}_{utterance:03d}"
            mics = ("mic2",) if speaker == "p362" else ("mic1", "mic2")
            if folder == "wav48":
                touch(root, f"{stem}.wav")
            for mic in mics[: 1 if speaker == "p280" else 2] if folder != "wav48" else ():
                touch(root, f"{stem}_{mic}.flac")
    touch(root, "txt/p225/p225_001.txt", f"{folder}/log.txt")
    (root / folder / "p315").mkdir()
    (root / "speaker-info.txt").write_text(INFO)
    return root


def test_vctk_is_one_recording_an_utterance_with_its_speaker(tmp_path: Path) -> None:
    source = listed(vctk(tmp_path / "VCTK"))
    assert (source.layout, source.group, source.stratum) == ("vctk", "speaker", "accent")
    assert files(source) == [
        f"wav48_silence_trimmed/{name}.flac"
        for name in ("p225/p225_001_mic1", "p225/p225_002_mic1", "p280/p280_001_mic1",
                     "p362/p362_007_mic2", "s5/s5_024_mic1")
    ]  # fmt: skip
    of = [item.labels for item in source.files]
    assert of[0] == {
        "speaker": "p225", "utterance": "001", "mic": "mic1", "age": 23, "gender": "F",
        "accent": "English",
    }  # fmt: skip
    assert of[2]["accent"] == "French" and of[3]["mic"] == "mic2" and of[3]["gender"] is None
    assert of[4] == {
        "speaker": "s5", "utterance": "024", "mic": "mic1", "age": None, "gender": "F",
        "accent": None,
    }  # fmt: skip
    for words in (
        ("3 recordings by a second microphone",), ("1 utterance", "without mic1", "p362_007"),
        ("folder without sounds", "p315"), ("not in speaker-info.txt", "p362"),
        ("2 speakers of speaker-info.txt without sounds", "p315"), ("gender", "p999"),
        ("does not begin with a speaker", "nonsense"),
    ):  # fmt: skip
        assert note(source, *words), (words, source.notes)


def test_vctk_older_form_and_one_level_down(tmp_path: Path) -> None:
    vctk(tmp_path / "VCTK-Corpus", "wav48")
    (tmp_path / "VCTK-Corpus/speaker-info.txt").write_text("ID AGE GENDER\n225  23  F  English\n")
    for root in (tmp_path, tmp_path / "VCTK-Corpus", tmp_path / "VCTK-Corpus/wav48"):
        source = listed(root)
        assert source.layout == "vctk" and len(source.files) == 5
        assert source.files[0].labels == {
            "speaker": "p225",
            "utterance": "001",
            "age": 23,
            "gender": "F",
            "accent": "English",
        }
    (tmp_path / "VCTK-Corpus/speaker-info.txt").unlink()
    source = listed(tmp_path)
    assert source.stratum is None and note(source, "no speaker-info.txt")


def test_vctk_takes_the_trimmed_sounds_where_both_are_there(tmp_path: Path) -> None:
    vctk(tmp_path)
    touch(tmp_path, "wav48/p225/p225_001.wav")
    source = listed(tmp_path)
    assert len(source.files) == 5 and note(source, "1 audio file", "wav48/p225")


def test_vctk_prepared_has_no_speaker_in_two_splits(tmp_path: Path) -> None:
    for k in range(12):
        put(tmp_path / f"v/wav48/p22{k % 4}/p22{k % 4}_00{k // 4}.wav", hz=200.0 + 50 * k)
    corpus = prepare(tmp_path / "v", tmp_path / "c", feature=SMALL)
    homes = {(row.labels["speaker"], row.split) for row in corpus.rows}
    assert len(homes) == 4 and {split for _, split in homes} == {"train", "valid", "test"}


# Any folder


def test_folder_names_are_labels(tmp_path: Path) -> None:
    touch(tmp_path, "all/guitar/nylon/a.wav", "all/guitar/steel/b.WAV", "all/flute/alto/c.ogg")
    source = listed(tmp_path)
    assert (source.layout, source.group, source.stratum) == ("folder", "instrument", "family")
    assert labels(source) == {
        "all/flute/alto/c.ogg": {"family": "flute", "instrument": "flute/alto"},
        "all/guitar/nylon/a.wav": {"family": "guitar", "instrument": "guitar/nylon"},
        "all/guitar/steel/b.WAV": {"family": "guitar", "instrument": "guitar/steel"},
    }
    flat = listed(tmp_path / "all/guitar/nylon")
    assert (flat.files[0].labels, flat.group, flat.stratum) == ({}, None, None)


def test_folders_named_as_splits_are_the_split_when_they_can_be(tmp_path: Path) -> None:
    touch(tmp_path, "train/low/a.wav", "dev/low/b.wav", "test/high/c.wav")
    source = listed(tmp_path)
    assert list(splits(source).values()) == ["valid", "test", "train"]
    assert [item.labels["family"] for item in source.files] == ["low", "high", "low"]
    touch(tmp_path, "other/d.wav")
    source = listed(tmp_path)
    assert set(splits(source).values()) == {None}
    assert {item.labels["family"] for item in source.files} == {"dev", "other", "test", "train"}


def test_links_and_strange_names_are_no_obstacle(tmp_path: Path) -> None:
    root = tmp_path / "s"
    strange = ("new\nline.wav", 'quo"te.wav', "ünïcödé.wav", os.fsdecode(b"\xff\xfe.wav"))
    put(root / "a.wav", tmp_path / "elsewhere/real.wav")
    for k, name in enumerate(strange):
        put(root / "plain.wav", hz=300.0 + 20 * k)
        (root / "plain.wav").rename(root / name)
    (root / "good.wav").symlink_to(tmp_path / "elsewhere/real.wav")
    (root / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    (root / "circle.wav").symlink_to(root / "circle.wav")
    (root / "away").symlink_to(tmp_path / "elsewhere")
    (root / "round").symlink_to(root)
    os.mkfifo(root / "pipe.wav")
    source = listed(root)
    assert len(source.files) == 9 and note(source, "2 links", "away")
    corpus = prepare(root, tmp_path / "c", feature=SMALL)
    assert {row.file for row in corpus.rows} == {"a.wav", "good.wav", *strange}
    told = [json.loads(line) for line in (tmp_path / "c/report.jsonl").read_text().splitlines()]
    skipped = {line["path"]: line["code"] for line in told if line["status"] == "skipped"}
    assert skipped == {
        "dangling.wav": "not_found", "circle.wav": "not_regular", "pipe.wav": "not_regular"
    }  # fmt: skip


def test_a_closed_folder_is_told_and_the_rest_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/x.wav", "b/y.wav")
    real = os.scandir
    error: OSError = PermissionError(13, "Permission denied")

    def closed(path: str) -> object:
        if os.fspath(path).endswith("/b"):
            error.filename = path
            raise error
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    source = listed(tmp_path, "folder")
    assert files(source) == ["a/x.wav"] and note(
        source, "1 folder that may not be read", "/b: Perm"
    )
    error = OSError(5, "Input/output error")  # the disk itself: nothing is to be trusted
    assert "cannot be read" in sentence(tmp_path, "folder")


# Tables


def test_a_table_labels_the_sounds_of_a_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "s", "low/a.wav", "low/b.wav", "high/c.wav", "high/d.wav")
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,pitch,Artist,split,empty\nlow/a.wav,60.0,Ann,train,\nb,61,Ben,val,\n"
        "high\\c.wav,,Ann,training,\nnobody.wav,1,x,test,\n,,,,\n"
    )
    source = listed(root, labels=table)
    assert source.layout == "folder" and source.group == "Artist"
    assert labels(source) == {
        "high/c.wav": {"pitch": None, "Artist": "Ann"},
        "high/d.wav": {"pitch": None, "Artist": None},
        "low/a.wav": {"pitch": 60, "Artist": "Ann"},
        "low/b.wav": {"pitch": 61, "Artist": "Ben"},
    }
    assert splits(source)["low/b.wav"] == "valid"
    assert note(source, "1 line of", "without a sound") and note(source, "1 sound without")
    assert note(source, "1 line of", "without a path")


@pytest.mark.parametrize(
    ("text", "word"),
    [("a,b\n1,2\n", "column named path"), ("", "column named path"),
     ("path,pitch\na.wav,200\n", "line 2: pitch"), ("path,split\na.wav,later\n", "train, valid"),
     ("path,x\nno.wav,1\n", "no path in"), ("path,sha256\na.wav,1\n", "rename"),
     ("path,start\na.wav,1\n", "rename"), ("path,x,x\na.wav,1,2\n", "two columns"),
     ("path\n\0a.wav\n" + '"' * 200_000, "l.csv"), ("path,x\na.wav,\udcff\n", "UTF-8")],
)  # fmt: skip
def test_a_bad_table_is_one_sentence(tmp_path: Path, text: str, word: str) -> None:
    touch(tmp_path / "s", "a.wav")
    (tmp_path / "l.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert word in sentence(tmp_path / "s", table=tmp_path / "l.csv")


def test_a_table_alone_is_a_source(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.wav", "sub/deep/b.wav", "far/c.wav", "d.wav")
    root = tmp_path / "sub"
    (root / "all.tsv").write_text(
        f"file\tgenre\nx/../a.wav\trock\nb.wav\tpop\n../far/c.wav\tpop\n{tmp_path}/d.wav\tpop\n"
        f"{root}/a.wav\tjazz\ngone.wav\tpop\n"
    )
    source = listed(root / "all.tsv")
    assert (source.layout, source.root, source.stratum) == ("table", root, "genre")
    assert labels(source) == {
        "a.wav": {"genre": "jazz"}, "deep/b.wav": {"genre": "pop"}, "gone.wav": {"genre": "pop"},
        f"{tmp_path}/far/c.wav": {"genre": "pop"}, f"{tmp_path}/d.wav": {"genre": "pop"},
    }  # fmt: skip
    assert note(source, "1 sound", "several lines")
    (root / "all.tsv").write_text("file\tgenre\n")
    assert "names no sounds" in sentence(root / "all.tsv")


def test_a_table_prepared_reads_from_where_it_points_and_again(tmp_path: Path) -> None:
    put(tmp_path / "one/a.wav", tmp_path / "two/b.wav")
    (tmp_path / "one/t.csv").write_text("path;kind\na.wav;x\n../two/b.wav;y\n")
    for _ in range(2):
        corpus = prepare(tmp_path / "one/t.csv", tmp_path / "one/c", feature=SMALL)
    assert [row.labels["kind"] for row in corpus.rows] == ["y", "x"]
    again = Corpus.open(tmp_path / "one/c")
    assert [again.audio(row).samples.shape for row in (0, 1)] == [(1, 1600)] * 2
    with pytest.raises(CorpusError, match="is the corpus of"):
        prepare(tmp_path / "one/a.wav", tmp_path / "one/c", feature=SMALL)


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    touch(tmp_path, "a.wav", "b.wav")
    columns = {
        "path": ["a.wav", "b.wav", None], "pitch": [60.0, float("nan"), 1.0],
        "mood": pyarrow.array(["calm", "wild", "x"]).dictionary_encode(), "year": [1999, None, 1],
        "live": [True, False, None], "embedding": [[1.0], [2.0], [3.0]], "split": ["train", "", ""],
    }  # fmt: skip
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    source = listed(tmp_path / "t.parquet")
    assert labels(source) == {
        "a.wav": {"pitch": 60, "mood": "calm", "year": 1999, "live": "True"},
        "b.wav": {"pitch": None, "mood": "wild", "year": None, "live": "False"},
    }
    assert source.files[0].split == "train" and note(source, "embedding", "not used")
    assert labels(listed(tmp_path, labels=tmp_path / "t.parquet")) == labels(source)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    assert "not a Parquet file" in sentence(tmp_path / "bad.parquet")


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"timbrespace\[formats\]"):
        listed(touch(tmp_path, "t.parquet") / "t.parquet")


# One file


def test_one_file_is_a_source_of_many_chunks(tmp_path: Path) -> None:
    put(tmp_path / "tape.flac", seconds=62.0)
    put(tmp_path / "beside.wav", tmp_path / "tape.wav", seconds=1.0)
    source = listed(tmp_path / "tape.flac")
    assert (source.layout, source.root, files(source)) == ("file", tmp_path, ["tape.flac"])
    assert source.files[0].labels == {} and note(source, "1.0 minutes", "--cut chunks")
    corpus = prepare(
        tmp_path / "tape.flac", tmp_path / "c", feature=SMALL, cut=Cut("chunks", 10.0, 10.0)
    )
    assert len(corpus.rows) == 7 and corpus.audio(3, RATE).seconds == 10.0
    assert listed(tmp_path / "tape.wav").notes == []


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC" + b"\xff" * 60, b"text"])
def test_one_broken_file_is_left_to_the_reader(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    assert listed(tmp_path / "x.wav").notes == []
    with pytest.raises(CorpusError, match="none of the 1 files"):
        prepare(tmp_path / "x.wav", tmp_path / "c", feature=SMALL)


def test_a_long_wav_is_told_by_its_header(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(61 * 1000, np.float32), 1000, subtype="FLOAT")
    assert note(listed(tmp_path / "x.wav"), "1.0 minutes")


# What is asked for and what is there


def test_every_layout_refuses_what_it_is_not(tmp_path: Path) -> None:
    root = touch(tmp_path / "s", "a.wav")
    for layout in ("nsynth", "gtzan", "vctk"):
        assert "is not of" in sentence(root, layout) and "layout folder" in sentence(root, layout)
        assert "is a file" in sentence(root / "a.wav", layout)
    assert "is a file" in sentence(root / "a.wav", "folder")
    assert "is no table" in sentence(root, "table")
    assert "no sound file" in sentence(root, "file")
    assert "no folder or file" in sentence(tmp_path / "absent")
    assert "layout should be auto, nsynth, gtzan" in sentence(root, "gtsan")
    assert "goes with a folder" in sentence(root, "nsynth", root / "a.csv")
    assert "neither a folder" in sentence(touch(tmp_path, "thesis.txt") / "thesis.txt")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert "no folder or file" in sentence(tmp_path / "round")
    assert "no audio files" in sentence(touch(tmp_path / "words", "a.txt"))
    assert "extract it" in sentence(touch(tmp_path / "packed", "VCTK-Corpus-0.92.zip"))


def test_every_layout_is_named_where_a_user_looks() -> None:
    from typer.testing import CliRunner

    from timbrespace.cli import app

    told = CliRunner().invoke(app, ["prepare", "--help"]).output
    page = (Path(__file__).parent.parent / "docs/data.md").read_text(encoding="utf-8")
    for name in LAYOUTS:
        assert name in told and f"`{name}`" in page
