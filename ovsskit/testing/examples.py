"""Examples of every kind that a stage may read, as the kinds themselves give them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from ovsskit.engine.values import Value


def example(kind: Any, seed: int = 0) -> Any:
    """Return an example value of a kind; examples of one seed belong to the same image.

    Raises:
        AssertionError: this is not a kind of value, or its example is of another kind.
        NotImplementedError: the kind has no example.
    """
    [kind, *_] = kinds_of(kind)
    is_kind = isinstance(kind, type) and issubclass(kind, Value)
    assert is_kind, (
        f"{kind} is not a kind of value: annotate what `run` reads with classes of `ovsskit.Value`"
    )
    try:
        value = kind.example(seed)
    except TypeError as error:
        what = f"{kind.__name__}.example fails ({error}). Give {kind.__name__} one of its own."
        raise AssertionError(what) from error
    assert isinstance(value, kind), f"{kind.__name__}.example gives a {type(value).__name__}"
    return value


def kinds_of(hint: Any) -> list[Any]:
    """Return the kinds that a type variable may stand for; anything else stands for itself."""
    if not isinstance(hint, TypeVar):
        return [hint]
    bound: Any = hint.__bound__
    # Kinds that others derive elsewhere are theirs to test.
    return [kind for kind in _below(bound) if kind.__module__ == bound.__module__] or [bound]


def _below(kind: type[Value]) -> Iterator[type[Value]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)
