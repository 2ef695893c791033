"""Where CLIP's weights are published, and under which licence, as far as it is known."""

from __future__ import annotations

from ovsskit.hub.weights import Published

LICENCE = ("MIT (code)", "of OpenAI's repository; the model's card was not seen")
CLIP = {
    f"timm/{name}": Published(
        f"https://huggingface.co/timm/{name}",
        "OpenAI's weights, as open_clip reads them",
        *LICENCE,
        4 * parameters,
        is_on_hub=True,
        commit=commit,
    )
    for name, parameters, commit in (
        (
            "vit_base_patch16_clip_224.openai",
            149_620_737,
            "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
        ),
        (
            "vit_large_patch14_clip_224.openai",
            427_616_513,
            "18d0535469bb561bf468d76c1d73aa35156c922b",
        ),
        (
            "vit_large_patch14_clip_336.openai",
            427_944_193,
            "81e38efc4637de5023b10e75a7f9bd1c6fa6b010",
        ),
    )
}
CLIP["laion/CLIP-ViT-B-32-laion2B-s34B-b79K"] = Published(
    "https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "LAION's ViT-B/32, trained by open_clip on LAION-2B",
    "MIT",
    "of the model's card",
    4 * 151_277_313,
    is_on_hub=True,
)
CLIP["timm/vit_base_patch16_clip_224.metaclip_2pt5b"] = Published(
    "https://huggingface.co/timm/vit_base_patch16_clip_224.metaclip_2pt5b",
    "MetaCLIP's ViT-B/16, trained on 2.5 billion pairs of CommonCrawl",
    "CC-BY-NC-4.0",
    "of the card of facebook/metaclip-b16-fullcc2.5b; not for commercial use",
    4 * 149_620_737,
    is_on_hub=True,
)
CLIP["laion/CLIP-ViT-B-16-laion2B-s34B-b88K"] = Published(
    "https://huggingface.co/laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
    "LAION's ViT-B/16, trained by open_clip on LAION-2B",
    "MIT",
    "of the model's page",
    4 * 149_620_737,
    is_on_hub=True,
)
CLIP["apple/DFN2B-CLIP-ViT-B-16"] = Published(
    "https://huggingface.co/apple/DFN2B-CLIP-ViT-B-16",
    "Apple's ViT-B/16, trained on the 2 billion pairs of DFN-2B",
    "Apple's own (apple-amlr)",
    "for research, as others say; its card was not seen",
    4 * 149_620_737,
    is_on_hub=True,
)
"""The commits are those that several public projects pin, with the files that are read here."""

OPENAI, METACLIP = "openai", "metaclip_fullcc"
REPOSITORIES = {
    ("ViT-B-16", OPENAI): "timm/vit_base_patch16_clip_224.openai",
    ("ViT-L-14", OPENAI): "timm/vit_large_patch14_clip_224.openai",
    ("ViT-L-14-336", OPENAI): "timm/vit_large_patch14_clip_336.openai",
    ("RN50x16", OPENAI): "timm/resnet50x16_clip.openai",
    ("ViT-B-16", "laion2b_s34b_b88k"): "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
    ("ViT-B-32", "laion2b_s34b_b79k"): "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    ("ViT-B-16", "dfn2b"): "apple/DFN2B-CLIP-ViT-B-16",
    ("ViT-B-16-quickgelu", METACLIP): "timm/vit_base_patch16_clip_224.metaclip_2pt5b",
    ("ViT-L-14-quickgelu", METACLIP): "timm/vit_large_patch14_clip_224.metaclip_2pt5b",
    ("ViT-H-14-quickgelu", METACLIP): "timm/vit_huge_patch14_clip_224.metaclip_2pt5b",
    ("ViT-gopt-16-SigLIP2-384", "webli"): "timm/ViT-gopt-16-SigLIP2-384",
}
"""Where these tags of architectures lie, as open_clip has it, whose import takes torch."""

SIGLIP = {
    f"timm/{name}": Published(
        f"https://huggingface.co/timm/{name}",
        holds,
        "Apache-2.0",
        "of the models' cards at google/siglip2, which were not seen by us",
        4 * parameters,
        is_on_hub=True,
    )
    for name, holds, parameters in (
        ("ViT-B-16-SigLIP2", "Google's SigLIP 2, ViT-B/16 at 224 pixels", 375_187_970),
        (
            "ViT-gopt-16-SigLIP2-384",
            "Google's SigLIP 2, its largest, at 384 pixels; it taught C-RADIO",
            1_871_885_426,
        ),
    )
}
CLIP |= {"timm/ViT-gopt-16-SigLIP2-384": SIGLIP["timm/ViT-gopt-16-SigLIP2-384"]}
