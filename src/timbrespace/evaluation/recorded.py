"""What a run folder says where its sounds are not at hand: its last epoch, its training, its settings.

Conventions
-----------
Figures are those of the validation after the last epoch, laid out as in metrics.json, so that the verdict can
judge them; floors and intervals are not among them, since these want sounds.
"""

import csv
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from timbrespace.evaluation import catalogue
from timbrespace.evaluation.latent import ACTIVE_NATS, bits
from timbrespace.evaluation.verdict import judge
from timbrespace.runs import jsonable

if TYPE_CHECKING:
    from timbrespace.runs import Run


def last_epoch(run: "Run") -> dict[str, Any]:
    """ "distortion" and "rate" as the last epoch's validation found them; {} before the first."""
    figures = run.status().get("figures")
    if not isinstance(figures, dict):
        return {}
    bottleneck = run.recipe.model.bottleneck
    nats = _number(figures.get("valid_nats"))
    rate: dict[str, Any] = {
        "nats_per_sound": nats, "bits_per_sound": None if nats is None else bits(nats),
        "dimensions": bottleneck.size, "bits_per_dimension": None,
    }  # fmt: skip
    if bottleneck.codebooks is None:
        rate["active_units"] = int(_number(figures.get("valid_active_units")) or 0)
    else:
        used = [_number(v) or 0.0 for k, v in figures.items() if k.startswith("valid_codes_used_")]
        rate |= {"codes": bottleneck.codebooks.count, "codes_used": int(sum(used))}
    each = _nats_per_dimension(run)
    if each and bottleneck.codebooks is None:
        rate["bits_per_dimension"] = [bits(value) for value in each]
        rate["active_units_by_rate"] = sum(value > ACTIVE_NATS for value in each)
    distortion = {name: figures.get(f"valid_{name}") for name in ("rmse_db", "rmse_db_at_mean")}
    return {"distortion": distortion, "rate": rate}


def measure(run: "Run", why_not: str, asked: Sequence[str]) -> dict[str, Any]:
    """metrics.json of a run without its sounds: `why_not` in the place of each question that was asked."""
    status, found = run.status(), last_epoch(run)
    words, faults = f"{why_not}; no epoch is finished either", ()
    if found:
        judged = judge(found)
        words, faults = f"{why_not}; of the last epoch: {judged.words}", judged.faults
    answers = {name: {"why_not": why_not} for name in asked}
    return jsonable({
        "format": 1, "run": run.name, "sounds": 0,
        "corpus_digest": run.provenance.get("corpus_digest"),
        "training": {k: status[k] for k in ("epoch", "epochs", "finished") if k in status},
        "why_not": why_not, "last_epoch": found or None,
        "settings": run.recipe.model_dump(mode="json"),
        **catalogue.laid_out(answers, asked, run.feature),
        "verdict": words, "faults": list(faults), "healthy": False,
    })  # fmt: skip


def _nats_per_dimension(run: "Run") -> list[float] | None:
    """The last line of history_kl.csv; None where there is none."""
    try:
        with open(run.path / "history_kl.csv", encoding="utf-8", newline="") as file:
            last = list(csv.DictReader(file))[-1]
        return [float(value) for name, value in last.items() if name.startswith("nats_")]
    except (OSError, IndexError, ValueError):
        return None


def _number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
