"""A stage that stands for the resizing of a recipe, whose result is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image


class RecordedImage(Stage, writes="resized"):
    """Write the recorded image of the same name."""

    pictures: ClassVar[dict[str, Image]] = {}

    def run(self, image: Image) -> Image:
        """Return it."""
        return self.pictures[image.name]


def instead_of_resizing(stages: Sequence[Stage], picture: Image) -> list[Stage]:
    """Return stages whose `resize_image` gives this image."""
    RecordedImage.pictures[picture.name] = picture
    stand_in = RecordedImage(name="resize_image")
    return [stand_in if stage.address == "resize_image" else stage for stage in stages]
