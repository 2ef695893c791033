"""The image encoder of BLIP and ALBEF: a ViT whose last normalisation is on all tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import count_of
from ovsskit.backbones.matching._bert import HEAD_WIDTH, BertBackbone

EPSILON = 1e-6
"""Of its layer norms: so trained, though configurations of converted models say 1e-5."""
RENAMES = (
    ("^visual_encoder.", "^vision_model."),
    ("vision_model.cls_token", "vision_model.embeddings.class_embedding"),
    ("vision_model.pos_embed", "vision_model.embeddings.position_embedding"),
    ("vision_model.patch_embed.proj.", "vision_model.embeddings.patch_embedding."),
    ("vision_model.norm.", "vision_model.post_layernorm."),
    ("vision_model.blocks.", "vision_model.encoder.layers."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attn.proj.", ".self_attn.projection."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
)
"""From the names of LAVIS to those of transformers; the text encoder's are the same in both."""
MARKS = (r"^(visual_encoder\.blocks|vision_model\.encoder)\.", r"crossattention\.")


class BlipTowerBackbone(BertBackbone):
    """Encode images with the `vision_model` of the network."""

    def embeddings_of(self, network: Any) -> Any:
        """Return the module that embeds patches and their positions."""
        return network.vision_model.embeddings

    def encode_image(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image key width"]:
        """Return the image encoder's output, class token first."""
        found: torch.Tensor = self.network.vision_model(pixels).last_hidden_state
        return found


def tower_shape(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of an image encoder whose tensors have these shapes.

    Raises:
        KeyError: a tensor is missing.
    """
    patches = state["vision_model.embeddings.patch_embedding.weight"].shape
    cells = state["vision_model.embeddings.position_embedding"].shape[1] - 1
    return {
        "hidden_size": patches[0],
        "patch_size": patches[-1],
        "image_size": round(cells**0.5) * patches[-1],
        "intermediate_size": state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": count_of(state, r"vision_model\.encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, patches[0] // HEAD_WIDTH),
        "layer_norm_eps": EPSILON,
    }
