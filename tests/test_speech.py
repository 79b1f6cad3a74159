"""The script that fetches real speech: what it cuts, whom it takes for whom, and that it can go on."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbrespace.data.corpus import Corpus
from timbrespace.errors import CorpusError
from timbrespace.verbs import prepare


@pytest.fixture
def speech(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "experiments"))
    import speech

    return speech


def talk(seconds: float, db: float = -20.0) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(round(seconds * 16000))
    return (10 ** (db / 20) * noise).astype(np.float32)


def test_clips_are_whole_loud_and_lose_nothing_inside(speech):
    edge = np.zeros(8000, np.float32)
    said = talk(5.5)
    made = list(speech.clips(np.concatenate([edge, said, edge])))
    assert [clip.shape for clip in made] == [(32768,)] * 3
    assert np.array_equal(np.concatenate(made)[: len(said)], said)
    assert not np.concatenate(made)[len(said) :].any()
    assert len(list(speech.clips(np.concatenate([said[:32768], said[:15000]])))) == 1
    assert not list(speech.clips(talk(3.0, -60.0))) and not list(speech.clips(edge[:100]))


def test_no_speaker_is_in_two_splits_and_no_file_has_two_voices(speech):
    voices = [v for package in speech.PACKAGES.values() for v in package.voices]
    assert len({v.speaker for v in voices}) == 9 == len({(v.speaker, v.split) for v in voices})
    assert {v.split for v in voices} == {"train", "valid", "test"}
    paths = {
        "x/sound/city/cs/vit-m-jak.ogg": {"cs-small-fish"},
        "x/sound/city/cs/vit-v-proc.ogg": {"cs-big-fish"},
        "x/sound/city/cs/vit-hs-lod0.ogg": set(),
        "x/voices/wav/ru_0001.wav": {"festvox-ru"},
    }
    for path, speakers in paths.items():
        assert {v.speaker for v in voices if re.search(v.pattern, path)} == speakers
    italian = speech.PACKAGES["asterisk-core-sounds-it-g722"].voices[0].pattern
    assert re.search(italian, "x/sounds/it_IT_m_Carlo/digits/1.g722")
    assert not re.search(italian, "x/sounds/it_IT_m_Carlo/silence/1.g722")
    assert not re.search(italian, "x/sounds/it_IT_m_Carlo/tt-monkeys.g722")


def test_what_was_done_is_not_fetched_again_and_prepare_takes_it(
    speech, tmp_path, monkeypatch, capsys
):
    sounds = {
        "festvox-ru": ["wav/a.wav"],
        "fillets-ng-data-cs": [
            "city/cs/vit-m-a.ogg",
            "city/cs/vit-v-a.ogg",
            "city/cs/vit-x-a.ogg",
            "b/cs/b-m-none.ogg",
        ],
    }
    fetched: list[str] = []
    fails = True

    def system(command: list[str], folder: Path) -> None:
        """What apt-get and dpkg would leave."""
        if command[0] == "apt-get":
            if fails and fetched:
                raise CorpusError("the network is gone")
            fetched.append(command[-1])
            (folder / "one.deb").touch()
            return
        for name in (f"usr/share/doc/{fetched[-1]}/copyright", *sounds[fetched[-1]]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("copyright"):
                (folder / name).write_text("as you like")
            else:
                soundfile.write(folder / name, talk(0.0 if "none" in name else 3.5), 16000)

    monkeypatch.setattr(speech, "run", system)
    out = tmp_path / "out"
    with pytest.raises(CorpusError, match="network"):
        speech.fetch(out, list(sounds))
    fails = False
    speech.fetch(out, list(sounds))
    assert fetched == list(sounds)
    assert "left out: b-m-none.ogg: only 0 samples" in capsys.readouterr().err
    assert (out / "licences/festvox-ru.txt").read_text() == "as you like"
    prepare(out / "metadata.csv", tmp_path / "corpus", workers=0)
    corpus = Corpus.open(tmp_path / "corpus")
    speakers = corpus.labels("speaker")
    others = {speakers[row] for row in corpus.split_rows("train")}
    others |= {speakers[row] for row in corpus.split_rows("valid")}  # of train, where none is given
    assert others == {"cs-big-fish", "festvox-ru"}
    assert [speakers[row] for row in corpus.split_rows("test")] == ["cs-small-fish"] * 2
    with pytest.raises(CorpusError, match="festvox-en is no package known here"):
        speech.fetch(out, ["festvox-en"])
