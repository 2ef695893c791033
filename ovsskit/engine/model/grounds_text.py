"""The capability to ground texts on a fine grid, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ovsskit.engine.model.encodes_patches import EncodesPatches, ToyEncodesPatches
from ovsskit.engine.values import Hidden, Image, PatchFeatures


class GroundsText(EncodesPatches):
    """Give vectors on a fine grid for patches, and say how cosines with them become confidences."""

    @abstractmethod
    def ground(self, hidden: Hidden) -> PatchFeatures:
        """Return vectors among the texts, not normalised, of what enters the last block."""

    @property
    @abstractmethod
    def calibration(self) -> tuple[float, float]:
        """Return what a cosine is multiplied by and what is added, before the logistic function."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that the grid is a multiple of the patches', and that no graph is left."""
        images = [Image.example(), Image(Image.example().data.repeat(1, 1, 2))]
        for hidden in model.hidden(images, (model.block_count,)):
            found = model.ground(hidden)
            PatchFeatures.check(found)
            rows, columns = found.data.shape[1:]
            assert rows % hidden.grid[0] == columns % hidden.grid[1] == 0
            assert rows // hidden.grid[0] == columns // hidden.grid[1]
            assert not found.data.requires_grad
        assert all(isinstance(number, float) for number in model.calibration)

    @classmethod
    def toy(cls) -> Any:
        """Return a model whose patches are their brightness."""
        return ToyGroundsText()


class ToyGroundsText(ToyEncodesPatches, GroundsText):
    """Ground texts by the brightness of patches."""

    def ground(self, hidden: Hidden) -> PatchFeatures:
        """Repeat every patch's token twice in both directions."""
        tokens = hidden.entering(hidden.layers[-1])[1:].T.unflatten(1, hidden.grid)
        return PatchFeatures(tokens.repeat_interleave(2, 1).repeat_interleave(2, 2))

    @property
    def calibration(self) -> tuple[float, float]:
        """Return two numbers."""
        return 5.0, -1.0
