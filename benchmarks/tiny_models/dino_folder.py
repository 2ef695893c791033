"""Write and read the tiny DINO: safetensors with the authors' names, and the number of heads."""

import json
from pathlib import Path
from typing import Final

from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer

from tiny_models.dino import HEADS, tiny_vision

WEIGHTS: Final = "model.safetensors"


def write_dino(vision: VisionTransformer, folder: Path) -> None:
    """Write half-precision weights, and beside them what shapes do not say."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": HEADS}) + "\n")
    weights = {name: value.half().contiguous() for name, value in vision.state_dict().items()}
    unfinished = folder / f"{WEIGHTS}.part"
    save_file(weights, unfinished, metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(folder / WEIGHTS)


def read_dino(folder: Path) -> VisionTransformer:
    """Read the weights back in single precision."""
    vision = tiny_vision()
    vision.load_state_dict(load_file(folder / WEIGHTS))
    return vision.eval()
