"""What the table of published checkpoints says is true as far as this can be seen without them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit._lazy import open_clip, transformers
from ovsskit.backbones.clip._published import CLIP
from ovsskit.backbones.clip._weights import build_network
from ovsskit.backbones.matching._albef_checkpoint import ALBEF
from ovsskit.backbones.matching._blip_checkpoint import BLIP
from ovsskit.backbones.matching._bridgetower_checkpoint import BRIDGETOWER
from ovsskit.backbones.matching._mplug_checkpoint import MPLUG
from ovsskit.backbones.matching.blip_itm import BlipItm
from ovsskit.backbones.simzss._networks import READS, ROWS, make_network
from ovsskit.backbones.simzss._published import SIMZSS
from ovsskit.recipe.build import load_recipe

BERT = {
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "is_decoder": True,
}
VIT = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "patch_size": 16,
}


def bridgetower(width: int, layers: int, patch: int, image: int) -> Any:
    sizes = {"hidden_size": width, "num_hidden_layers": layers}
    text = {
        **sizes,
        "vocab_size": 50265,
        "num_attention_heads": width // 64,
        "intermediate_size": 4 * width,
        "max_position_embeddings": 514,
    }
    config = transformers.BridgeTowerConfig(
        hidden_size=width,
        num_attention_heads=width // 64,
        num_hidden_layers=6,
        vision_config={**sizes, "patch_size": patch, "image_size": image},
        text_config=text,
    )
    return transformers.BridgeTowerForImageAndTextRetrieval(config)


def albef() -> Any:
    text = {**BERT, "vocab_size": 30522, "num_hidden_layers": 12, "encoder_hidden_size": 768}
    config = {"vision_config": {**VIT, "image_size": 384}, "text_config": text, "fusion_layer": 6}
    return ALBEF.network()(transformers.BlipConfig.from_dict(config))


def blip(width: int, layers: int) -> Any:
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "intermediate_size": 4 * width,
    }
    vision = {**VIT, **sizes, "image_size": 384}
    text = {**BERT, "vocab_size": 30524, "num_hidden_layers": 12, "encoder_hidden_size": width}
    config = transformers.BlipConfig(
        vision_config=vision, text_config=text, image_text_hidden_size=256
    )
    return transformers.BlipForImageTextRetrieval(config)


def mplug(size: str, width: int, layers: int, patch: int, image: int) -> Any:
    clip = {
        "hidden_size": width,
        "patch_size": patch,
        "image_size": image,
        "num_hidden_layers": layers,
    }
    text = {**BERT, "vocab_size": 30522, "num_hidden_layers": 6, "encoder_hidden_size": 768}
    config = {
        "text_config": text,
        "vision_config": {"hidden_size": 768},
        "clip": clip,
        "size": size,
        "fusion_layers": 6,
        "unused_layers": 6,
    }
    return MPLUG.network()(transformers.BlipConfig.from_dict(config))


def clip(model: str) -> Any:
    return build_network(open_clip.get_model_config(model), "fp32", device="meta")


def simzss() -> Any:
    vision = {**VIT, "patch_size": 14, "image_size": 518, "num_register_tokens": 4}
    del vision["intermediate_size"]
    text = {"context_length": READS, "vocab_size": ROWS, "width": 512, "heads": 8, "layers": 12}
    config = {
        "vision": vision,
        "denoiser": {**vision, "num_hidden_layers": 1},
        "places": 37,
        "text": {**text, "output_dim": 768},
    }
    return make_network(config)


MAKERS = {
    "timm/vit_base_patch16_clip_224": lambda: clip("ViT-B-16"),
    "timm/vit_large_patch14_clip_224": lambda: clip("ViT-L-14"),
    "timm/vit_large_patch14_clip_336": lambda: clip("ViT-L-14-336"),
    "laion/CLIP-ViT-B-32": lambda: clip("ViT-B-32"),
    "Salesforce/blip-itm-large": lambda: blip(1024, 24),
    "Salesforce/blip-itm-base": lambda: blip(768, 12),
    "BridgeTower/bridgetower-large": lambda: bridgetower(1024, 24, 14, 294),
    "BridgeTower_pt_large": lambda: bridgetower(1024, 24, 14, 294),
    "BridgeTower/bridgetower-base": lambda: bridgetower(768, 12, 16, 288),
    "BridgeTower_pt_base": lambda: bridgetower(768, 12, 16, 288),
    "mscoco.pth": albef,
    "mplug_image-text-retrieval_flickr30k_large": lambda: mplug("large", 1024, 24, 14, 336),
    "mplug_large": lambda: mplug("large", 1024, 24, 14, 336),
    "mplug_base": lambda: mplug("base", 768, 12, 16, 256),
    "simzss_": simzss,
}
"""The network of what is published under names that begin so; all of ALBEF are of one size."""
PUBLISHED = {
    **CLIP,
    **SIMZSS,
    **{
        name: known
        for family in (ALBEF, BLIP, BRIDGETOWER, MPLUG)
        for name, known in family.published.items()
    },
}


@pytest.mark.parametrize("start", MAKERS)
def test_sizes_are_those_of_the_published_architecture(start: str) -> None:
    with torch.device("meta"):
        network = MAKERS[start]()
    size = 4 * sum(tensor.numel() for tensor in network.state_dict().values())
    assert {known.network for name, known in PUBLISHED.items() if name.startswith(start)} == {size}


def test_all_of_albef_are_of_one_size() -> None:
    assert len({known.network for known in ALBEF.published.values()}) == 1


def test_a_revision_that_is_not_named_is_the_known_commit_or_main() -> None:
    known = load_recipe("pnp_blip").plan.models["backbone"]
    assert known.pinned == BLIP.published[known.source].commit  # type: ignore[attr-defined]
    assert len(known.pinned) == 40  # type: ignore[attr-defined]
    assert BlipItm(weights="somebody/blip").pinned == "main"
    for recipe in ("sclip", "itaclip", "maskclip"):
        clip = load_recipe(recipe).plan.models["backbone"]
        assert clip.pinned == "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d"  # type: ignore[attr-defined]
    assert BlipItm(weights=known.source, revision="v2").pinned == "v2"
