"""Where SegFormer's weights are published, and under which licence."""

from __future__ import annotations

from ovsskit.hub.weights import Published

LICENCE = (
    "NVIDIA Source Code License for SegFormer",
    "non-commercial use alone; trained on masks of ADE20K, so no result without pixel labels",
)
SEGFORMER = {
    f"nvidia/segformer-{size}-finetuned-ade-512-512": Published(
        f"https://huggingface.co/nvidia/segformer-{size}-finetuned-ade-512-512",
        f"SegFormer-{size.upper()}, trained on the masks of ADE20K",
        *LICENCE,
        4 * parameters,
        is_on_hub=True,
    )
    for size, parameters in (("b0", 3_752_694), ("b1", 13_717_206), ("b2", 27_462_550))
}
