"""The capability to say how the channels of patches speak for an image's scores, and a toy."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import LAYERS
from ovsskit.engine.model.encodes_patches import EncodesPatches, ToyEncodesPatches
from ovsskit.engine.values import Hidden, Image


@runtime_checkable
class Score(Protocol):
    """Promise scores of an image's vector, which can be derived by it."""

    def __call__(self, vector: Float[torch.Tensor, " width"]) -> Float[torch.Tensor, " score"]:
        """Return the scores."""


class Explained(NamedTuple):
    """Hold what the patches are inside a block, the scores, and what each channel adds to them."""

    activations: Float[torch.Tensor, "channel rows cols"]
    scores: Float[torch.Tensor, " score"]
    gradients: Float[torch.Tensor, "score channel"]


class ExplainsPatches(EncodesPatches):
    """Derive scores of an image by the patches inside its encoder."""

    @abstractmethod
    def explain(self, hidden: Hidden, layer: int, score: Score) -> Explained:
        """Run the network from a block (from 1) to its end, score its vector, and go back.

        The vector is the mean of the patches among the texts. The activations are the tokens after
        the block's first normalisation; the gradients are those of every score in them, in the mean
        over the patches. Each takes one vector-Jacobian product.
        """

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that gradients are linear in the scores, and that no graph is left."""
        [hidden] = model.hidden([Image.example()], (model.block_count,))
        found = model.explain(hidden, model.block_count, lambda vector: vector[:3])
        assert found.activations.shape[1:] == hidden.grid
        assert found.gradients.shape == (3, found.activations.shape[0])
        assert not any(part.requires_grad for part in found), "a graph is left"
        mixed = model.explain(hidden, model.block_count, lambda vector: vector[:3].sum()[None] * 2)
        both = 2 * found.gradients.sum(0, keepdim=True)
        torch.testing.assert_close(mixed.gradients, both, atol=1e-6, rtol=1e-4)

    @classmethod
    def toy(cls) -> Any:
        """Return a model whose patches are their brightness."""
        return ToyExplainsPatches()


class ToyExplainsPatches(ToyEncodesPatches, ExplainsPatches):
    """Encode patches by their brightness, and score the mean of their sines."""

    def explain(self, hidden: Hidden, layer: int, score: Score) -> Explained:
        """Derive scores of the mean of the patches' sines."""
        assert layer <= LAYERS
        tokens = hidden.entering(layer)[1:]
        with torch.enable_grad():
            leaf = tokens.clone().requires_grad_()
            scores = score(leaf.sin().mean(0))
            rows = [torch.autograd.grad(one, leaf, retain_graph=True)[0].mean(0) for one in scores]
        return Explained(tokens.T.unflatten(1, hidden.grid), scores.detach(), torch.stack(rows))
