"""Small networks of the proposers with random numbers, as the hub has them, written when they are
first asked for.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import transformers
from dino_twin import fill

PREPARED: dict[str, dict[str, Any]] = {
    "sam": {
        "size": {"longest_edge": 64},
        "pad_size": {"height": 64, "width": 64},
        "mask_size": {"longest_edge": 16},
        "mask_pad_size": {"height": 16, "width": 16},
    },
    "sam2": {"size": {"height": 64, "width": 64}, "mask_size": {"height": 16, "width": 16}},
    "mask2former": {"size": {"shortest_edge": 32, "longest_edge": 64}, "size_divisor": 32},
    "eomt": {"size": {"shortest_edge": 32, "longest_edge": 32}, "do_pad": True},
}
"""How images are prepared."""
DECODER = {"mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def sam() -> Any:
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 16,
            "output_channels": 8,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [1],
            "num_pos_feats": 4,
            "mlp_dim": 32,
        },
        prompt_encoder_config={
            "hidden_size": 8,
            "image_size": 64,
            "patch_size": 8,
            "mask_input_channels": 4,
        },
        mask_decoder_config={**DECODER, "hidden_size": 8, "iou_head_hidden_dim": 8},
    )
    return transformers.SamModel(config)


def sam2() -> Any:
    hiera = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "num_attention_heads": 1,
        "image_size": [64, 64],
        "window_positional_embedding_background_size": [4, 4],
        "num_query_pool_stages": 3,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    config = transformers.Sam2Config(
        vision_config={
            "backbone_config": hiera,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 16,
        },
        prompt_encoder_config={
            "hidden_size": 16,
            "image_size": 64,
            "patch_size": 16,
            "mask_input_channels": 4,
        },
        mask_decoder_config={**DECODER, "hidden_size": 16, "iou_head_hidden_dim": 8},
    )
    return transformers.Sam2Model(config)


def mask2former() -> Any:
    swin = transformers.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=swin,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=16,
        num_queries=5,
        num_labels=3,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config)


def eomt() -> Any:
    config = transformers.EomtConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        num_queries=5,
        num_blocks=1,
        num_labels=3,
        num_upscale_blocks=1,
        num_register_tokens=1,
    )
    return transformers.EomtForUniversalSegmentation(config)


@cache
def proposer_twin(name: str) -> str:
    """Return the folder of a small network."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    transformers.utils.logging.disable_progress_bar()
    fill(globals()[name]()).save_pretrained(folder.name)
    (Path(folder.name) / "preprocessor_config.json").write_text(json.dumps(PREPARED[name]))
    return folder.name
