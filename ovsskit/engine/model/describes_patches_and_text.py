"""The capability to describe patches and texts in one space, its law, and a toy that has it."""

from __future__ import annotations

from typing import Any

from ovsskit.engine.model.describes_patches import DescribesPatches, ToyDescribesPatches
from ovsskit.engine.model.encodes_text import EncodesText, ToyEncodesText
from ovsskit.engine.values import Image


class DescribesPatchesAndText(DescribesPatches, EncodesText):
    """Give vectors for patches and for texts in one space, so that they can be compared."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that vectors of patches are as wide as those of texts."""
        [patches] = model.describe_patches([Image.example()])
        width = model.encode_text(["dog"]).shape[1]
        assert patches.data.shape[0] == width, "patches and texts have vectors of other widths"

    @classmethod
    def toy(cls) -> Any:
        """Return a model that sees the brightness of patches and reads letters."""
        return ToyDescribesPatchesAndText()


class ToyDescribesPatchesAndText(ToyDescribesPatches, ToyEncodesText, DescribesPatchesAndText):
    """Describe patches by their brightness and texts by their letters."""
