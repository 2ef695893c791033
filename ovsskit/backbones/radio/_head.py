"""A head of RADIO: it brings a token into the space of one of the teachers.

Names of tensors are those of the checkpoints below a teacher's name. Source: the README of
NVlabs/RADIO, and the shapes of what it publishes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import count_of

INNER = r"^blocks\.(\d+)\."


def build_head(state: Mapping[str, Any]) -> Any:
    """Return the modules of a head without weights, of the shape that tensors say.

    Raises:
        KeyError: a tensor is missing that says it.
    """
    width, entering = state["fc1.weight"].shape
    leaving = state["final.2.weight"].shape[0]
    head = torch.nn.ModuleDict({"fc1": torch.nn.Linear(entering, width)})
    if has_first_norm(state):
        head["pre_norm"] = torch.nn.Sequential(torch.nn.LayerNorm(entering), torch.nn.GELU())
    head["blocks"] = torch.nn.ModuleList(_step(width, width) for _ in range(count_of(state, INNER)))
    head["final"] = _step(width, leaving)
    return head


def has_first_norm(names: Collection[str]) -> bool:
    """Tell whether a head with tensors of these names normalises what enters it."""
    return "pre_norm.0.weight" in names


def _step(entering: int, leaving: int) -> Any:
    return torch.nn.Sequential(
        torch.nn.LayerNorm(entering), torch.nn.GELU(), torch.nn.Linear(entering, leaving)
    )


def run_head(
    head: Any, tokens: Float[torch.Tensor, "token width"]
) -> Float[torch.Tensor, "token out"]:
    """Return tokens in the space of the teacher."""
    if "pre_norm" in head:
        tokens = head["pre_norm"](tokens)
    tokens = head["fc1"](tokens)
    for block in head["blocks"]:
        tokens = tokens + block(tokens)
    found: torch.Tensor = head["final"](tokens)
    return found
