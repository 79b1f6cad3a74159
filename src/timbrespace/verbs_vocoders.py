"""The verbs of vocoders, one function each, as the command line and Python have them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timbrespace.errors import RunError

if TYPE_CHECKING:
    from timbrespace.vocoders.vocoder import Vocoder

StrPath = str | Path
Progress = Callable[[str, int, int, dict[str, float]], None]


def vocoder_train(
    corpora: StrPath | Sequence[StrPath], out: StrPath, *, sample_rate: int = 16000, n_fft: int = 1024,
    hop: int = 256, mels: int = 128, floor_db: float = -80.0, resume: bool = False,
    data: str | None = None, licence: str = "not stated", progress: Progress | None = None,
    **plan: Any,
) -> "Vocoder":  # fmt: skip
    """Train a vocoder for one sort of log-mel on the recordings of a corpus, of a folder, or of several
    into the file `out`. `plan`: see vocoders.train.Plan; `data` and `licence` are kept in the file's card."""
    from timbrespace.features.log_mel import LogMel
    from timbrespace.vocoders.train import Plan
    from timbrespace.vocoders.train import train as train_vocoder

    feature = LogMel(sample_rate, n_fft=n_fft, hop=hop, mels=mels, floor_db=floor_db)
    return train_vocoder(
        corpora, out, feature, Plan(**plan), resume=resume, data=data, licence=licence,
        progress=progress,
    )  # fmt: skip


def vocoder_info(vocoder: StrPath) -> dict[str, Any]:
    """What a vocoder says of itself: the pictures that it takes, its training, figures, licence."""
    from timbrespace.vocoders.vocoder import Vocoder

    opened = Vocoder.open(vocoder)
    parameters = sum(p.numel() for p in opened.net.parameters())
    return {"vocoder": str(vocoder), **opened.about, "parameters": parameters}


def vocoder_evaluate(
    vocoder: StrPath, corpus: StrPath, *, sounds: int = 48, split: str = "test", seed: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """How near a vocoder comes to held-out recordings of a corpus or folder, beside the classical ways
    of the same mels: a row each (see vocoders.measure)."""
    from timbrespace.vocoders import measure
    from timbrespace.vocoders.recordings import recordings
    from timbrespace.vocoders.vocoder import Vocoder

    if sounds < 1:
        raise RunError(f"a vocoder is measured on 1 sound or more, got {sounds}")
    opened = Vocoder.open(vocoder)
    held_out = recordings(corpus, opened.feature.sample_rate, held_out=split).valid
    original, pitch = measure.drawn(held_out, sounds, seed)
    tell = None if progress is None else (lambda d, t: progress("measure", d, t, {}))
    ways = {
        **measure.classical(opened.feature), "vocoder": measure.way_back(opened),
        "vocoder, pitch unknown": measure.way_back(opened, told=False),
    }  # fmt: skip
    return measure.measure(opened.feature, original, pitch, ways, tell)
