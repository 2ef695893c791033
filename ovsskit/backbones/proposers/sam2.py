"""SAM 2: masks at the points of a grid, trained with masks of people and of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones.proposers._point_grid import PointGrid
from ovsskit.backbones.proposers._published import SAM2
from ovsskit.hub.weights import Published


class Sam2(PointGrid):
    """Propose masks with SAM 2, one at every point of a grid: that of its first token, always.

    It was trained without class names, on masks that people drew or corrected (SA-1B, SA-V).
    Source: Ravi et al. 2024, SAM 2; transformers (`Sam2Model`).
    """

    published: ClassVar[Mapping[str, Published]] = SAM2
    called: ClassVar[str] = "SAM 2"
    marks: ClassVar[tuple[str, ...]] = (r"^vision_encoder\.backbone\.", r"^mask_decoder\.")
    network_class: ClassVar[str] = "Sam2Model"
    processor_class: ClassVar[str] = "Sam2ImageProcessor"

    def load(self) -> Any:
        """Read the network; it takes no other mask where its first one is unstable.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        network = super().load()
        network.mask_decoder.dynamic_multimask_via_stability = False
        return network

    def embed(self, prepared: Any) -> Any:
        """Return the image encoder's maps of every image."""
        return self.network.get_image_embeddings(prepared["pixel_values"])

    def to_pixels(self, points: Float[torch.Tensor, "point 2"], prepared: Any) -> Any:
        """Return points in the pixels of the square that images are stretched to."""
        height, width = prepared["pixel_values"].shape[-2:]
        count = len(prepared["pixel_values"])
        return (points * points.new_tensor([width, height])).expand(count, -1, -1)

    def enlarge(
        self, logits: Float[torch.Tensor, "mask rows cols"], index: int, prepared: Any
    ) -> Float[torch.Tensor, "mask h w"]:
        """Return logits at the image's size, bilinear."""
        size = [int(side) for side in prepared["original_sizes"][index]]
        enlarged: torch.Tensor = torch.nn.functional.interpolate(
            logits[None], size, mode="bilinear"
        )[0]
        return enlarged
