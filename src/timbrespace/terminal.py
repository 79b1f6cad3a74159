"""What the commands share: progress on the terminal, results as JSON, and common options."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Out = Annotated[Path, typer.Option("--out", help="Where the result goes.")]
Format = Annotated[str, typer.Option("--format", help="wav16, wav24, float or flac.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Workers = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Processes; all cores when not given.")
]


class Bars:
    """Progress on stderr: rich bars on a terminal, a plain line every few seconds elsewhere."""

    FACTS = (
        ("rmse_db", "{:.1f} dB"), ("bits", "{:.0f} bits/sound"),
        ("active_units", "{:.0f} active units"), ("codes_used", "{:.0f} codes used"),
        ("sounds_per_second", "{:.0f} sounds/s"), ("loss", "loss {:.2f}"),
    )  # fmt: skip

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )  # fmt: skip

        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False), console=self.console,
        )  # fmt: skip
        self.tasks: dict[str, Any] = {}
        self.use: dict[str, float] = {}  # of the latent, at the last validation
        self.plain = not self.console.is_terminal
        self.last = 0.0

    def __enter__(self) -> "Bars":
        if not self.plain:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self.plain:
            self.progress.stop()

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __call__(self, stage: str, done: int, total: int, facts: dict[str, float]) -> None:
        import time

        if stage == "estimate":
            self.say(estimate_words(facts))
            return
        if stage == "validate":
            self.use = _use_of_latent(facts)
            used = ", ".join(form.format(self.use[k]) for k, form in self.FACTS if k in self.use)
            self.say(
                f"epoch {done}/{total}: {facts['valid_rmse_db']:.2f} dB RMSE at "
                f"{facts['valid_bits']:.1f} bits per sound, {used} (validation)"
            )
            return
        if stage == "vocoder":
            self.say(
                f"held-out sounds, {done} of {total}: log-mel RMSE {facts['rmse_db']:.2f} dB, MR-STFT "
                f"{facts['mr_stft']:.3f}, pitch kept {facts['pitch_kept']:.2f}, {facts['ms']:.1f} ms"
            )
            return
        if stage == "train":
            facts = {**facts, **self.use}
        words = ", ".join(form.format(facts[key]) for key, form in self.FACTS if key in facts)
        if self.plain:
            now = time.monotonic()
            if done == total or now - self.last > 10.0:
                self.last = now
                self.say(f"{stage}: {done}/{total} {words}".rstrip())
            return
        if stage not in self.tasks:
            self.tasks[stage] = self.progress.add_task(stage, total=total, facts="")
        self.progress.update(self.tasks[stage], completed=done, total=total, facts=words)


def _use_of_latent(facts: dict[str, float]) -> dict[str, float]:
    """How much of the latent a validation found in use: its active units, or its codes."""
    if "valid_active_units" in facts:
        return {"active_units": facts["valid_active_units"]}
    return {"codes_used": sum(v for k, v in facts.items() if k.startswith("valid_codes_used_"))}


def estimate_words(facts: dict[str, float]) -> str:
    return (
        f"estimate: {facts['seconds'] / 60:.1f} minutes for {facts['steps']:.0f} steps "
        f"({facts['sounds_per_second']:.0f} sounds/s), {facts['memory_mb']:.0f} MB beside the "
        f"interpreter, {facts['parameters'] / 1e6:.1f} million parameters"
    )


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, default=str, allow_nan=False))


def print_facts(facts: dict[str, Any]) -> None:
    """A line a fact; those of a dict within with its name before theirs."""
    for name, value in facts.items():
        rows = value.items() if isinstance(value, dict) else [(None, value)]
        for key, item in rows:
            typer.echo(f"{name if key is None else f'{name}: {key}':28} {item}")
