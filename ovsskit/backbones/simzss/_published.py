"""Where SimZSS's weights are published; the names of the files are ours."""

from __future__ import annotations

from ovsskit.hub.weights import Published

SIMZSS = {
    f"simzss_{name}.pt": Published(
        "https://1drv.ms/f/c/dab53052714a2245/"
        "EkcYZFFH4EtEi69qaBRnExsBBPIt2_SG8s9jsOMraU9cEA?e=ko1fkt",
        f"DINOv2's ViT-B/14 with registers, a denoiser, and a text encoder trained on {captions}",
        "none stated",
        "where we looked; the folder is that of the README of tileb1/simzss",
        4 * 158_281_216,
    )
    for name, captions in (("coco", "COCO Captions"), ("laion", "LAION-400M"))
}
