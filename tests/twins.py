"""Small models with random weights that stand for the full-size ones: the fields of
each backbone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clip_twin import clip_twin
from deeplab_twin import deeplab_twin
from deit_twin import deit_twin
from dino_twin import decoder_twin, dino_twin, dinov3_twin, projection_twin
from dino_txt_twin import dino_txt_twin
from groupvit_twin import groupvit_twin
from ofa_twin import ofa_twin
from prompts_twin import prompts_twin
from proposer_twins import proposer_twin
from radio_twin import radio_twin
from sam3_twin import sam3_twin
from segformer_twin import segformer_twin
from siglip_twin import siglip_twin
from simzss_twin import simzss_twin
from tcl_twin import tcl_twin
from tips_twin import tips_twin
from vit_twin import vit_twin

PARITY = Path(__file__).parent / "parity"
TWINS: dict[str, dict[str, Any]] = {
    "blip_itm": {"weights": str(PARITY / "pnp_ovss"), "image_size": 64},
    "bridgetower": {"weights": str(PARITY / "bridgetower"), "image_size": 56},
    "albef": {"weights": str(PARITY / "albef"), "image_size": 64},
    "mplug": {"weights": str(PARITY / "mplug" / "model_base.safetensors"), "image_size": 64},
    "clip": {"weights": clip_twin(), "model": ""},
    "clip_dense": {"weights": clip_twin(), "model": ""},
    "deeplab": {"weights": deeplab_twin(), "image_size": 64},
    "clip_prompted": {"weights": clip_twin(), "prompts": prompts_twin(), "model": ""},
    "deit": {"weights": deit_twin()},
    "dino": {"weights": dino_twin()},
    "dinov3": {"weights": dinov3_twin()},
    "dino_txt": {"weights": dino_twin(), **dino_txt_twin()},
    "found": {"weights": dino_twin(), "decoder": decoder_twin()},
    "groupvit": {"weights": groupvit_twin()},
    "radio": {"weights": radio_twin()},
    "sam3": {"weights": sam3_twin()},
    "siglip": {"weights": siglip_twin()},
    "simzss": {"weights": simzss_twin()},
    "tcl": {"weights": tcl_twin()},
    "talk2dino": {"weights": dino_twin(), "projection": projection_twin()},
    "tips": {"weights": tips_twin()},
    "ofa": {"weights": ofa_twin(), "image_size": 64},
    "slic": {"pieces": 20},
    "segformer": {"weights": segformer_twin(), "image_size": 64},
    "vit_linear": {"weights": vit_twin(), "image_size": 64},
    **{name: {"weights": proposer_twin(name), "points": 3} for name in ("sam", "sam2")},
    **{name: {"weights": proposer_twin(name)} for name in ("mask2former", "eomt")},
}
SMALLER: dict[str, Any] = {
    "select_head.layer": 2,
    "presence_by_grounding.side": 84,
    "encode_text.templates": "simple",
    "resize_image.short_side": 64,
    "square_image.side": 64,
    "crop_image.short_side": 64,
    "sliding_window.window": 48,
    "sliding_window.stride": 32,
    "window_nodes.window": 48,
    "window_nodes.stride": 32,
    "window_gathered.window": 48,
    "window_gathered.stride": 32,
    "fill_windows.window": 48,
    "fill_windows.stride": 32,
    "window_features.window": 48,
    "window_features.stride": 16,
}
"""Parameters of recipes, by address, that go with them."""
