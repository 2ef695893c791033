"""Where GroupViT's weights are published, and under which licence."""

from __future__ import annotations

from ovsskit.hub.weights import Published

LICENCE = (
    "NVIDIA Source Code License, non-commercial (code)",
    "research and evaluation only, and so for what derives from it; the weights state no licence "
    "of their own where we looked",
)
PARAMETERS = 55_726_609
AUTHORS = "https://github.com/xvjiarui/GroupViT#benchmark-results"
GROUPVIT = {
    **{
        f"nvidia/groupvit-gcc-{name}": Published(
            f"https://huggingface.co/nvidia/groupvit-gcc-{name}",
            f"trained on the captions of CC3M, CC12M and {what}",
            *LICENCE,
            4 * PARAMETERS,
            is_on_hub=True,
        )
        for name, what in (("yfcc", "YFCC14M"), ("redcaps", "RedCaps12M"))
    },
    **{
        name: Published(
            AUTHORS, f"trained on the captions of CC3M, CC12M and {what}", *LICENCE, 4 * PARAMETERS
        )
        for name, what in (
            ("group_vit_gcc_yfcc_30e-879422e0.pth", "YFCC14M"),
            ("group_vit_gcc_redcap_30e-3dd09a76.pth", "RedCaps12M"),
        )
    },
}
