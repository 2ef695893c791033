"""Read what FOUND's own code computes, with a tower whose weights are drawn from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from recording import CaseFiles
from safetensors.torch import save_file
from sets import Facts

Tensor = torch.Tensor


class Recording(CaseFiles):
    """Read one set: its tower, its decoder, and the tensors of its cases."""

    @property
    def decoder(self) -> Path:
        return self.folder / self.facts["decoder"]["file"]

    def write_tower(self, file: Path) -> None:
        """Write the tower as its authors name its tensors."""
        save_file(self.tower, file)

    @cached_property
    def tower(self) -> dict[str, Tensor]:
        """Return the tower's weights, drawn one tensor after the other."""
        facts = self.facts["weights"]
        draw, found = np.random.RandomState(facts["seed"]), {}
        for name, shape in shapes(facts):
            numbers = draw.standard_normal(shape).astype(np.float32)
            numbers *= np.float32(facts["deviation"])
            is_scale = name.endswith("weight") and "norm" in name
            found[name] = torch.from_numpy(numbers + np.float32(1) if is_scale else numbers)
        content = b"".join(one.numpy().tobytes() for one in found.values())
        assert hashlib.sha256(content).hexdigest() == facts["sha256"], "other weights were drawn"
        return found


def shapes(facts: Facts) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and shapes of a tower's tensors, in the order in which they are drawn."""
    width, side = facts["width"], facts["patch"]
    yield "cls_token", (1, 1, width)
    yield "pos_embed", (1, facts["grid"] ** 2 + 1, width)
    yield "patch_embed.proj.weight", (width, 3, side, side)
    yield "patch_embed.proj.bias", (width,)
    layers = {
        "norm1": (width,),
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "norm2": (width,),
        "mlp.fc1": (4 * width, width),
        "mlp.fc2": (width, 4 * width),
    }
    for number in range(facts["layers"]):
        for name, shape in layers.items():
            yield f"blocks.{number}.{name}.weight", shape
            yield f"blocks.{number}.{name}.bias", shape[:1]
    yield "norm.weight", (width,)
    yield "norm.bias", (width,)
