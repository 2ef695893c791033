"""What the checkpoints of BridgeTower are: folders in Hugging Face format, authors' files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsskit._lazy import transformers
from ovsskit.backbones._checkpoint import count_of
from ovsskit.backbones.matching import _parts as parts
from ovsskit.backbones.matching._family import Family
from ovsskit.hub.weights import Published

TEXT, VISION = "bridgetower.text_model.", "bridgetower.vision_model."
LAYERS = r"bridgetower\.cross_modal_text_layers\.(\d+)\."
RENAMES = (
    ("^vit_model.", f"^{VISION}"),
    ("^text_transformer.", f"^{TEXT}"),
    ("^cross_modal_", "^bridgetower.cross_modal_"),
    ("^token_type_embeddings.", "^bridgetower.token_type_embeddings."),
    *parts.CLIP_RENAMES,
)
"""From the authors' names to those of transformers."""
LICENCE = ("MIT (code)", "of the authors' repository; the model's card was not seen")
PARAMETERS = {"large": 864_518_146, "base": 326_350_082}
CODE = "https://github.com/microsoft/BridgeTower (links in its README)"
AUTHORS = "pre-trained, the authors' own file"
HUB = "pre-trained, with matching head"


def configure(state: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hub's configuration, or infer one from shapes."""
    if said:
        return dict(said)
    vision = parts.clip_shape(state, VISION)
    types = state[f"{TEXT}embeddings.token_type_embeddings.weight"].shape[0]
    width = state["bridgetower.cross_modal_text_transform.weight"].shape[0]
    return {
        "hidden_size": width,
        "num_attention_heads": max(1, width // parts.HEAD_WIDTH),
        "num_hidden_layers": count_of(state, LAYERS),
        "vision_config": vision,
        "text_config": {**parts.bert_shape(state, TEXT), "type_vocab_size": types},
    }


BRIDGETOWER = Family(
    name="BridgeTower",
    fix="Give BridgeTower with its matching head: BridgeTower/bridgetower-large-itm-mlm.",
    head="itm_score.",
    marks=(r"cross_modal_text_layers\.",),
    layers=LAYERS,
    published_layers=6,
    network=lambda: transformers.BridgeTowerForImageAndTextRetrieval,
    embeddings=f"{VISION}visual.embeddings",
    configure=configure,
    dialects=(RENAMES,),
    model_type="bridgetower",
    published={
        name.format(size): Published(
            where.format(size), holds, *LICENCE, 4 * PARAMETERS[size], is_on_hub=holds == HUB
        )
        for name, where, holds in (
            (
                "BridgeTower/bridgetower-{}-itm-mlm",
                "https://huggingface.co/BridgeTower/bridgetower-{}-itm-mlm",
                HUB,
            ),
            ("BridgeTower_pt_{}.ckpt", CODE, AUTHORS),
        )
        for size in PARAMETERS
    },
)
