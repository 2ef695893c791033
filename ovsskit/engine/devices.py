"""Choose the device and its batch size, and ask a device about its work and memory."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ovsskit._lazy import torch
from ovsskit.errors import BadValue, Place, UnknownDevice

log = logging.getLogger(__name__)

BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What processors call their ability to compute in bf16."""

CPUINFO = Path("/proc/cpuinfo")

NO_FLOAT64 = ("mps",)
"""Devices without float64: Apple's GPUs."""

NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""What torch says where a processor or an Apple GPU has no memory left."""


def choose_device(name: str) -> str:
    """Return the device to use; `auto` is the first GPU, or the processor where there is none.

    Raises:
        UnknownDevice: this machine has no such device.
    """
    have = ["cpu"]
    if torch.cuda.is_available():
        have = [*(f"cuda:{index}" for index in range(torch.cuda.device_count())), "cpu"]
    if torch.backends.mps.is_available():
        have = ["mps", *have]
    if name == "auto":
        return have[0]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in have:
        raise UnknownDevice(
            f"There is no device `{name}` here.",
            there=f"Available: {', '.join(have)}",
            fix="--device auto takes the first of them.",
            where=Place("--device"),
        )
    return wanted


def choose_batch(batch: int | str, device: str) -> int:
    """Return the largest number of items that a network sees at once; `auto` depends on the device.

    Where a device tells its memory, the driver gives a network no more than fit.

    Raises:
        BadValue: it is neither `auto` nor a positive whole number.
    """
    if batch == "auto":
        return 4 if device == "cpu" else 64 if device.startswith("cuda") else 32
    try:
        size = int(batch)
    except ValueError:
        size = 0
    if size < 1:
        raise BadValue(
            f"--batch is {batch}.",
            fix="Give `auto` or a whole number, 1 or more.",
            where=Place("--batch"),
        )
    return size


def has_native_bf16(device: str) -> bool:
    """Say whether a device computes in bf16 itself; if not, or if unknown, fp32 is faster.

    Processors do from AVX512-BF16 and AMX on, Arm's from BF16 on, NVIDIA's GPUs from Ampere on.
    """
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and not BF16.isdisjoint(_abilities_of_processor())


def choose_precision(device: str) -> Literal["bf16", "fp32"]:
    """Return the number format for a network that is left to the device."""
    return "bf16" if has_native_bf16(device) else "fp32"


def _abilities_of_processor() -> set[str]:
    """Return a processor's features, from torch or (if it is too old) Linux; empty if unknown."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, has in torch.cpu.get_capabilities().items() if has}
    try:
        return set(CPUINFO.read_text().split())
    except OSError:
        return set()


def note_slow_precision(precision: str, device: str) -> None:
    """Say that a number format is slow on a device."""
    if precision == "bf16" and not has_native_bf16(device):
        log.warning("%s has no native bf16, or does not report it: fp32 is probably faster", device)


def place_of_float64(device: torch.device) -> torch.device:
    """Return where to compute in float64 with data on a device.

    It is the device itself or the processor, which is said once.
    """
    if device.type not in NO_FLOAT64:
        return device
    _say_that_float64_is_missing(device.type)
    return torch.device("cpu")


def in_float64(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float64, on its device or on the processor where the device has none."""
    return tensor.to(place_of_float64(tensor.device)).double()


@cache
def _say_that_float64_is_missing(kind: str) -> None:
    log.info("%s has no float64: the steps that need it run on the processor", kind)


def wait_for(device: str) -> None:
    """Wait until a device has done what it was given; a processor always has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def peak_memory_of(device: str) -> int | None:
    """Return the most bytes that this process has allocated on a device, if the device tells."""
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


@dataclass(frozen=True)
class Memory:
    """Hold bytes of a device: what is free, what is in use, and the most that ever was in use."""

    free: int
    used: int
    peak: int


def memory_of(device: str) -> Memory | None:
    """Return how much memory a device has for this process, if it tells."""
    if not device.startswith("cuda"):
        return None
    used = torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - used
    return Memory(free, used, torch.cuda.max_memory_allocated(device))


def free_memory_of(device: str) -> None:
    """Give back to a device the memory that no tensor uses any more."""
    gc.collect()  # a traceback in a cycle holds the tensors of its frames
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that a device is out of memory; only NVIDIA has a class for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)
