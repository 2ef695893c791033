"""Take digests of values without looking at the same tensor twice."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any
from weakref import WeakKeyDictionary

import xxhash

from ovsskit._lazy import torch
from ovsskit.engine.values import Value
from ovsskit.files.digests import digest_texts


def digest_tensor(tensor: torch.Tensor) -> str:
    """Return number format, shape and a digest of the content of a tensor."""
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return f"{tensor.dtype}{tuple(tensor.shape)}{xxhash.xxh3_128_hexdigest(content.data)}"


class Digests:
    """Know the digests of values: of their content, or for what a stage wrote, of how it was made.

    A tensor is hashed once as long as it lives and is not changed in place. What is cut out of a
    tensor whose digest is known, such as a window of an image, is named by where it lies there, and
    not hashed at all.
    """

    def __init__(self) -> None:
        self._known: Any = torch.utils.weak.WeakIdKeyDictionary()
        self._tensorless: WeakKeyDictionary[Value, str] = WeakKeyDictionary()

    def of(self, value: Value) -> str:
        """Return the digest of a value."""
        found = self._tensorless.get(value)
        if found is None:
            found = digest_texts([self._describe(value)])
            if not any(isinstance(item, torch.Tensor) for item in vars(value).values()):
                self._tensorless[value] = found
        return found

    def mark(self, value: Value, key: str) -> None:
        """Identify a value's tensors by the key under which it was made, unless they have a key."""
        for f in fields(value):
            tensor = getattr(value, f.name)
            if isinstance(tensor, torch.Tensor) and self._find(tensor) is None:
                self._remember(tensor, f"{key}.{f.name}")

    def _describe(self, item: Any) -> str:
        if isinstance(item, torch.Tensor):
            return self._tensor(item)
        if is_dataclass(item):
            names = [f.name for f in fields(item) if f.compare]
            parts = (f"{name}={self._describe(getattr(item, name))}" for name in names)
            return f"{type(item).__qualname__}({','.join(parts)})"
        if isinstance(item, tuple) and not all(type(one) in (int, str) for one in item):
            return f"({','.join(map(self._describe, item))})"
        return repr(item)

    def _tensor(self, tensor: torch.Tensor) -> str:
        found = self._find(tensor)
        if found is None:
            found = self._cut(tensor) or digest_tensor(tensor)
            self._remember(tensor, found)
        return found

    def _cut(self, tensor: torch.Tensor) -> str | None:
        """Return where a tensor lies in the known tensor that it is a view of, if it is one."""
        base = tensor._base
        known = None if base is None else self._find(base)
        if base is None or known is None:
            return None
        place = (
            tensor.storage_offset() - base.storage_offset(),
            tensor.shape,
            tensor.stride(),
            base.stride(),
            tensor.dtype,
        )
        return f"{known}{place}"

    def _find(self, tensor: torch.Tensor) -> str | None:
        version, digest = self._known.get(tensor, (None, None))
        return digest if version == _version(tensor) else None

    def _remember(self, tensor: torch.Tensor, digest: str) -> None:
        self._known[tensor] = (_version(tensor), digest)


def _version(tensor: torch.Tensor) -> int:
    """Return how often a tensor was changed in place; those made in inference mode do not tell."""
    return -1 if tensor.is_inference() else tensor._version
