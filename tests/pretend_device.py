"""A device that is not there: tensors on it compute on the processor, but are strict as those of an
Apple GPU are.

They refuse to meet tensors of the processor, to hold float64, and to be looked up by numbers of a
type that a GPU does not take. So code that forgets a device or needs double precision fails here as
it would there. Its name is `meta`, the one device that torch has everywhere and that nothing here
uses.

Whatever a GPU would make the program wait for is noted: numbers that come back, shapes that follow
from them, and tensors that are brought from one side to the other.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Capability, Stage, use_of

NAME = "meta"
aten = torch.ops.aten
MIXES = (aten.index.Tensor, aten.index_put_.default, aten.copy_.default)
"""What takes tensors of two devices on any GPU: indices may lie on the processor, and copies cross
over.
"""
ASKS = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten._unique,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.unique_dim_consecutive,
    aten.bincount,
    aten.equal,
    aten.multinomial,
    aten.linalg_eigh,
    aten._linalg_eigh,
    aten._linalg_solve_ex,
    aten.linalg_inv_ex,
}
"""What has an answer that a program waits for: a number, or a shape that follows from numbers."""
PLACES = {
    aten.gather: (2, {torch.int64}),
    aten.scatter: (2, {torch.int64}),
    aten.scatter_: (2, {torch.int64}),
    aten.scatter_add: (2, {torch.int64}),
    aten.scatter_add_: (2, {torch.int64}),
    aten.scatter_reduce: (2, {torch.int64}),
    aten.index_select: (2, {torch.int32, torch.int64}),
    aten.index_add: (2, {torch.int32, torch.int64}),
    aten.index_add_: (2, {torch.int32, torch.int64}),
    aten.index_fill: (2, {torch.int64}),
    aten.index_fill_: (2, {torch.int64}),
    aten.index_copy: (2, {torch.int64}),
    aten.take: (1, {torch.int64}),
    aten.embedding: (1, {torch.int32, torch.int64}),
    aten.index: (1, {torch.bool, torch.int64}),
    aten.index_put: (1, {torch.bool, torch.int64}),
    aten.index_put_: (1, {torch.bool, torch.int64}),
}
"""Which argument of an operation names places, and the types that all GPUs take for it."""
PACKAGE = Path(__file__).parents[1] / "ovsskit"
CARRIERS = {PACKAGE / "engine" / name for name in ("devices.py", "sending.py")}
CARRIERS |= {*(PACKAGE / "engine" / "values").iterdir()}
"""Files that move what others ask them to move: the others are to be named."""


@dataclass(frozen=True)
class Wait:
    """Say where the package waited for the device, for which operation, and of what kind it is.

    The owner is the stage or backbone that was at work, by the name that recipes use.

    The program waits for a number (`ask`), or until a tensor is on the processor or on the device.
    Only what is sent without blocking (`send`) is not waited for.
    """

    kind: Literal["ask", "to host", "to device", "send"]
    owner: str
    operation: str
    file: str
    line: int
    bytes: int

    def __str__(self) -> str:
        how = f"{self.operation} ({self.kind}, {self.bytes} bytes)"
        return f"{self.file}:{self.line}: {how} in {self.owner or 'the engine'}"


class There(torch.Tensor):
    """Hold a tensor of the processor that is said to be on the other device."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> There:
        if here.dtype == torch.float64 and not PretendDevice.has_float64:
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
            if isinstance(args[0], There):
                _note("to host", func, args[0])
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
    """Let torch have the device; `waits` are what the program waited for so far."""

    open: PretendDevice | None = None
    has_float64 = False

    def __init__(self, *, float64: bool = False) -> None:
        super().__init__()
        self.float64 = float64
        self.waits: list[Wait] = []

    def __enter__(self) -> Any:
        PretendDevice.open, PretendDevice.has_float64 = self, self.float64
        self.make = _Make()
        self.make.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.make.__exit__(*error)
        PretendDevice.open, PretendDevice.has_float64 = None, False

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
    if theirs:
        _see_places(func, args)
    no_float64 = not PretendDevice.has_float64
    if theirs and no_float64 and kwargs.get("dtype") == torch.float64:
        raise TypeError("the device has no float64, on the way to the processor neither")
    there = bool(theirs)
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == NAME
        if there and no_float64 and any(one.dtype == torch.float64 for one in tensors):
            raise TypeError("the device has no float64, on the way from the processor neither")
        kwargs = {**kwargs, "device": torch.device("cpu")}
    found = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    _note_wait(func, args, kwargs, tensors, comes_back=bool(theirs) and not there)

    def bring(item: Any) -> Any:
        if id(item) in theirs:  # it was changed in place
            return theirs[id(item)]
        return There(item) if there and type(item) is torch.Tensor else item

    return tree_map(bring, found)


def _see_places(func: Any, args: Any) -> None:
    """Refuse numbers of places of a type that some GPUs do not take."""
    place, allowed = PLACES.get(func.overloadpacket, (0, set()))
    if allowed:
        for one in tree_leaves(args[place]):
            if isinstance(one, torch.Tensor) and one.dtype not in allowed:
                raise IndexError(f"{func} got places as {one.dtype}; a GPU takes {allowed}")


def _note_wait(
    func: Any, args: Any, kwargs: Any, tensors: list[torch.Tensor], *, comes_back: bool
) -> None:
    """Note an operation if a program waits for it on a GPU."""
    packet = func.overloadpacket
    there = [one for one in tensors if isinstance(one, There)]
    is_sent = kwargs.get("non_blocking") or (packet is aten.copy_ and args[2:] == (True,))
    sent = "send" if is_sent else "to device"
    if packet in ASKS:
        _note("ask", func, tensors[0])
    elif packet in (aten.index, aten.index_put, aten.index_put_):
        places = [one for one in tree_leaves(args[1]) if isinstance(one, torch.Tensor)]
        is_fill = packet is not aten.index and args[2].numel() == 1
        if any(one.dtype == torch.bool for one in places) and not is_fill:
            _note("ask", func, places[0])
        for one in places:
            if not isinstance(one, There):
                _note("to device", func, one)
    elif packet is aten.copy_ and len(there) == 1:
        _note(sent if isinstance(args[0], There) else "to host", func, args[1])
    elif comes_back:
        _note("to host", func, there[0])
    elif not there and packet is aten._to_copy:
        _note(sent, func, tensors[0])


def _note(kind: Any, func: Any, tensor: torch.Tensor) -> None:
    """Note that the package waits, and where: the innermost of its lines that carries nothing."""
    frame: Any = sys._getframe()
    where, owner = None, ""
    while frame is not None and not owner:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(PACKAGE) and file not in CARRIERS:
            where = where or (file.relative_to(PACKAGE.parent).as_posix(), frame.f_lineno)
        mine = frame.f_locals.get("self")
        owner = use_of(type(mine)) if isinstance(mine, Stage | Backbone | Capability) else ""
        frame = frame.f_back
    if where is not None and PretendDevice.open is not None:
        name = getattr(func, "__name__", str(func)).removeprefix("aten.")
        PretendDevice.open.waits.append(Wait(kind, owner, name, *where, tensor.nbytes))


def _as_tensors(index: Any) -> Any:
    """Turn lists of numbers in an index into tensors, as torch does out of sight of modes."""
    if isinstance(index, tuple):
        return tuple(map(_as_tensors, index))
    return torch.tensor(index) if isinstance(index, list) else index


def _here(item: Any) -> Any:
    return item.here if isinstance(item, There) else item
