"""What a run can prove: its recipe, its metrics, its corpus. The one place that figures come from."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from timbrespace.data.instruments import BANK
from timbrespace.errors import RunError
from timbrespace.evaluation import catalogue
from timbrespace.runs import Run
from timbrespace.writeup.blocks import slug

NEEDED = (
    "distortion.groups",
    "floors.mean_sound_cosine",
    "ceilings",
    "heard",
    "families",
    "verdict",
)


@dataclass(frozen=True)
class Evidence:
    """A run with its metrics. `name` is that of its folder; `slug` the same as part of file names. Where it
    stands for several seeds or folds, `row` is theirs (`comparison.over_seeds`), and `name` its recipe's."""

    run: Run
    metrics: dict[str, Any]
    name: str
    slug: str
    row: dict[str, Any] | None = None

    @classmethod
    def of(cls, path: str | Path, metrics: dict[str, Any]) -> "Evidence":
        """RunError where `metrics`, those of `comparison.rows`, are of a version that measured less."""
        name = Path(path).resolve().name
        made = cls(Run.open(path), metrics, name, slug(name))
        if any(made.at(key) is None for key in NEEDED):
            raise RunError(
                f"{path} was evaluated by an earlier version, which measured less; run: timbrespace "
                f"evaluate {path}"
            )
        return made

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> "Evidence":
        """The run of a row of `comparison.rows`, or the first of its runs."""
        if row.get("n", 1) == 1:
            metrics = row["metrics"][0] if "n" in row else row["metrics"]
            return cls.of(row["run"], metrics)
        made = [cls.of(*one) for one in zip(row["paths"], row["metrics"], strict=True)]
        return replace(made[0], name=row["recipe"], slug=slug(row["recipe"]), row=row)

    @property
    def missing(self) -> list[str]:
        """What was not measured, a sentence each, with the command that measures it."""
        options = {"distribution": " --distribution", "perception": " --perception BENCHMARK"}
        left_out = catalogue.not_asked(self.metrics)
        names = [
            name for name in (*catalogue.QUESTIONS, *catalogue.ON_REQUEST)
            if name in left_out or name not in self.metrics
        ]  # fmt: skip
        asked = {name.capitalize(): options.get(name, "") for name in names}
        if not (self.run.path / "evaluation" / "generation.json").is_file():
            asked["How real new sounds are"] = " --generation"
        return [
            f"{what} was not measured; to measure it, run: timbrespace evaluate {self.run.path}{option}"
            for what, option in asked.items()
        ]

    def at(self, key: str) -> Any:
        """What metrics.json has at "part.name"; None where it has nothing."""
        return catalogue.at(self.metrics, *key.split("."))

    def number(self, key: str, digits: int = 0) -> str:
        """A figure of metrics.json with so many digits behind the point, its interval behind it."""
        value, ends = self.at(key), self.at(f"{key}_interval")
        if value is None:
            return "not known"
        told = f"{value:,.{digits}f}"
        return told if ends is None else f"{told} [{ends[0]:,.{digits}f}, {ends[1]:,.{digits}f}]"

    @cached_property
    def splits(self) -> dict[str, int]:
        """How many sounds each split had when training began."""
        return dict(Counter(self.run.split().values()))

    @cached_property
    def corpus(self) -> dict[str, Any]:
        """corpus.json of what it was trained on; {} where that is gone or has changed."""
        found = _json(Path(self.run.provenance["corpus"]) / "corpus.json")
        same = str(found.get("sounds_sha256", "")).startswith(self.run.provenance["corpus_digest"])
        return found if found and same else {}

    @cached_property
    def health(self) -> dict[str, Any]:
        """health.json of that corpus; {} where there is none."""
        return _json(Path(self.run.provenance["corpus"]) / "health.json") if self.corpus else {}

    @cached_property
    def bank(self) -> dict[str, Any] | None:
        """Where the built-in instruments are from, when the corpus was rendered from them."""
        rendered = _json(Path(str(self.corpus.get("source", ""))) / "provenance.json")
        bank = _json(BANK.parent / "provenance.json")
        return bank if rendered.get("soundfont_sha256") == bank["bank_sha256"] else None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
