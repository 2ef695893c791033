"""What the checkpoints of BLIP are: folders in Hugging Face format, and files of LAVIS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsskit._lazy import transformers
from ovsskit.backbones.matching import _parts as parts
from ovsskit.backbones.matching._family import Family
from ovsskit.hub.weights import Published

LICENCE = (
    "BSD-3-Clause",
    "of the model's card, as the MTEB benchmark's list of models states it",
)
PARAMETERS = {"large": 446_128_642, "base": 223_744_258}


def configure(state: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the hub's configuration, or infer one from shapes."""
    if not said:
        return {
            "text_config": parts.crossing_shape(state, "text_encoder.encoder.layer.0"),
            "fusion_layer": 0,
            "image_text_hidden_size": state["vision_proj.weight"].shape[0],
            "vision_config": parts.blip_shape(state),
        }
    # A configuration that leaves the heads out means BERT's 12, not the default of BlipTextConfig.
    text = {"num_attention_heads": 12, **said["text_config"]}
    vision = {**said["vision_config"], "layer_norm_eps": parts.BLIP_EPSILON}
    return {**said, "text_config": text, "vision_config": vision, "fusion_layer": 0}


BLIP = Family(
    name="BLIP",
    fix="Give a BLIP image-text matching model, such as Salesforce/blip-itm-large-flickr.",
    head="itm_head.",
    marks=(*parts.BLIP_MARKS, r"\.layer\.0\.crossattention\."),
    layers=parts.CROSSING,
    published_layers=12,
    network=lambda: transformers.BlipForImageTextRetrieval,
    embeddings=parts.BLIP_EMBEDDINGS,
    configure=configure,
    dialects=(parts.BLIP_RENAMES,),
    model_type="blip",
    published={
        f"Salesforce/blip-itm-{size}-{data}": Published(
            f"https://huggingface.co/Salesforce/blip-itm-{size}-{data}",
            f"fine-tuned for retrieval on {name}, with matching head",
            *LICENCE,
            4 * PARAMETERS[size],
            is_on_hub=True,
            commit=commit,
        )
        # The commits are those that the MTEB benchmark's list of models pins.
        for size, data, name, commit in (
            ("large", "flickr", "Flickr30k", "bda12e6506758f54261b5ab174b2c55a3ba143fb"),
            ("large", "coco", "COCO", "fef05cafc05298067cbbca00b125749394a77a6f"),
            ("base", "flickr", "Flickr30k", "1de29e660d91ae1786c1876212ea805a22eab251"),
            ("base", "coco", "COCO", "7eaa90c11850c0b17fc38c6a11e7d88bd6ac231f"),
        )
    },
)
