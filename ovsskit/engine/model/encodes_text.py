"""The capability to turn texts into vectors, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import WIDTH
from ovsskit.engine.model._vectors import check_vectors
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Captions


class EncodesText(Capability):
    """Give a vector for every text, to compare with those of patches and images."""

    @abstractmethod
    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said.

        There may be thousands of texts; the backbone bounds what it takes at once.
        """

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that texts get finite vectors without a graph, the same alone as among others."""
        sentences = [caption.text for caption in Captions.example().captions]
        check_vectors(model.encode_text, [*sentences, "ice cream", "dog"])

    @classmethod
    def toy(cls) -> Any:
        """Return a model that reads letters."""
        return ToyEncodesText()


class ToyEncodesText(EncodesText):
    """Encode texts by their letters."""

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Make a vector of the letters of a text."""
        places = torch.arange(1, WIDTH + 1)
        return torch.stack([(places * sum(map(ord, text)) * 0.37).sin() for text in texts])
