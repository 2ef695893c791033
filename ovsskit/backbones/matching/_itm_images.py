"""The images of a matching model: how they are prepared, and what the image encoder gives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr

from ovsskit._lazy import Float, numpy, torch
from ovsskit.backbones.matching._itm_network import ItmNetwork
from ovsskit.engine.sending import send
from ovsskit.engine.values import Image

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class ItmImages(ItmNetwork):
    """Encode images, each once, as a matching model does."""

    waits: ClassVar[str] = "Pillow resizes images on the processor, as in the released codes"

    interpolation: Annotated[
        Literal["bicubic", "bilinear"], Field(description="how images are resized")
    ] = "bicubic"
    normalise: Annotated[
        bool, Field(description="subtract the mean and divide by the deviation of CLIP's training")
    ] = True

    _seen: WeakKeyDictionary[Image, Any] = PrivateAttr(default_factory=WeakKeyDictionary)

    @abstractmethod
    def encode_image(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image ..."]:
        """Return what the image encoder makes of prepared images; no caption matters to it."""

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: resized, normalised, hidden patches at 0."""
        from PIL import Image as Pillow

        method = Pillow.Resampling[self.interpolation.upper()]
        resized = Pillow.fromarray(image.pixels.cpu().numpy()).resize(self.size[::-1], method)
        data = torch.from_numpy(numpy.array(resized)).permute(2, 0, 1).float() / 255
        if self.normalise:
            mean, deviation = torch.tensor([MEAN, DEVIATION])[..., None, None]
            data = (data - mean) / deviation
        if image.hidden is not None:
            patch = self.size[0] // image.hidden.shape[0]
            hidden = image.hidden.cpu().repeat_interleave(patch, 0).repeat_interleave(patch, 1)
            data = data.masked_fill(hidden, 0)
        return data

    def encode(self, images: Sequence[Image]) -> Float[torch.Tensor, "image ..."]:
        """Return what the image encoder makes of images, without gradients.

        What an image gave is kept as long as the image is, since several stages ask for it.
        """
        fresh = [image for image in dict.fromkeys(images) if image not in self._seen]
        if fresh:
            pixels = torch.stack([self.pixels(image) for image in fresh])
            with torch.no_grad():
                features = self.encode_image(send(pixels.to(self.dtype), self._device))
            self._seen.update(zip(fresh, features.unbind(), strict=True))
        return torch.stack([self._seen[image] for image in images])
