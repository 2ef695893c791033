"""What BLIP and ALBEF share besides: their image encoder, a ViT whose last normalisation is on all tokens."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones.matching._itm import ItmBackbone, resize_positions


class BlipTowerBackbone(ItmBackbone):
    """Encode images with the `vision_model` of the network."""

    @abstractmethod
    def read(self) -> Any:
        """Read the network from its weights, its position embeddings as they are stored."""

    def load(self) -> Any:
        """Read the network, its position embeddings resized to the grid of `image_size`.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
            BadValue: `image_size` is no multiple of the patch.
        """
        network = self.read()
        embeddings = network.vision_model.embeddings
        positions = embeddings.position_embedding.detach()[0]
        resized = resize_positions(positions, self.grid_of(embeddings.patch_size), "bicubic")
        embeddings.position_embedding = torch.nn.Parameter(resized[None])
        return network

    @property
    def patch_size(self) -> int:
        """Return the width of a patch in pixels."""
        return int(self.network.vision_model.embeddings.patch_size)

    def look(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image key width"]:
        """Return the image encoder's output, class token first."""
        found: torch.Tensor = self.network.vision_model(pixels).last_hidden_state
        return found
