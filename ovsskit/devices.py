"""Choose where to compute, and how many items a network sees at once."""

from __future__ import annotations

from ovsskit.errors import BadValue, Place, UnknownDevice
from ovsskit.lazy import torch


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
            there=f"There are: {', '.join(have)}",
            fix="--device auto takes the first of them.",
            where=Place("--device"),
        )
    return wanted


def choose_batch(batch: int | str, device: str) -> int:
    """Return the largest number of items that a network sees at once; `auto` depends on the device.

    Raises:
        BadValue: it is neither `auto` nor a positive whole number.
    """
    if batch == "auto":
        return 4 if device == "cpu" else 32
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
