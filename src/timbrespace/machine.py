"""What this machine grants us."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_bfloat16(precision: str, device: "torch.device") -> bool:
    """Whether to compute in bfloat16: `auto` takes it where the hardware multiplies it natively."""
    import torch

    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()
