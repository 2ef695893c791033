"""Write the tiny OFA: safetensors under the official names, and the dictionary that it has."""

from pathlib import Path
from typing import Final

from safetensors.torch import save_file

from ovsskit.backbones._ofa_network import OfaNetwork
from ovsskit.embedded.training.ofa import words

WEIGHTS: Final = "model.safetensors"


def write_ofa(network: OfaNetwork, folder: Path) -> None:
    """Write half-precision weights, and one line of the dictionary for every word piece."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in words()))
    state = {name: one.half().contiguous() for name, one in network.state_dict().items() if "num_batches" not in name}
    unfinished = folder / f"{WEIGHTS}.part"
    save_file(state, unfinished, metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(folder / WEIGHTS)
