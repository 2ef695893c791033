"""Where the checkpoints of the matching models are published, and under which licence, as far as it is known.

Places and licences are those that the repositories state; files and model cards themselves were not opened. The sizes are
of the network's weights in fp32, computed from the published architecture; a file may hold more beside them.
"""

from __future__ import annotations

from ovsskit.hub.weights import Published

BRIDGETOWER_LICENCE = ("MIT (code)", "of the authors' repository; the model's card was not seen")
ALBEF_LICENCE = (
    "BSD-3-Clause (code)",
    "of both repositories; no statement for the weights was found",
)
MPLUG_LICENCE = (
    "Apache-2.0 (code)",
    "of AliceMind, which holds the same code; X-PLUG/mPLUG has no licence file",
)
ALBEF_STORE = "storage.googleapis.com/sfr-pcl-data-research/ALBEF"
LAVIS_STORE = "storage.googleapis.com/sfr-vision-language-research/LAVIS/models/ALBEF"
MPLUG_STORE = "alice-open.oss-cn-zhangjiakou.aliyuncs.com/mPLUG"
MODELSCOPE = "the ModelScope hub as damo/mplug_image-text-retrieval_flickr30k_large_en"
BLIP_LICENCE = (
    "BSD-3-Clause",
    "of the model's card, as the MTEB benchmark's list of models states it",
)
CLIP_LICENCE = ("MIT (code)", "of OpenAI's repository; the model's card was not seen")
SIZES = {
    "clip-base-16": 4 * 149_620_737,
    "clip-large-14": 4 * 427_616_513,
    "clip-large-14-336": 4 * 427_944_193,
    "blip-large": 4 * 446_128_642,
    "blip-base": 4 * 223_744_258,
    "bridgetower-large": 4 * 864_518_146,
    "bridgetower-base": 4 * 326_350_082,
    "albef": 4 * 209_165_570,
    "mplug-large": 4 * 427_371_266,
    "mplug-base": 4 * 208_920_578,
}
"""Bytes of the network's weights."""

CLIP = {
    f"timm/{name}": Published(
        f"https://huggingface.co/timm/{name}",
        "OpenAI's weights, as open_clip reads them",
        *CLIP_LICENCE,
        SIZES[size],
        is_on_hub=True,
        commit=commit,
    )
    for name, size, commit in (
        (
            "vit_base_patch16_clip_224.openai",
            "clip-base-16",
            "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
        ),
        (
            "vit_large_patch14_clip_224.openai",
            "clip-large-14",
            "18d0535469bb561bf468d76c1d73aa35156c922b",
        ),
        (
            "vit_large_patch14_clip_336.openai",
            "clip-large-14-336",
            "81e38efc4637de5023b10e75a7f9bd1c6fa6b010",
        ),
    )
}
"""The commits are those that several public projects pin, each of them with the files that are read here."""

BLIP_ITM = {
    f"Salesforce/blip-itm-{size}-{data}": Published(
        f"https://huggingface.co/Salesforce/blip-itm-{size}-{data}",
        f"fine-tuned for retrieval on {name}, with matching head",
        *BLIP_LICENCE,
        SIZES[f"blip-{size}"],
        is_on_hub=True,
        commit=commit,
    )
    for size, data, name, commit in (
        ("large", "flickr", "Flickr30k", "bda12e6506758f54261b5ab174b2c55a3ba143fb"),
        ("large", "coco", "COCO", "fef05cafc05298067cbbca00b125749394a77a6f"),
        ("base", "flickr", "Flickr30k", "1de29e660d91ae1786c1876212ea805a22eab251"),
        ("base", "coco", "COCO", "7eaa90c11850c0b17fc38c6a11e7d88bd6ac231f"),
    )
}
"""The commits are those that the MTEB benchmark's list of models pins."""

BRIDGETOWER = {
    "BridgeTower/bridgetower-large-itm-mlm": Published(
        "https://huggingface.co/BridgeTower/bridgetower-large-itm-mlm",
        "pre-trained, with matching head",
        *BRIDGETOWER_LICENCE,
        SIZES["bridgetower-large"],
        is_on_hub=True,
    ),
    "BridgeTower/bridgetower-base-itm-mlm": Published(
        "https://huggingface.co/BridgeTower/bridgetower-base-itm-mlm",
        "pre-trained, with matching head",
        *BRIDGETOWER_LICENCE,
        SIZES["bridgetower-base"],
        is_on_hub=True,
    ),
    **{
        f"BridgeTower_pt_{size}.ckpt": Published(
            "https://github.com/microsoft/BridgeTower (links in its README)",
            "pre-trained, the authors' own file",
            *BRIDGETOWER_LICENCE,
            SIZES[f"bridgetower-{size}"],
        )
        for size in ("large", "base")
    },
}
ALBEF = {
    **{
        name: Published(f"{ALBEF_STORE}/{name}", holds, *ALBEF_LICENCE, SIZES["albef"])
        for name, holds in {
            "mscoco.pth": "fine-tuned for retrieval, 384 pixels",
            "flickr30k.pth": "fine-tuned for retrieval, 384 pixels",
            "refcoco.pth": "fine-tuned for grounding, 384 pixels",
            "ALBEF.pth": "pre-trained on 14 million images, 256 pixels",
            "ALBEF_4M.pth": "pre-trained on 4 million images, 256 pixels",
        }.items()
    },
    **{
        name: Published(
            f"{LAVIS_STORE}/{name}",
            "fine-tuned for retrieval by LAVIS, 384 pixels",
            *ALBEF_LICENCE,
            SIZES["albef"],
        )
        for name in ("albef_coco_retrieval_lavis.pt", "albef_flickr_retrieval_lavis.pt")
    },
}
MPLUG = {
    "mplug_image-text-retrieval_flickr30k_large_en": Published(
        MODELSCOPE,
        "fine-tuned for retrieval, with vocab.txt; its folder",
        *MPLUG_LICENCE,
        SIZES["mplug-large"],
    ),
    **{
        name: Published(
            f"{MPLUG_STORE}/{name}",
            "pre-trained; may lack a trained matching head",
            *MPLUG_LICENCE,
            SIZES[size],
        )
        for name, size in {
            "mplug_large_v2.pth": "mplug-large",
            "mplug_large.pth": "mplug-large",
            "mplug_base.pth": "mplug-base",
        }.items()
    },
}
