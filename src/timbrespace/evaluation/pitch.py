"""Is what is heard in tune: the pitch of a model's sounds beside that of the recordings, and the labels.

Conventions
-----------
Pitches are those of `audio.pitch`, one a sound, in MIDI numbers with a fraction; NaN is a sound in which
none is heard. An error is how far the pitch found lies above the one wanted, in cents (1200 an octave).
Of the sounds that have a pitch to keep, each is one of four: within_50 (|c| < 50), an octave error
(|c| >= 50, but less than 50 from a whole number of octaves), another error, or unvoiced; the four
shares add up to 1. within_10 is a part of within_50. median_cents is the median of |c| where a pitch
is heard. Perfect: 0 cents, shares within 1. Worst: nothing voiced, or another sound's pitch
("another_sound"), which is what chance gives. Voiced recall: of the frames in which the recording has
a pitch, the share in which the model's sound has one. Intervals are of instruments (`statistics`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from timbrespace.audio import pitch
from timbrespace.errors import TimbrespaceError
from timbrespace.evaluation import figures
from timbrespace.evaluation.catalogue import Shown
from timbrespace.evaluation.facts import Facts, Unanswerable
from timbrespace.evaluation.statistics import Groups, interval
from timbrespace.page import brackets, escape, image, table

NEAR, GOOD, OCTAVE = 10.0, 50.0, 1200.0  # cents
SHARES = ("within_10", "within_50", "octave_errors", "other_errors", "unvoiced")
HEADLINES = ("within_10", "within_50", "octave_errors")  # shares that have intervals


def validate(found: np.ndarray, wanted: np.ndarray) -> None:
    """TimbrespaceError unless both are pitches (N,) of the same sounds, of which one has one to keep."""
    if found.shape != wanted.shape or found.ndim != 1:
        raise TimbrespaceError(
            f"pitches found {found.shape} and wanted {wanted.shape} should both be (sounds,)"
        )
    if not np.isfinite(wanted).any():
        raise TimbrespaceError(f"none of {len(wanted)} sounds has a pitch that could be kept")


def cents(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """How far each pitch found lies above the one wanted, both MIDI numbers (N,); NaN where either
    is."""
    return 100.0 * (np.asarray(found, np.float64) - np.asarray(wanted, np.float64))


def shares(errors: np.ndarray) -> np.ndarray:
    """Which of `SHARES` each error in cents (N,) is, (N, 5) of 0 and 1; NaN is unvoiced."""
    size, voiced = np.abs(errors), np.isfinite(errors)
    near, good = voiced & (size <= NEAR), voiced & (size < GOOD)
    away = np.abs(size - OCTAVE * np.round(size / OCTAVE))
    octave = voiced & ~good & (away < GOOD)
    return np.stack([near, good, octave, voiced & ~good & ~octave, ~voiced], 1).astype(float)


def median_cents(errors: np.ndarray) -> float | None:
    """The median of the size of the errors that are heard; None where none is."""
    heard = np.abs(errors[np.isfinite(errors)])
    return float(np.median(heard)) if len(heard) else None


def voiced_recall(found: pitch.Pitch, wanted: pitch.Pitch) -> float | None:
    """Of the frames in which `wanted` has a pitch, the share in which `found` has one; None where it
    has none. What lies behind the end of either counts as unvoiced."""
    kept = min(len(found.voiced), len(wanted.voiced))
    total = int(wanted.voiced.sum())
    return float((found.voiced[:kept] & wanted.voiced[:kept]).sum()) / total if total else None


def evaluate(
    found: np.ndarray,
    wanted: np.ndarray,
    groups: Groups | None = None,
    *,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """sounds, median_cents and `SHARES` of pitches found for pitches wanted, MIDI (N,), NaN for none;
    intervals of the median and of `HEADLINES`, by groups (N,). TimbrespaceError as in `validate`."""
    validate(found, wanted)
    asked = np.isfinite(wanted)
    errors = cents(found[asked], wanted[asked])
    of = None if groups is None else [g for g, known in zip(groups, asked, strict=True) if known]
    each = shares(errors)
    heard = np.isfinite(errors)
    figure: dict[str, Any] = {"sounds": len(errors), "median_cents": median_cents(errors)}
    own = None if of is None else [g for g, known in zip(of, heard, strict=True) if known]
    figure["median_cents_interval"] = (
        interval(np.abs(errors[heard]), own, rng=rng, statistic=np.median) if heard.any() else None
    )
    for name, values in zip(SHARES, each.T, strict=True):
        figure[name] = float(values.mean())
        if name in HEADLINES:
            # where all agree a bootstrap knows of no other sound
            ends = interval(values, of, rng=rng) if np.ptp(values) else None
            figure[f"{name}_interval"] = ends
    return figure


def known(labels: Sequence[Any] | None, count: int) -> np.ndarray:
    """Labels of pitch as MIDI numbers (N,), NaN where there is none or it is no number."""
    found = np.full(count, np.nan)
    for i, value in enumerate(labels or ()):
        try:
            found[i] = float(value)
        except (TypeError, ValueError):
            continue
    return found


def midi(found: pitch.Pitch) -> float:
    """The MIDI number of a note that was tracked; NaN where it has no pitch."""
    return float("nan") if found.note is None else float(pitch.to_midi(found.note))


def measure(facts: Facts) -> dict[str, Any]:
    """ "to_original" and "to_label": `evaluate` of the model (z sampled), of the ceiling `inversion`, and
    of the floors `mean_sound` and `another_sound`; to the label, of the `recording` itself, too, which
    is what the tracker can find. "voiced_recall" of the model and the inversion.

    Of at most 48 sounds. Unanswerable where there is neither a label nor a recording with a pitch.
    """
    rng = facts.rng("pitch")
    at = [one.position for one in facts.heard]
    labels = facts.labels("pitch")
    label = known(None if labels is None else [labels[i] for i in at], len(at))
    groups = [facts.groups[i] for i in at]
    found = {name: np.array([midi(one) for one in each]) for name, each in facts.tracked.items()}
    count, recording = len(at), found["recording"]
    found["mean_sound"] = np.full(count, midi(_mean_sound(facts)))
    found["another_sound"] = np.roll(recording, 1)
    unread = [one.unread for one in facts.heard if one.unread]
    if not np.isfinite(recording).any() and not np.isfinite(label).any():
        raise Unanswerable(
            f"of {count} sounds none has a label of pitch, and "
            + (f"no recording can be read ({unread[0]})" if len(unread) == count
               else "no recording has a pitch that is heard")
        )  # fmt: skip
    notes = [f"{len(unread)} of {count} recordings cannot be read ({unread[0]})"] if unread else []
    missing = pitch.without()
    others = ("model", "inversion", "mean_sound", "another_sound")
    wanted, heard = recording, found["model"]
    if not np.isfinite(recording).any():
        wanted = label
    both = np.isfinite(wanted) & np.isfinite(heard)
    return {
        "sounds": count,
        "tracker": "yin" if missing else "yin and swift-f0",
        "notes": notes + ([missing] if missing else []),
        "told": "pitch" in facts.run.recipe.model.condition.told("decoder"),
        "to_original": _part(
            {name: found[name] for name in others}, recording, groups, rng,
            f"no recording of {count} has a pitch that is heard",
        ),
        "to_label": _part(
            {name: found[name] for name in ("model", "inversion", "recording", *others[2:])}, label,
            groups, rng, "the sounds have no labels of pitch",
        ),
        "voiced_recall": {
            name: _recall(facts.tracked[name], facts.tracked["recording"], groups, rng)
            for name in ("model", "inversion")
        },
        "drawn": {
            "wanted": wanted.tolist(), **{n: found[n].tolist() for n in ("model", "inversion")},
        },
        "each": {
            "row": facts.here.rows[at].tolist(),
            "pitch_cents": [one if known else "" for one, known in zip(
                cents(heard, wanted).tolist(), both.tolist(), strict=True
            )],
            # what is not heard is not kept
            "pitch_kept": [one if known else "" for one, known in zip(
                shares(cents(heard, recording))[:, SHARES.index("within_50")].tolist(),
                np.isfinite(recording).tolist(), strict=True,
            )],
        },
    }  # fmt: skip


def _mean_sound(facts: Facts) -> pitch.Pitch:
    """The pitch of the mean sound, which is what a model that knows nothing plays."""
    import torch

    feature = facts.run.feature.yardstick
    values = torch.from_numpy(np.asarray(facts.floors.mean, np.float32))
    sound = feature.invert(values, -feature.rms_db(values), length=feature.span)
    return pitch.track(sound.numpy(), feature.sample_rate)


def _part(
    found: dict[str, np.ndarray], wanted: np.ndarray, groups: list[Any], rng: np.random.Generator,
    otherwise: str,
) -> dict[str, Any]:  # fmt: skip
    if not np.isfinite(wanted).any():
        return {"why_not": otherwise}
    return {name: evaluate(each, wanted, groups, rng=rng) for name, each in found.items()}


def _recall(
    found: Sequence[pitch.Pitch], wanted: Sequence[pitch.Pitch], groups: list[Any],
    rng: np.random.Generator,
) -> dict[str, Any] | None:  # fmt: skip
    """Mean over the sounds whose recording is voiced somewhere, and its interval; None without any."""
    each = [voiced_recall(one, other) for one, other in zip(found, wanted, strict=True)]
    values = [v for v in each if v is not None]
    of = [g for g, v in zip(groups, each, strict=True) if v is not None]
    if not values:
        return None
    return {"mean": float(np.mean(values)), "interval": interval(values, of, rng=rng)}


def show(found: dict[str, Any]) -> Shown:
    """Two tables, of the errors to the recordings and to the labels, and where the errors lie."""
    words = {
        "model": "model, z sampled", "inversion": "inversion of the original picture",
        "recording": "the recording itself", "mean_sound": "mean sound",
        "another_sound": "another sound",
    }  # fmt: skip
    titles = {
        "to_original": "Against the pitch of the recording",
        "to_label": "Against the pitch that the model is told" if found["told"]
        else "Against the label of pitch",
    }  # fmt: skip
    parts = []
    for key, title in titles.items():
        part = found[key]
        if "why_not" in part:
            parts.append(f"<p>{escape(title)}: not answered, {escape(part['why_not'])}.</p>")
            continue
        lines = [(words[name], *_cells(row)) for name, row in part.items()]
        heads = (
            title, "cents", "within 10", "within 50", "octave off", "other", "no pitch"
        )  # fmt: skip
        parts.append(table(heads, lines))
    recall = found["voiced_recall"]["model"]
    kept = (
        f" In {recall['mean']:.0%} of the frames in which the recording has a pitch the model's sound "
        "has one." if recall else ""
    )  # fmt: skip
    notes = "".join(f" {escape(note)}." for note in found["notes"])
    drawn = {
        name: np.array([np.nan if v is None else v for v in values], float)
        for name, values in found["drawn"].items()
    }
    picture = figures.pitch_errors(
        drawn["wanted"], cents(drawn["model"], drawn["wanted"]),
        cents(drawn["inversion"], drawn["wanted"]),
    )  # fmt: skip
    return Shown(
        f"<h2>Pitch</h2><p>Whether {found['sounds']} sounds are in tune. Cents: the median of how far "
        "they are off, where a pitch is heard; 100 are a semitone. Behind figures of the model: 95 % "
        "intervals, for other instruments. The inversion is the ceiling: the original's own picture "
        f"made sound. Another sound is chance.{kept} Tracker: {escape(found['tracker'])}.{notes}</p>"
        + "".join(parts)
        + image(
            picture, "Errors of pitch over the pitch wanted, and how many are smaller than that"
        ),
        {"pitch": picture},
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The figures of one way, with their intervals where they have some."""

    def percent(name: str) -> str:
        return f"{row[name]:.0%}{brackets(row.get(f'{name}_interval'), 0, times=100)}"

    if row["median_cents"] is None:
        middle = "no pitch heard"
    else:
        middle = f"{row['median_cents']:.1f}{brackets(row['median_cents_interval'], 1)}"
    return (middle, *(percent(name) for name in SHARES))
