"""TCL's grounder: a last block of its own, and a decoder that enlarges what leaves it by four.

Names of tensors are those of the published checkpoint below `masker.`, but for the block's.
Source: Cha et al. 2023, TCL, section 3.2; kakaobrain/tcl bc2b551.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones.clip import _vision as vision

STEPS = 2
"""How often the grid is doubled."""


def add_grounder(network: Any) -> None:
    """Give a CLIP the modules of a grounder, without weights."""
    visual = network.visual
    width = visual.proj.shape[0]
    like = {"device": visual.proj.device}
    network.grounder = torch.nn.ModuleDict(
        {
            "block": deepcopy(vision.blocks_of(visual)[-1]),
            "net": torch.nn.ModuleList(
                torch.nn.ModuleDict({"conv": _gated(width, like), "conv2": _gated(width, like)})
                for _ in range(STEPS)
            ).to(visual.proj.dtype),
            "ln": torch.nn.LayerNorm(width, **like).to(visual.proj.dtype),
        }
    )
    network.grounder.proj = torch.nn.Parameter(torch.empty_like(visual.proj))
    network.grounder.w, network.grounder.b = (
        torch.nn.Parameter(torch.empty((), **like)) for _ in "wb"
    )


def _gated(width: int, like: dict[str, Any]) -> Any:
    """Return the parts of one step: they are run by `_step`."""
    step = torch.nn.ModuleDict(
        {
            "norm": torch.nn.LayerNorm(width, **like),
            "conv": torch.nn.Conv2d(width, width, 3, padding=1, **like),
        }
    )
    step.gate = torch.nn.Parameter(torch.empty((), **like))
    return step


def ground(
    grounder: Any, tokens: Float[torch.Tensor, "token width"], grid: tuple[int, int]
) -> Float[torch.Tensor, "out rows cols"]:
    """Return vectors on a grid four times as fine, of the tokens that enter the last block."""
    block = grounder["block"]
    values = vision.project(block, tokens).values
    left = vision.feed_forward(block, tokens + vision.join_heads(block, values))
    maps = left[1:].T.unflatten(1, grid)[None]
    for step in grounder["net"]:
        maps = torch.nn.functional.interpolate(maps, scale_factor=2)
        for part in (step["conv"], step["conv2"]):
            maps = maps + _step(part, maps)
    found = grounder["ln"](maps[0].permute(1, 2, 0)) @ grounder.proj
    vectors: torch.Tensor = found.permute(2, 0, 1)
    return vectors


def _step(part: Any, maps: Float[torch.Tensor, "1 width h w"]) -> Any:
    normalised = part["norm"](maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return part.gate.tanh() * part["conv"](torch.nn.functional.gelu(normalised))
