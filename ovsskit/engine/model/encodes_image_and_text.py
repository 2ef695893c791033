"""The capability to compare images with texts, its law, and a toy that has it."""

from __future__ import annotations

from typing import Any

from ovsskit.engine.model.encodes_image import EncodesImage, ToyEncodesImage
from ovsskit.engine.model.encodes_text import EncodesText, ToyEncodesText
from ovsskit.engine.values import Image


class EncodesImageAndText(EncodesImage, EncodesText):
    """Give vectors for whole images and for texts in one space, so that they can be compared."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that vectors of images are as wide as those of texts."""
        images, texts = model.encode_image([Image.example()]), model.encode_text(["dog"])
        assert images.shape[1] == texts.shape[1], "images and texts have vectors of other widths"

    @classmethod
    def toy(cls) -> Any:
        """Return a model that sees brightness and reads letters."""
        return ToyEncodesImageAndText()


class ToyEncodesImageAndText(ToyEncodesImage, ToyEncodesText, EncodesImageAndText):
    """Encode images by their brightness and texts by their letters."""
