"""What a CLIP makes of whole images, and of regions in them: one vector each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ovsskit._lazy import Bool, Float, open_clip, torch
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._clip_network import ClipNetwork
from ovsskit.engine.sending import send
from ovsskit.engine.values import Image
from ovsskit.errors import BadValue

REGIONS_AT_ONCE = 32
"""How many parts of images go through the image encoder in one pass."""


class ClipImages(ClipNetwork):
    """Encode whole images and regions as a CLIP does."""

    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, not normalised; images are resized as in the training.

        Raises:
            BadValue: more blocks are to be left out than can be.
        """
        with torch.no_grad():
            features: torch.Tensor = self._encode_whole(self.prepare_whole(images)).float()
        return features

    def prepare_whole(self, images: Sequence[Image]) -> Float[torch.Tensor, "image 3 h w"]:
        """Return whole images as the network sees them, prepared as open_clip does."""
        from PIL import Image as Pillow

        prepared = [
            self.preprocess(Pillow.fromarray(image.pixels.cpu().numpy())) for image in images
        ]
        return send(torch.stack(prepared).to(self.dtype), self._device)

    def _encode_whole(
        self,
        pixels: Float[torch.Tensor, "image 3 h w"],
        region: Bool[torch.Tensor, "image patch"] | None = None,
    ) -> Float[torch.Tensor, "image width"]:
        visual, skipped = self.network.visual, self.skip_last_blocks
        if vision.has_class_token(visual):
            if skipped < len(vision.blocks_of(visual)):
                return vision.encode(visual, pixels, self.positions, skipped, region)
            there = f"It has {len(vision.blocks_of(visual))} blocks."
        else:
            there = f"It is a {type(visual).__name__} whose blocks cannot be run apart."
        if skipped:
            what = f"The image encoder cannot leave out {skipped} blocks."
            raise BadValue(what, there=there, fix="Set skip_last_blocks to 0.")
        if region is not None:
            what = "The image encoder cannot encode a part of an image."
            raise BadValue(what, there=there, fix="Use a plain ViT, such as ViT-B-16.")
        encoded: torch.Tensor = self.network.encode_image(pixels)
        return encoded

    def encode_regions(
        self, images: Sequence[Image], regions: Sequence[Bool[torch.Tensor, "_ _"]]
    ) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, of what it shows in a region, not normalised.

        Raises:
            BadValue: the image encoder is not a vision transformer with a class token, or more
                blocks are to be left out than can be.
        """
        parts = []
        for start in range(0, len(images), REGIONS_AT_ONCE):
            some = slice(start, start + REGIONS_AT_ONCE)
            pairs = zip(images[some], regions[some], strict=True)
            pixels, seen = zip(*(self.region(*pair) for pair in pairs), strict=True)
            with torch.no_grad():
                stack = torch.stack(pixels).to(self._device, self.dtype)
                found = self._encode_whole(stack, torch.stack(seen).flatten(1).to(self._device))
            parts.append(found.float())
        return torch.cat(parts)

    def region(
        self, image: Image, region: Bool[torch.Tensor, "_ _"]
    ) -> tuple[Float[torch.Tensor, "3 side side"], Bool[torch.Tensor, "rows cols"]]:
        """Return an image at the size of the training, and the patches of a region."""
        interpolate, visual = torch.nn.functional.interpolate, self.network.visual
        pixels = interpolate(self.pixels(image)[None], visual.image_size, mode="bilinear")[0]
        seen = interpolate(region[None, None].float(), visual.grid_size)[0, 0].bool()
        return pixels, seen

    @cached_property
    def preprocess(self) -> Any:
        """Return open_clip's own preparation of a whole image."""
        settings = open_clip.transform.PreprocessCfg(
            **{"size": self.network.visual.image_size, **self.blueprint.preprocessing}
        )
        return open_clip.transform.image_transform_v2(settings, is_train=False)
