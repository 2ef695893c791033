"""Heavy libraries, imported at first use, so that reading and checking a recipe stays instant.

`from ovsskit._lazy import torch` gives type checkers the real module and the program a stand-in
that imports the module when one of its attributes is first asked for. The stand-in is not put into
`sys.modules`, so other libraries that look there are not misled.
"""

from __future__ import annotations

import os
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ovsskit.torchvision_names import declare_torchvision

IMPORT_TORCHVISION = ("open_clip", "timm", "transformers")


class Lazy(ModuleType):
    """Stand for a module until one of its attributes is needed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._module, name)

    @cached_property
    def _module(self) -> ModuleType:
        """Return the real module; looking it up at each use would take 5 % of a study's time."""
        if self.__name__ in IMPORT_TORCHVISION:
            declare_torchvision()
        if (
            self.__name__ == "torch"
        ):  # it looks once; what Apple's GPUs lack then runs on the processor
            os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
        return import_module(self.__name__)


class LazyShape:
    """Stand for a type of jaxtyping, such as `Float`, until an annotation is looked at."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, shape: Any) -> Any:
        return getattr(import_module("jaxtyping"), self.name)[shape]


if TYPE_CHECKING:
    import kornia as kornia
    import numpy as numpy
    import open_clip as open_clip
    import scipy as scipy
    import skimage as skimage
    import timm as timm
    import torch as torch
    import transformers as transformers
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Int as Int
    from jaxtyping import Shaped as Shaped
    from jaxtyping import UInt8 as UInt8
else:
    kornia = Lazy("kornia")
    numpy = Lazy("numpy")
    open_clip = Lazy("open_clip")
    scipy = Lazy("scipy")
    skimage = Lazy("skimage")
    timm = Lazy("timm")
    torch = Lazy("torch")
    transformers = Lazy("transformers")
    Bool, Float, Int, Shaped, UInt8 = map(LazyShape, ("Bool", "Float", "Int", "Shaped", "UInt8"))
