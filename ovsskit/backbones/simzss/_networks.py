"""Make SimZSS's networks: DINOv2, a denoiser, and open_clip's text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsskit._lazy import open_clip, torch, transformers
from ovsskit.backbones._checkpoint import count_of
from ovsskit.backbones.dino import _checkpoint as dino

TEXT_BLOCK = r"^text\.transformer\.resblocks\.(\d+)\."
ROWS, READS = 49_408, 77
"""How many tokens CLIP's tokenizer has, and how many of a text the model reads."""
EPSILON = 1e-6
"""Of the layer norms in timm's networks."""


def configure(state: Mapping[str, Any]) -> dict[str, Any]:
    """Infer the networks' configurations from shapes; heads are 64 wide, as in all of SimZSS.

    The denoiser is a block like those before it. Texts are as wide as patches.
    """
    named = {name.removeprefix("vision."): one for name, one in state.items()}
    vision = {**dino.configure(named, heads=0), "layer_norm_eps": EPSILON}
    width = len(state["text.ln_final.weight"])
    return {
        "vision": vision,
        "denoiser": {**vision, "num_hidden_layers": 1},
        "places": round(state["denoiser.position_embeddings"].shape[1] ** 0.5),
        "text": {
            "context_length": READS,
            "vocab_size": ROWS,
            "width": width,
            "heads": max(1, width // dino.HEAD_WIDTH),
            "layers": count_of(state, TEXT_BLOCK),
            "output_dim": vision["hidden_size"],
        },
    }


def make_network(config: Mapping[str, Any]) -> Any:
    """Return the empty networks of a configuration."""
    with torch.device("meta"):
        vision, denoiser = (
            transformers.Dinov2WithRegistersModel(
                transformers.Dinov2WithRegistersConfig(**config[part])
            )
            for part in ("vision", "denoiser")
        )
        text = open_clip.transformer.TextTransformer(**config["text"])
        places = torch.empty(1, config["places"] ** 2, vision.config.hidden_size)
    vision.embeddings.mask_token = None
    denoiser.embeddings = denoiser.layernorm = None
    denoiser.position_embeddings = torch.nn.Parameter(places)
    [block] = denoiser.encoder.layer
    block.layer_scale1, block.layer_scale2 = torch.nn.Identity(), torch.nn.Identity()
    return torch.nn.ModuleDict({"vision": vision, "denoiser": denoiser, "text": text}).eval()
