"""Write the tiny OFA: safetensors under the official names, and the dictionary that it has."""

from pathlib import Path

from ovsskit.backbones.ofa._network import OfaNetwork
from ovsskit.backbones.ofa._text import DICTIONARY
from tiny_models.halves import write_halves
from tiny_models.ofa import words


def write_ofa(network: OfaNetwork, folder: Path) -> None:
    """Write half-precision weights, and one line of the dictionary for every word piece."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DICTIONARY).write_text("".join(f"{piece} 1\n" for piece in words()))
    state = {name: one for name, one in network.state_dict().items() if "num_batches" not in name}
    write_halves(state, {"format": "pt"}, folder)
