"""Where DINO's weights are published, and under which licence."""

from __future__ import annotations

from ovsskit.hub.weights import Published

DEIT = {
    "deit_s_sin_dist.pth": Published(
        "https://github.com/Muzammal-Naseer/Intriguing-Properties-of-Vision-Transformers",
        "DeiT's ViT-S/16, distilled on stylised images",
        "none stated",
        "of a release of that repository, where we looked",
        4 * 22_436_432,
    )
}
LICENCE = ("Apache-2.0", "of the repositories facebookresearch/dino and facebookresearch/dinov2")
DINO = {
    f"facebook/{name}": Published(
        f"https://huggingface.co/facebook/{name}", holds, *LICENCE, 4 * parameters, is_on_hub=True
    )
    for name, holds, parameters in (
        ("dino-vits8", "DINO's ViT-S/8, trained on ImageNet without labels", 21_670_272),
        ("dino-vitb8", "DINO's ViT-B/8, trained on ImageNet without labels", 85_807_872),
        ("dino-vitb16", "DINO's ViT-B/16, trained on ImageNet without labels", 85_798_656),
        (
            "dinov2-with-registers-base",
            "DINOv2's ViT-B/14 with registers, trained on LVD-142M without labels",
            86_583_552,
        ),
    )
}
DINOV2_LARGE = "facebook/dinov2-with-registers-large"
HEAD = "dinov2_vitl14_reg4_dinotxt_tet1280d20h24l_vision_head.pth"
TEXTS = "dinov2_vitl14_reg4_dinotxt_tet1280d20h24l_text_encoder.pth"
DINO_TXT = {
    DINOV2_LARGE: Published(
        f"https://huggingface.co/{DINOV2_LARGE}",
        "DINOv2's ViT-L/14 with registers, trained on LVD-142M without labels",
        *LICENCE,
        4 * 304_372_736,
        is_on_hub=True,
    )
} | {
    name: Published(
        f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/{name}", holds, *LICENCE, 4 * numbers
    )
    for name, holds, numbers in (
        (HEAD, "dino.txt's two blocks on DINOv2's ViT-L/14, trained on captions", 25_326_336),
        (TEXTS, "dino.txt's text encoder, trained on captions", 538_131_200),
    )
}
DINOV3 = {
    f"facebook/{name}-pretrain-lvd1689m": Published(
        f"https://huggingface.co/facebook/{name}-pretrain-lvd1689m",
        f"DINOv3's {letter}, trained on LVD-1689M without labels",
        "DINOv3 License",
        "Meta's own terms, to be accepted on the hub",
        4 * parameters,
        is_on_hub=True,
    )
    for name, letter, parameters in (
        ("dinov3-vitb16", "ViT-B/16", 85_660_416),
        ("dinov3-vitl16", "ViT-L/16", 303_129_600),
    )
}
