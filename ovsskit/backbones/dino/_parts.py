"""What the files of dino.txt have in common: they are found by hand, or refused."""

from __future__ import annotations

from pathlib import Path

from ovsskit.backbones.dino._published import DINO_TXT
from ovsskit.errors import MissingWeights
from ovsskit.hub.weights import WeightsInfo, describe_part, refuse_to_fetch


def need_part(named: str, part: str) -> Path:
    """Return the file of a part of the model, which a person has fetched.

    Raises:
        MissingWeights: there is none.
    """
    path = Path(named).expanduser()
    if path.is_file():
        return path
    if known := DINO_TXT.get(path.name):
        raise refuse_to_fetch(named, known, part)
    fix = f"Fetch it and name the file: --set backbone.{part}=PATH"
    raise MissingWeights(f"`{named}` is not on this machine.", fix=fix)


def describe_hand_fetched(named: str) -> WeightsInfo:
    """Say what is known of a file that a person fetches, and whether it is here."""
    path = Path(named).expanduser()
    return describe_part(named, path, DINO_TXT.get(path.name))
