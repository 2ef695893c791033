"""Write the tiny OFA: safetensors under the official names, and the dictionary that it has."""

from pathlib import Path
from typing import Final

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ovsskit.backbones.ofa._network import OfaNetwork
from ovsskit.backbones.ofa._text import DICTIONARY
from tiny_models.ofa import words

WEIGHTS: Final = "model.safetensors"


def write_ofa(network: OfaNetwork, folder: Path) -> None:
    """Write half-precision weights, and one line of the dictionary for every word piece."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DICTIONARY).write_text("".join(f"{piece} 1\n" for piece in words()))
    state = {name: one for name, one in network.state_dict().items() if "num_batches" not in name}
    _write_halves(state, {"format": "pt"}, folder)


def halve_ofa(tuned: Path, folder: Path) -> None:
    """Write a fit's result in half precision, with the classes and the recipe in the file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DICTIONARY).write_bytes((tuned / DICTIONARY).read_bytes())
    with safe_open(tuned / WEIGHTS, "pt") as opened:
        notes = opened.metadata()
    _write_halves(
        load_file(tuned / WEIGHTS),
        {key: notes[key] for key in ("format", "classes", "recipe")},
        folder,
    )


def _write_halves(state: dict[str, Tensor], notes: dict[str, str], folder: Path) -> None:
    unfinished = folder / f"{WEIGHTS}.part"
    save_file(
        {name: one.half().contiguous() for name, one in state.items()}, unfinished, metadata=notes
    )
    unfinished.chmod(0o644)
    unfinished.replace(folder / WEIGHTS)
