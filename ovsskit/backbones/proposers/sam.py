"""SAM: masks at the points of a grid, trained with masks of people and of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones.proposers._point_grid import PointGrid
from ovsskit.backbones.proposers._published import SAM
from ovsskit.engine.model import Facet, GuidesPatches
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.values import GuideFeatures, Image
from ovsskit.engine.values.features import on_grid
from ovsskit.hub.weights import Published


class Sam(PointGrid, GuidesPatches):
    """Propose masks with SAM, one at every point of a grid; or guide by its image encoder.

    It was trained without class names, on masks that people drew or corrected (SA-1B). As a guide
    it sees every image at its own size (the longer side 1024 pixels, as published), and hands on
    the patches that the image fills: of `token`, what leaves the neck behind the last block.
    Source: Kirillov et al. 2023, Segment Anything; transformers (`SamModel`).
    """

    waits: ClassVar[str] = "its image processor prepares images on the processor"
    published: ClassVar[Mapping[str, Published]] = SAM
    called: ClassVar[str] = "SAM"
    marks: ClassVar[tuple[str, ...]] = (r"^vision_encoder\.pos_embed$", r"^mask_decoder\.")
    network_class: ClassVar[str] = "SamModel"
    processor_class: ClassVar[str] = "SamImageProcessor"

    def embed(self, prepared: Any) -> Any:
        """Return the image encoder's map of every image."""
        return self.network.get_image_embeddings(prepared["pixel_values"])

    def to_pixels(self, points: Float[torch.Tensor, "point 2"], prepared: Any) -> Any:
        """Return points in the pixels of each image, which keeps its shape and is padded."""
        sizes = torch.as_tensor(prepared["reshaped_input_sizes"])
        return points * sizes.flip(-1)[:, None].to(points)

    def enlarge(
        self, logits: Float[torch.Tensor, "mask rows cols"], index: int, prepared: Any
    ) -> Float[torch.Tensor, "mask h w"]:
        """Return logits at the image's size, without the padding."""
        [enlarged] = self.processor.post_process_masks(
            [logits[:, None]],
            [prepared["original_sizes"][index].tolist()],
            [prepared["reshaped_input_sizes"][index].tolist()],
            binarize=False,
        )
        found: torch.Tensor = enlarged[:, 0]
        return found

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image, on SAM's own grid."""
        encoder = self.network.vision_encoder
        with torch.no_grad():
            prepared = self.prepare_images(images)
            tokens = encoder.patch_embed(prepared["pixel_values"])
            if encoder.pos_embed is not None:
                tokens = tokens + encoder.pos_embed
            *layers, last = encoder.layers
            for layer in layers:
                tokens = layer(tokens)
            if facet == "token":
                maps = encoder.neck(last(tokens)).float()
            else:
                maps = torch.stack([_facet_map(last, one, facet) for one in tokens]).float()
        patch = encoder.config.patch_size
        sizes = [
            [-(-int(side) // patch) for side in size] for size in prepared["reshaped_input_sizes"]
        ]
        return [
            GuideFeatures(one[:, :rows, :columns].contiguous())
            for one, (rows, columns) in zip(maps, sizes, strict=True)
        ]


def _facet_map(
    block: Any, tokens: Float[torch.Tensor, "rows cols width"], facet: Facet
) -> Float[torch.Tensor, "depth rows cols"]:
    """Return queries, keys or values of a block's input, heads side by side."""
    rows, columns, _ = tokens.shape
    packed = block.attn.qkv(block.layer_norm1(tokens)).flatten(0, 1)
    heads = block.attn.num_attention_heads
    parts = [part.unflatten(1, (heads, -1)).transpose(0, 1) for part in packed.chunk(3, 1)]
    return on_grid(facet_of(parts, facet), (rows, columns))
