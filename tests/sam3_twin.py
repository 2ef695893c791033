"""A small SAM 3 with random numbers and the vocabulary of CLIP, as the hub has it, written when it
is first asked for.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from dino_twin import fill

SIDE, PATCH = 56, 14
WIDTH = {"hidden_size": 16, "num_attention_heads": 2}
LAYERS = {**WIDTH, "num_layers": 2, "intermediate_size": 32}
SHAPE: dict[str, Any] = {
    "vision_config": {
        "backbone_config": {
            **WIDTH,
            "model_type": "sam3_vit_model",
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "image_size": SIDE,
            "patch_size": PATCH,
            "window_size": 2,
            "global_attn_indexes": [1],
            "pretrain_image_size": 28,
        },
        "fpn_hidden_size": 16,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    },
    "text_config": {
        **WIDTH,
        "model_type": "clip_text_model",
        "vocab_size": 49408,
        "intermediate_size": 32,
        "projection_dim": 8,
        "num_hidden_layers": 2,
        "max_position_embeddings": 32,
        "hidden_act": "gelu",
    },
    "geometry_encoder_config": LAYERS,
    "detr_encoder_config": LAYERS,
    "detr_decoder_config": {**LAYERS, "num_queries": 6},
    "mask_decoder_config": {**WIDTH, "num_upsampling_stages": 2},
}


@cache
def sam3_twin() -> str:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng():
        network = transformers.Sam3Model(transformers.Sam3Config(**SHAPE))
    for name, tensor in fill(network).state_dict().items():
        if "norm" in name and name.endswith("weight"):
            tensor.add_(1.0)
    network.save_pretrained(folder.name)
    size = {"height": SIDE, "width": SIDE}
    (Path(folder.name) / "preprocessor_config.json").write_text(json.dumps({"size": size}))
    return folder.name
