"""Write and read the tiny CLIP: open_clip's configuration, safetensors, tokenizer."""

import json
from pathlib import Path
from typing import Final

from safetensors.torch import load_file, save_file

from tiny_models.clip import ClipSettings, TinyClip
from tiny_models.dataset import DEVIATION, MEAN
from tiny_models.tokenizer import vocabulary, write_tokenizer

WEIGHTS: Final = "model.safetensors"


def write_clip(model: TinyClip, settings: ClipSettings, folder: Path) -> None:
    """Write configuration, tokenizer and half-precision weights."""
    folder.mkdir(parents=True, exist_ok=True)
    preprocessing = {
        "mean": MEAN,
        "std": DEVIATION,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }
    config = {"model_cfg": settings.open_clip(), "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_tokenizer(folder, with_blip_tokens=False)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    unfinished = folder / f"{WEIGHTS}.part"
    save_file(weights, unfinished, metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(folder / WEIGHTS)


def read_clip(folder: Path) -> TinyClip:
    """Read the weights back in single precision."""
    model = TinyClip(ClipSettings(len(vocabulary(with_blip_tokens=False))))
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.eval()
