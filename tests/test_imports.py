"""The order of the house: imports run one way, importing does nothing, help is instant."""

import ast
import subprocess
import sys
import time
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "timbrespace"
RANKS = [
    {"errors", "machine", "atomic"},
    {"audio", "geometry"},
    {"features", "effects", "page"},
    {"data", "models", "losses", "embedding"},
    {"recipe", "render", "batches", "vocoders"},
    {"runs"},
    {"training", "mapping", "recognition"},
    {"priors", "exporting", "directions", "likeness", "matching"},
    {"evaluation", "controller"},
    {"explorer", "writeup"},
    {
        "verbs",
        "verbs_effects",
        "verbs_vocoders",
        "cli",
        "cli_effects",
        "cli_vocoders",
        "terminal",
        "__init__",
        "__main__",
    },
]
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_parts(source: str) -> set[str]:
    """The parts of timbrespace that a module imports anywhere, inside functions too."""
    parts: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "timbrespace":
                names = [f"timbrespace.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        assert not (isinstance(node, ast.ImportFrom) and node.level), "relative import"
        for name in names:
            root, _, rest = name.partition(".")
            if root == "timbrespace" and rest and not rest.startswith("_"):
                parts.add(rest.partition(".")[0])
    return parts


def faults(part: str, source: str) -> list[str]:
    return [
        f"{part} imports {other}"
        for other in sorted(imported_parts(source))
        if other != part and RANK[other] >= RANK[part] and RANK[part] < len(RANKS) - 1
    ]


def test_every_part_has_a_rank():
    parts = {part_of(p) for p in PACKAGE.rglob("*.py")}
    assert parts <= set(RANK), f"no rank for {parts - set(RANK)}"


def test_imports_only_go_down():
    wrong = [
        f"{path.relative_to(PACKAGE)}: {fault}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for fault in faults(part_of(path), path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


def test_the_rank_test_can_fail():
    assert faults("training", "def f():\n    from timbrespace.explorer import server") != []
    assert faults("models", "from timbrespace.losses import latent") != []
    assert faults("explorer", "from timbrespace.runs import Run") == []


def test_importing_and_help_load_no_torch():
    code = "import sys, timbrespace, timbrespace.cli; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_help_answers_in_under_half_a_second():
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "timbrespace", "--help"], check=True, capture_output=True
        )
        times.append(time.perf_counter() - began)
    assert min(times) < 0.5


def test_importing_changes_no_threads_and_no_seeds():
    code = (
        "import torch\nn, s = torch.get_num_threads(), torch.random.get_rng_state()\n"
        "import timbrespace.verbs, timbrespace.training.loop, timbrespace.explorer.server\n"
        "import timbrespace.data.prepare, timbrespace.render.synth\n"
        "assert torch.get_num_threads() == n and torch.equal(torch.random.get_rng_state(), s)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
