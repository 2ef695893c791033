"""A device that is not there: tensors on it compute on the processor, but are strict as those of an
Apple GPU are.

They refuse to meet tensors of the processor, and to hold float64. So code that forgets a device or
needs double precision fails here as it would there. Its name is `meta`, the one device that torch
has everywhere and that nothing here uses.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "meta"
aten = torch.ops.aten
MIXES = (aten.index.Tensor, aten.index_put_.default, aten.copy_.default)
"""What takes tensors of two devices on any GPU: indices may lie on the processor, and copies cross
over.
"""


class There(torch.Tensor):
    """Hold a tensor of the processor that is said to be on the other device."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> There:
        if here.dtype == torch.float64:
            raise TypeError("the device has no float64")
        made: There = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=NAME,
        )
        made.here = here
        return made

    def __repr__(self, **_: Any) -> str:
        return f"There({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class _Make(TorchFunctionMode):
    """Make tensors from numbers on the processor, and bring them to the device then."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.tolist:
            return _here(args[0]).tolist()
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = (args[0], _as_tensors(args[1]), *args[2:])
        if func is torch.Tensor.new_tensor:
            kwargs = {"dtype": args[0].dtype, "device": args[0].device, **kwargs}
            func, args = torch.tensor, args[1:]
        device = torch.device(kwargs.get("device") or "cpu")
        if func in (torch.tensor, torch.as_tensor) and device.type == NAME:
            return func(*args, **{**kwargs, "device": "cpu"}).to(NAME)
        return func(*args, **kwargs)


class PretendDevice(TorchDispatchMode):
    """Let torch have the device."""

    def __enter__(self) -> Any:
        self.make = _Make()
        self.make.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.make.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "device" in kwargs and torch.device(kwargs["device"] or "cpu").type == NAME:
            return run(func, args, kwargs)
        return func(*args, **kwargs)


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the processor, and say that what comes out is where its inputs are, or
    where it is asked for.
    """
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    assert not any(type(one) is torch.Tensor and one.is_meta for one in tensors)
    theirs = {id(one.here): one for one in tensors if isinstance(one, There)}
    if theirs and func not in MIXES:
        strangers = [one for one in tensors if not isinstance(one, There) and one.dim()]
        if strangers:
            raise RuntimeError(f"{func} got tensors of two devices")
    if theirs and kwargs.get("dtype") == torch.float64:
        raise TypeError("the device has no float64, on the way to the processor neither")
    there = bool(theirs)
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == NAME
        if there and any(one.dtype == torch.float64 for one in tensors):
            raise TypeError("the device has no float64, on the way from the processor neither")
        kwargs = {**kwargs, "device": torch.device("cpu")}
    found = func(*tree_map(_here, args), **tree_map(_here, kwargs))

    def bring(item: Any) -> Any:
        if id(item) in theirs:  # it was changed in place
            return theirs[id(item)]
        return There(item) if there and type(item) is torch.Tensor else item

    return tree_map(bring, found)


def _as_tensors(index: Any) -> Any:
    """Turn lists of numbers in an index into tensors, as torch does out of sight of modes."""
    if isinstance(index, tuple):
        return tuple(map(_as_tensors, index))
    return torch.tensor(index) if isinstance(index, list) else index


def _here(item: Any) -> Any:
    return item.here if isinstance(item, There) else item
