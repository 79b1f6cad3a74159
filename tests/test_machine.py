"""What the machine grants us: memory that is kept."""

import os
import subprocess
import sys

import pytest

from timbrespace.machine import KEPT

COUNT = """
import resource
import numpy as np
from timbrespace.machine import keep_memory

if {keep}:
    keep_memory()
    keep_memory()  # once more changes nothing
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):  # glibc finds its own sizes
    before = faults()
    for _ in range(50):
        sum(np.ones(200_000) for _ in range(3))
print(faults() - before)
"""


def faults(keep: bool, **variables: str) -> int:
    told = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT.format(keep=keep)], env={**told, **variables}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_that_is_freed_is_kept_here_and_in_child_processes() -> None:
    fresh = faults(keep=False)
    assert fresh > 50 * 200_000 * 8 / 4096  # an array's pages each time
    assert faults(keep=True) < fresh / 20
    inherited = {variable: str(size) for _, variable, size in KEPT.values()}
    assert faults(keep=False, **inherited) < fresh / 20
    # What the user has set stays.
    low = dict.fromkeys(inherited, "65536")
    assert faults(keep=True, **low) > fresh / 2
