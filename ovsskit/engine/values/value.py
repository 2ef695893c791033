"""What every kind of value can do."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from ovsskit._lazy import torch
from ovsskit.engine.sending import send


@dataclass(frozen=True, eq=False)
class Value:
    """Hold what a slot carries for one image."""

    @classmethod
    def example(cls: type[V], seed: int = 0) -> V:
        """Return an example, from which tests make inputs; those of one seed are of one image.

        Raises:
            NotImplementedError: the kind has none.
        """
        raise NotImplementedError(
            f"{cls.__name__} has no example to test with. Give it one: "
            f"`@classmethod def example(cls, seed: int = 0) -> {cls.__name__}`."
        )

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that a value is of this kind, and keeps its laws: its axes, where jaxtyping is on.

        Raises:
            AssertionError: it is not, or does not.
        """
        assert isinstance(value, cls), f"it is {type(value).__name__}, not {cls.__name__}"
        assert cls.__eq__ is object.__eq__, (
            f"{cls.__name__} compares tensors; make it `@dataclass(frozen=True, eq=False)`"
        )
        replace(value)

    def to(self: V, device: Any) -> V:
        """Return the same value with its tensors on another device."""
        tensors = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if isinstance(getattr(self, f.name), torch.Tensor)
        }
        return replace(self, **{name: send(tensor, device) for name, tensor in tensors.items()})


V = TypeVar("V", bound=Value)
