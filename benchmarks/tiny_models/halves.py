"""Write weights in half precision, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS: Final = "model.safetensors"


def write_halves(state: Mapping[str, Tensor], notes: dict[str, str], folder: Path) -> None:
    """Write tensors in half precision, with notes in the file."""
    unfinished = folder / f"{WEIGHTS}.part"
    save_file(
        {name: one.half().contiguous() for name, one in state.items()}, unfinished, metadata=notes
    )
    unfinished.chmod(0o644)
    unfinished.replace(folder / WEIGHTS)


def halve(taught: Path, folder: Path, beside: str) -> None:
    """Write what a command of ovsskit trained in half precision, and a copy of a file beside it.

    The classes and the recipe stay in the file of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / beside).write_bytes((taught / beside).read_bytes())
    with safe_open(taught / WEIGHTS, "pt") as opened:
        notes = opened.metadata()
    kept = {key: notes[key] for key in ("format", "classes", "recipe")}
    write_halves(load_file(taught / WEIGHTS), kept, folder)
