"""A vision transformer with a linear head: a student that starts from a CLIP or a DINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones._segmenter import Segmenter
from ovsskit.backbones._segmenter_family import Family
from ovsskit.backbones.vit import _checkpoint as checkpoint
from ovsskit.backbones.vit._start import read_start


class VitLinear(Segmenter):
    """Segment the classes of a vision transformer with a linear head that `ovsskit distil` taught.

    It reads no words: its classes are those that it was taught. Images are resized to whole
    patches. Source: Strudel et al. 2021, Segmenter, with its linear decoder.
    """

    embedded: ClassVar[Path] = Path(__file__).parents[2] / "embedded" / "student"
    family: ClassVar[Family[Any]] = checkpoint.VIT

    @classmethod
    def shape_for(cls, shape: Any, start: str) -> Any:
        """Return the shape of the encoder that a network starts from, for the same images.

        Raises:
            MissingWeights, BadWeights: there is none, or it is no vision transformer.
        """
        found, _ = read_start(start)
        return found.model_copy(update={"image_size": shape.image_size})

    @classmethod
    def read_encoder(cls, start: str, network: Any) -> list[str]:
        """Give a network's encoder the weights that it starts from; return the tensors' names.

        Raises:
            MissingWeights, BadWeights: there is none, or it is no vision transformer.
        """
        _, state = read_start(start)
        network.encoder.load_state_dict(state)
        return sorted(f"{cls.family.encoder}{name}" for name in state)

    @staticmethod
    def logits(
        network: Any, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image class rows cols"]:
        """Return what the network makes of normalised pixels, one for every patch."""
        return network(pixels)  # type: ignore[no-any-return]
