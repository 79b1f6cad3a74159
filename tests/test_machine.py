"""What the machine grants us: memory that is kept."""

import os
import subprocess
import sys

import pytest

from timbrespace.machine import KEPT

COUNT = """
import resource
import numpy as np

faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):  # glibc finds its own sizes
    before = faults()
    for _ in range(50):
        sum(np.ones(200_000) for _ in range(3))
print(faults() - before)
"""


KEEP = """
from timbrespace.machine import given_back, keep_memory

keep_memory()
keep_memory()  # once more changes nothing
"""
CHILD = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {COUNT!r}], env=given_back(), check=True)
"""


def faults(program: str, **variables: str) -> int:
    told = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**told, **variables}, check=True, capture_output=True, text=True
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_that_is_freed_is_kept_here_and_in_child_processes() -> None:
    fresh = faults(COUNT)
    assert fresh > 50 * 200_000 * 8 / 4096  # an array's pages each time
    assert faults(KEEP + COUNT) < fresh / 20
    inherited = {variable: str(size) for _, variable, size in KEPT.values()}
    assert faults(COUNT, **inherited) < fresh / 20
    # What the user has set stays.
    low = dict.fromkeys(inherited, "65536")
    assert faults(KEEP + COUNT, **low) > fresh / 2
    # Plug-ins have memory as they would without us, and what the user has set.
    assert faults(KEEP + CHILD) > fresh / 2
    high = {variable: str(size // 2) for _, variable, size in KEPT.values()}
    assert faults(KEEP + CHILD, **high) < fresh / 20
