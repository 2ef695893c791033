"""Where C-RADIO's weights are published, and under which licence."""

from __future__ import annotations

from ovsskit.hub.weights import Published

LICENCE = (
    "NVIDIA Open Model License",
    "of the models' cards; commercial use is allowed. The code of NVlabs/RADIO has another, for "
    "research alone, and is not used here: the network is that of transformers (Apache-2.0)",
)
CARD = "https://huggingface.co/nvidia"
RADIO = {
    "nvidia/C-RADIOv3-B": Published(
        f"{CARD}/C-RADIOv3-B",
        "C-RADIOv3's ViT-B/16, taught by CLIP, SigLIP 2, DINOv2 and SAM; without heads",
        *LICENCE,
        4 * 98_253_312,
        is_on_hub=True,
    ),
    "c-radio_v3-b_half.pth.tar": Published(
        f"{CARD}/C-RADIOv3-B/resolve/main/c-radio_v3-b_half.pth.tar",
        "C-RADIOv3's ViT-B/16, with the heads into the spaces of its teachers",
        *LICENCE,
        4 * 98_253_312,
    ),
}
