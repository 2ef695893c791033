"""Let torchvision be imported where its compiled operators cannot be loaded."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

OPERATORS = (
    "nms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
    "qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
)


@cache
def declare_torchvision() -> Any:
    """Import torchvision, if installed; declare the operators whose absence breaks its import.

    PyPI's torchvision for Linux is built for CUDA. Beside a CPU build of torch its library of
    operators does not load, and then importing it, and open_clip and transformers after it, fails
    with "operator torchvision::nms does not exist". Nothing here calls these operators: once their
    names are declared, the rest works. Returns the declaration, which lives as long as it is
    referred to, or None where none is needed.
    """
    if find_spec("torchvision") is None:
        return None
    try:
        import torchvision
    except RuntimeError:
        import torch

        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in OPERATORS:
            library.define(operator)
        import torchvision  # noqa: F401

        return library
    return None
