"""How a run stands, for the head of the page: where its training is, and how good it is."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from timbrespace.data.lock import is_held
from timbrespace.errors import TimbrespaceError

if TYPE_CHECKING:
    from timbrespace.runs import Run


def training(run: Run) -> dict[str, Any]:
    """The epoch, of how many, and whether a process goes on with it."""
    try:
        status = run.status()
    except (TimbrespaceError, OSError, ValueError):
        status = {}
    epoch, epochs = status.get("epoch"), status.get("epochs")
    return {
        "epoch": int(epoch) if isinstance(epoch, int) else None,
        "epochs": int(epochs) if isinstance(epochs, int) else None,
        "finished": bool(status.get("finished", True)),
        "running": is_held(run.lock_path),
    }


def quality(run: Run) -> dict[str, Any]:
    """Verdict in words, distortion in dB, rate in bits: of the evaluation or the last epoch."""
    from timbrespace.evaluation.verdict import verdict

    metrics = _metrics(run)
    try:
        words = str(metrics.get("verdict") or verdict(metrics))
    except (KeyError, TypeError, ValueError):
        words = ""
    nats = _number(_part(metrics, "rate").get("nats_per_sound"))
    return {
        "verdict": words,
        "distortion_db": _number(_part(metrics, "distortion").get("rmse_db")),
        "bits_per_sound": None if nats is None else nats / math.log(2),
        "active_units": _number(_part(metrics, "rate").get("active_units")),
    }


def _metrics(run: Run) -> dict[str, Any]:
    """evaluation/metrics.json where sounds were measured after the last epoch, else that epoch's figures."""
    from timbrespace.evaluation.recorded import last_epoch

    try:
        epoch = run.status().get("epoch")
        text = (run.path / "evaluation" / "metrics.json").read_text(encoding="utf-8")
        metrics = json.loads(text)
        if (
            isinstance(metrics, dict)
            and "distortion" in metrics
            and _part(metrics, "training").get("epoch") == epoch
        ):
            return metrics
    except (TimbrespaceError, OSError, ValueError):
        pass
    return last_epoch(run)


def _part(table: Any, name: str) -> dict[str, Any]:
    part = table.get(name) if isinstance(table, dict) else None
    return part if isinstance(part, dict) else {}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
