"""The capability to bring another model's texts among its own patches, its laws, and a toy."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import WIDTH
from ovsskit.engine.model.describes_patches import DescribesPatches, ToyDescribesPatches
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Image


class ProjectsText(DescribesPatches, Capability):
    """Bring vectors of a text encoder into the space in which it describes patches."""

    @property
    @abstractmethod
    def text_width(self) -> int:
        """Return how many numbers the text encoder's vectors have."""

    @abstractmethod
    def project_text(
        self, vectors: Float[torch.Tensor, "text width"]
    ) -> Float[torch.Tensor, "text out"]:
        """Return vectors of texts among the patches, not normalised."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that texts become as wide as patches, each for itself."""
        vectors = torch.linspace(-1, 1, 3 * model.text_width).unflatten(0, (3, -1)).sin()
        found = model.project_text(vectors)
        [patches] = model.describe_patches([Image.example()])
        assert found.shape == (3, patches.data.shape[0])
        assert not found.requires_grad
        torch.testing.assert_close(model.project_text(vectors[1:2]), found[1:2])

    @classmethod
    def toy(cls) -> Any:
        """Return a model that turns the numbers of a text."""
        return ToyProjectsText()


class ToyProjectsText(ToyDescribesPatches, ProjectsText):
    """Turn the numbers of a text."""

    @property
    def text_width(self) -> int:
        """Return the width of the examples."""
        return WIDTH

    def project_text(
        self, vectors: Float[torch.Tensor, "text width"]
    ) -> Float[torch.Tensor, "text out"]:
        """Turn them by one place."""
        return vectors.roll(1, -1)
