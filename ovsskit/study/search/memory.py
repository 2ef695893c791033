"""Measure the peak memory of a piece of work: on an NVIDIA GPU, or of the process on Linux."""

from __future__ import annotations

import re
from pathlib import Path

from ovsskit._lazy import torch

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK = "5"
"""What the kernel takes as: begin the peak of the resident memory anew (proc(5))."""


class PeakMemory:
    """Read the peak since the last reading.

    It is the bytes allocated on the GPU, or the resident memory of the process.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.lap()

    @classmethod
    def start(cls, device: str) -> PeakMemory | None:
        """Begin to measure the memory of work on a device; None where the system does not tell."""
        if device.startswith("cuda"):
            torch.cuda.init()  # a peak cannot be reset before
            return cls(device)
        if device != "cpu":
            return None
        try:
            RESET.write_text(RESET_PEAK)
        except OSError:
            return None
        return cls(device)

    def lap(self) -> int:
        """Return the peak since the last reading, in bytes, and begin anew."""
        if self.device.startswith("cuda"):
            peak = torch.cuda.max_memory_allocated(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            return int(peak)
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        RESET.write_text(RESET_PEAK)
        return 1024 * int(found[1]) if found else 0
