"""SAM: masks at the points of a grid, trained with masks of people and of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones.proposers._point_grid import PointGrid
from ovsskit.backbones.proposers._published import SAM
from ovsskit.hub.weights import Published


class Sam(PointGrid):
    """Propose masks with SAM, one at every point of a grid.

    It was trained without class names, on masks that people drew or corrected (SA-1B).
    Source: Kirillov et al. 2023, Segment Anything; transformers (`SamModel`).
    """

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
