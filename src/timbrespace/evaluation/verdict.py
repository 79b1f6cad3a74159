"""The verdict: what the figures mean, in words, and what to do about it.

Conventions
-----------
Rate before distortion: a space that keeps less than one nat (1.44 bits) per sound is collapsed,
whatever else its figures say; no kind word is said about it. Each threshold stands below with its
reason. The first faults named are the gravest.
"""

import math
from dataclasses import dataclass
from typing import Any

# One nat is less than it takes to name one of three sounds (ln 3 = 1.1); the reports' "no collapse"
# stood on 0.45 nats.
COLLAPSED_NATS = 1.0
# If decoding another sound's latent costs less than a twentieth of the error, the decoder does not
# listen to it.
IGNORED_SHARE = 0.05
# In squared error; 0.9 is half a dB of 10 dB. A model this near the mean has learnt an average.
HARDLY_BETTER = 0.9
# In squared error: at twice the decibels of linear algebra of the same rate nothing was learnt that is worth
# its bits.
FAR_BEHIND = 4.0
# decode(mu) may be a little worse by chance; more means that the decoder never saw points that
# quiet (measured: 0.298 beside 0.221 for a collapsed model).
WORSE_AT_MEAN = 1.02
# Training sounds this much better (in dB) than new instruments were learnt by heart.
BY_HEART = 1.5
# A level below it names no two sounds apart (ln 2 = 0.7 would).
EMPTY_NATS = 0.5
# Of the codes that even use would reach, fewer than this share were chosen: vectors of sounds picked at
# random would do better.
FEW_CODES = 0.5
# Separation below which one sampled z tells two random sounds apart wrongly in 16 % of cases.
BLURRED = 2.0
# Closer than this all sounds are in one place, whatever is paid for it: a KL may be large because every
# mean is far from 0, and then it is no bound of anything.
ONE_PLACE = 0.1

MORE_CODES = (
    "normalise the encodings, start codes by kmeans, revive dead ones, weigh diversity, or make the "
    "codebook smaller"
)


@dataclass(frozen=True)
class Judgement:
    """`faults`: short names, the gravest first, () when none. `words`: sentences for people."""

    faults: tuple[str, ...]
    words: str

    @property
    def healthy(self) -> bool:
        return not self.faults


def verdict(metrics: dict[str, Any]) -> str:
    """The words alone; see `judge`."""
    return judge(metrics).words


def judge(metrics: dict[str, Any]) -> Judgement:
    """Judge figures laid out as in metrics.json; what is missing there is not judged.

    Needs distortion.rmse_db, rate.nats_per_sound, rate.active_units and rate.dimensions; where there
    are codes, rate.codes and rate.codes_used in the place of active units.
    """
    distortion, rate = metrics["distortion"], metrics["rate"]
    floors = metrics.get("floors") or {}
    rmse, nats = distortion["rmse_db"], rate["nats_per_sound"]
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in (rmse, nats)):
        return Judgement(
            ("diverged",), "the figures are not finite: the training has diverged; lower the "
            "learning rate and train again"
        )  # fmt: skip
    dimensions, codes = rate["dimensions"], rate.get("codes")
    if (metrics.get("feature") or {}).get("share_at_floor") == 1.0:
        words = "all sounds measured are silent, which says nothing of the space; measure others"
        return Judgement(("silent sounds",), words)
    bits, most = nats / math.log(2.0), ""
    if rate.get("entropy_bits_per_sound") is not None:
        most = f" of the {_number(bits)} that its codes could say"
        bits = min(bits, rate["entropy_bits_per_sound"])
        nats = bits * math.log(2.0)
    keeps = f"keeps {_number(bits)} {_plural(bits, 'bit')} per sound{most}"
    if codes is None:
        active = rate["active_units"]
        keeps += f"; {active} of {dimensions} dimensions {'is' if active == 1 else 'are'} active"
    else:
        used = rate["codes_used"]
        keeps += f"; {used} of {codes} codes are used"
    mean_sound, per_pitch = floors.get("mean_sound_rmse_db"), floors.get("mean_per_pitch_rmse_db")
    faults: list[str] = []
    said: list[str] = []

    def fault(name: str, words: str) -> None:
        faults.append(name)
        said.append(words)

    separation = rate.get("separation")
    one_place = separation is not None and separation < ONE_PLACE
    collapsed = nats < COLLAPSED_NATS or one_place
    more = "" if collapsed else " or allow more bits"  # said already
    if collapsed:
        cure = "lower beta or ask for a rate" if codes is None else MORE_CODES
        where = "" if nats < COLLAPSED_NATS else (
            "all sounds have the same latent, far from the prior, so that the bits say nothing of them: "
        )  # fmt: skip
        fault("collapsed", f"{where}this space has collapsed; {cure}")
    elif codes is not None and used < FEW_CODES * rate.get("codes_expected", codes):
        fault("dead codes", f"the other codes cost rate and say nothing; {MORE_CODES}")
    if mean_sound is not None and rmse >= mean_sound:
        fault(
            "worse than the mean sound",
            f"at {_db(rmse)} it is worse than the mean sound ({_db(mean_sound)}); "
            "train longer or lower the learning rate",
        )
    elif mean_sound is not None and rmse**2 > HARDLY_BETTER * mean_sound**2:
        fault(
            "hardly better than the mean sound",
            f"at {_db(rmse)} it is hardly better than the mean sound ({_db(mean_sound)}); "
            f"train longer{more}",
        )
    elif per_pitch is not None and rmse**2 > HARDLY_BETTER * per_pitch**2:
        compared = "no better" if rmse >= per_pitch else "hardly better"
        fault(
            "hardly better than the mean per pitch",
            f"at {_db(rmse)} it is {compared} than the mean sound of each pitch "
            f"({_db(per_pitch)}), which knows no timbre; train longer{more}",
        )
    linear = floors.get("linear_code_rmse_db")
    if not faults and linear is not None and rmse > linear:
        wave = metrics.get("waves") is not None  # asked or not
        cure = (
            "which is one of pictures: of a wave the MR-STFT says more" if wave
            else "train longer; networks of kind principal start there"
        )  # fmt: skip
        far = not wave and rmse**2 > FAR_BEHIND * linear**2
        words = "is far behind" if far else "has not reached"
        said.append(
            f"at {_db(rmse)} it {words} the best linear code of this rate ({_db(linear)}); {cure}"
        )
        if far:
            faults.append("far behind a linear code")
    lost = metrics.get("not_finite") or {"sounds": 0, "training_sounds": 0}
    if lost["sounds"] or lost["training_sounds"]:
        fault(
            "latents that are not finite",
            f"some latents are not finite ({lost['sounds']} of the sounds asked for, "
            f"{lost['training_sounds']} of the training sounds), and their sounds are left out; lower the "
            "learning rate and train again",
        )
    shuffled = distortion.get("rmse_db_shuffled")
    if not collapsed and shuffled and shuffled**2 - rmse**2 < IGNORED_SHARE * shuffled**2:
        fault(
            "decoder ignores the latent",
            f"the decoder ignores the latent: with another sound's latent it is as good "
            f"({_db(shuffled)}); lower beta, or make the decoder smaller",
        )
    for number, line in enumerate(rate.get("levels") or [], start=1):
        exchanged = line["rmse_db_exchanged"]
        if line["nats_per_sound"] < EMPTY_NATS:
            fault(
                f"level {number} is empty",
                f"level {number} keeps {_number(line['bits_per_sound'])} bit; make the other levels "
                "smaller, or give free bits per dimension",
            )
        elif exchanged**2 - rmse**2 < IGNORED_SHARE * exchanged**2:
            fault(
                f"level {number} is ignored",
                f"with another sound's level {number} the error is the same ({_db(exchanged)}); "
                "make the other levels smaller",
            )
    at_mean = distortion.get("rmse_db_at_mean")
    if at_mean is not None and at_mean > WORSE_AT_MEAN * rmse:
        fault(
            "decode(mu) worse than decode(z)",
            f"decode(mu) is worse than decode(z) ({_db(at_mean)} beside {_db(rmse)}), so what "
            f"you hear on the map is worse than these figures{'' if collapsed else '; allow more bits'}",
        )
    families = (metrics.get("labels") or {}).get("families") or 0
    if not collapsed and nats < math.log(max(families, 1)):
        fault(
            "too few bits",
            f"naming one of {families} families takes {math.log2(families):.1f} bits; allow more",
        )
    if not collapsed and separation is not None and separation < BLURRED:
        fault(
            "blurred",
            f"two sounds lie only {separation:.1f} noise widths apart, so their places on the map "
            "blur; allow more bits",
        )
    trained = distortion.get("train_rmse_db")
    if trained and rmse > BY_HEART * trained:
        fault(
            "learnt by heart",
            f"training sounds come back at {_db(trained)}, these at {_db(rmse)}: it learnt sounds "
            "by heart; use more instruments, fewer epochs or more weight decay",
        )
    if not faults:
        # without a floor beside it no distortion is good or bad
        name = "a healthy space" if mean_sound is not None else "not collapsed, floors not measured"
        said.append(f"{name}: {_db(rmse)}{_beside(floors, dimensions)}")
        by_rate = dimensions if codes is not None else rate.get("active_units_by_rate", active)
        if by_rate < dimensions:
            idle = dimensions - by_rate
            said.append(
                f"{idle} {_plural(idle, 'dimension')} keep{'s' * (idle == 1)} almost nothing"
            )
    return Judgement(tuple(faults), f"{keeps}: " + "; ".join(said))


def _beside(floors: dict[str, Any], dimensions: int) -> str:
    parts = []
    if floors.get("mean_sound_rmse_db") is not None:
        parts.append(f"mean sound {_db(floors['mean_sound_rmse_db'])}")
    if floors.get("mean_per_pitch_rmse_db") is not None:
        parts.append(f"mean per pitch {_db(floors['mean_per_pitch_rmse_db'])}")
    if floors.get("linear_code_rmse_db") is not None:
        parts.append(f"the best linear code of this rate {_db(floors['linear_code_rmse_db'])}")
    size = str(dimensions)
    pca = floors.get("pca_rmse_db") or {}
    if pca.get(size) is not None:
        parts.append(f"PCA-{size}, whose rate has no limit, {_db(pca[size])}")
    return f" beside {', '.join(parts)}" if parts else ""


def _db(value: float) -> str:
    return f"{value:.1f} dB"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _plural(value: float, word: str) -> str:
    # "0.2 bit", "1 bit", "2 bits": up to one in the singular
    return word if value <= 1 else f"{word}s"
