"""What the files of dino.txt have in common: found by hand, and read whole or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ovsskit.backbones._checkpoint import see_fit
from ovsskit.backbones._inferred import unfit
from ovsskit.backbones.dino._published import DINO_TXT
from ovsskit.errors import MissingWeights, first_of


def need_part(named: str, part: str) -> Path:
    """Return the file of a part of the model, which a person has fetched.

    Raises:
        MissingWeights: there is none.
    """
    path = Path(named).expanduser()
    if path.is_file():
        return path
    known = DINO_TXT.get(path.name)
    there = "" if known is None else f"It is published at {known.where}: {known.holds}."
    fix = f"Fetch it, and name the file: --set backbone.{part}=PATH"
    raise MissingWeights(f"`{named}` is not on this machine.", there=there, fix=fix)


def see_exact(state: Mapping[str, Any], network: Any, whose: str, path: Path, fix: str) -> None:
    """See that tensors have the names and shapes of those of a network, and that no more are there.

    Raises:
        BadWeights: some are missing, too many, or have another shape; `fix` would fix it.
    """
    needed = network.state_dict()
    see_fit(state, needed, whose, path, fix)
    if more := sorted(state.keys() - needed.keys()):
        raise unfit(path, f"{whose} has tensors that are not read: {first_of(more, most=3)}.", fix)
