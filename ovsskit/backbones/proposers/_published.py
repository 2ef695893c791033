"""Where the weights of proposers are published, under which licence, and what trained them."""

from ovsskit.hub.weights import Published

MASKS = "trained with masks that people drew or corrected, without class names"
COCO = "supervised proposals: trained with the panoptic masks and classes of COCO"


def _of_hub(name: str, holds: str, licence: str, remark: str, millions: int) -> Published:
    where, size = f"https://huggingface.co/{name}", 4_000_000 * millions
    return Published(where, holds, licence, remark, size, is_on_hub=True)


APACHE = ("Apache-2.0", "of the repository")
SAM = {
    f"facebook/sam-vit-{size}": _of_hub(
        f"facebook/sam-vit-{size}", f"SAM's ViT-{letter}, {MASKS} (SA-1B)", *APACHE, millions
    )
    for size, letter, millions in (("base", "B", 94), ("large", "L", 312), ("huge", "H", 641))
}
SAM2 = {
    "facebook/sam2-hiera-large": _of_hub(
        "facebook/sam2-hiera-large", f"SAM 2's Hiera-L, {MASKS} (SA-1B, SA-V)", *APACHE, 224
    )
}
MASK2FORMER = {
    "facebook/mask2former-swin-large-coco-panoptic": _of_hub(
        "facebook/mask2former-swin-large-coco-panoptic",
        f"Mask2Former with a Swin-L, {COCO}",
        "other",
        "as the hub says; the code is MIT",
        216,
    )
}
EOMT = {
    "tue-mps/coco_panoptic_eomt_large_640": _of_hub(
        "tue-mps/coco_panoptic_eomt_large_640",
        f"EoMT-L at 640 pixels, {COCO}",
        "MIT",
        "of the repository",
        316,
    )
}
