"""What SegFormer's checkpoints hold, those of the hub and those that `ovsskit distil` wrote."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveInt, model_validator

from ovsskit._lazy import transformers
from ovsskit.backbones._segmenter_family import Configuration, Family
from ovsskit.errors import refusal

RENAMES = (
    (r"encoder\.patch_embeddings\.(\d+)\.", r"stages.\1.patch_embeddings."),
    (r"encoder\.block\.(\d+)\.", r"stages.\1.blocks."),
    (r"encoder\.layer_norm\.(\d+)", r"stages.\1.layer_norm"),
    (r"attention\.self\.(query|key|value)\b", lambda found: f"attention.{found[1][0]}_proj"),
    (r"attention\.self\.sr\b", "attention.sequence_reduction.sequence_reduction"),
    (r"attention\.self\.layer_norm", "attention.sequence_reduction.layer_norm"),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"mlp\.dense(\d)", r"mlp.fc\1"),
    (r"layer_norm_1", "layernorm_before"),
    (r"layer_norm_2", "layernorm_after"),
    (r"decode_head\.linear_c\b", "decode_head.linear_projections"),
)

Sides = list[PositiveInt]


class SegformerShape(Configuration):
    """Give the shape of a `config.json`, as far as it is read here."""

    hidden_sizes: Sides = Field(min_length=4, max_length=4)
    depths: Sides = Field(min_length=4, max_length=4)
    num_attention_heads: Sides = Field(min_length=4, max_length=4)
    sr_ratios: Sides = Field(default=[8, 4, 2, 1], min_length=4, max_length=4)
    mlp_ratios: Sides = Field(default=[4, 4, 4, 4], min_length=4, max_length=4)
    patch_sizes: Sides = Field(default=[7, 3, 3, 3], min_length=4, max_length=4)
    strides: Sides = Field(default=[4, 2, 2, 2], min_length=4, max_length=4)
    decoder_hidden_size: PositiveInt = 256

    @model_validator(mode="after")
    def _heads_share_width(self) -> SegformerShape:
        for width, heads in zip(self.hidden_sizes, self.num_attention_heads, strict=True):
            if width % heads:
                raise refusal(f"{heads} heads cannot share a width of {width}")
        return self


def build(configuration: SegformerShape, classes: int) -> Any:
    """Return a network with maps of so many classes, whose weights are random.

    Raises:
        ValueError: the numbers describe no network.
    """
    shape = transformers.SegformerConfig(**configuration.shape, num_labels=classes)
    return transformers.SegformerForSemanticSegmentation(shape)


SEGFORMER = Family(
    "SegFormer",
    SegformerShape,
    build,
    RENAMES,
    marks=(r"stages\.0\.patch_embeddings\.proj\.", r"stages\.3\.blocks\.0\.layernorm_before\."),
    unread=r"classifier\..*|decode_head\.batch_norm\.num_batches_tracked",
    encoder="segformer.",
)
