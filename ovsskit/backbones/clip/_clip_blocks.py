"""The blocks of a CLIP's vision transformer, through which patches are followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import PrivateAttr

from ovsskit._lazy import Float, torch
from ovsskit.backbones._blocks import RunsBlocks
from ovsskit.backbones._patches import see_patch
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._clip_network import ClipNetwork
from ovsskit.backbones.clip._explain import explain
from ovsskit.engine.model import ExplainsPatches
from ovsskit.engine.model.explains_patches import Explained, Score
from ovsskit.engine.values import GuideFeatures, Hidden, Image
from ovsskit.engine.values.features import on_grid

KEPT_BLOCKS = 4
"""Of how many blocks queries, keys and values are kept. They take three times the memory of the
tokens, and are soon computed again."""
HALF_SCALE = 2.0**12
"""What scores are multiplied by on the way back in half precision, which would lose gradients."""


class ClipBlocks(ClipNetwork, RunsBlocks, ExplainsPatches):
    """Follow patches through the blocks of a CLIP's vision transformer."""

    _projections: WeakKeyDictionary[Hidden, dict[int, vision.Projection]] = PrivateAttr(
        default_factory=WeakKeyDictionary
    )

    @property
    def blocks(self) -> list[Any]:
        """Return the blocks of the image encoder in order."""
        return vision.blocks_of(self.visual)

    def _embed(
        self, images: Sequence[Image]
    ) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
        for image in images:
            see_patch(image, self.visual.patch_size[0])
        pixels = torch.stack([self.pixels(image) for image in images]).to(self._device)
        return vision.embed(self.visual, pixels, self.positions)

    def _enter(self, images: Sequence[Image], wanted: tuple[int, ...]) -> list[Hidden]:
        """Return the tokens, and keep the wanted blocks' queries, keys and values, too."""
        kept, projections = [], {}
        with torch.no_grad():
            tokens, grid = self._embed(images)
            for number, block in enumerate(self.blocks[: wanted[-1]], 1):
                projection = vision.project(block, tokens)
                if number in wanted:
                    kept.append(tokens)
                if number in wanted[-KEPT_BLOCKS:]:
                    projections[number] = projection
                if number < wanted[-1]:
                    tokens = vision.attend_as_trained(block, tokens, projection)
        together = [Hidden(data, wanted, grid) for data in torch.stack(kept, 1)]
        for index, one in enumerate(together):
            self._projections[one] = {
                number: projection.of(index) for number, projection in projections.items()
            }
        return together

    def project(self, hidden: Hidden, layer: int) -> vision.Projection:
        """Return a block's queries, keys and values of the tokens that enter it."""
        known = self._projections.setdefault(hidden, {})
        if layer in known:
            return known[layer]
        with torch.no_grad():
            found = vision.project(self.blocks[layer - 1], hidden.entering(layer))
        if len(known) < KEPT_BLOCKS:
            known[layer] = found
        return found

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""
        with torch.no_grad():
            block = self.blocks[layer - 1]
            return vision.join_heads(block, vectors.to(self.dtype))

    def _first_norm(self, block: Any) -> Any:
        return block.ln_1

    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens with a block's second half added."""
        with torch.no_grad():
            block = self.blocks[layer - 1]
            return vision.feed_forward(block, tokens.to(self.dtype))

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Normalise tokens as the model does after its last block."""
        with torch.no_grad():
            normalised: torch.Tensor = self.visual.ln_post(tokens.to(self.dtype))
        return normalised

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Project normalised tokens into the space of texts."""
        with torch.no_grad():
            projected: torch.Tensor = tokens.to(self.dtype) @ self.visual.proj
        return projected

    def _guide(self, images: Sequence[Image]) -> list[GuideFeatures]:
        last, found = self.block_count, []
        for hidden in self.hidden(images, [last]):
            projection, tokens = self.project(hidden, last), hidden.entering(last)
            with torch.no_grad():
                left = vision.attend_as_trained(self.blocks[-1], tokens, projection)
            patches = self.normalise_tokens(left)[hidden.others :]
            found.append(GuideFeatures(on_grid(patches.float(), hidden.grid)))
        return found

    def explain(self, hidden: Hidden, layer: int, score: Score) -> Explained:
        """Score the mean of an image's patches among the texts, and derive that in a block."""
        precision = HALF_SCALE if self.dtype == torch.float16 else 1.0
        tokens = hidden.entering(layer)
        channels, scores, gradients = explain(self.visual, tokens, layer, score, precision)
        return Explained(channels[1:].T.unflatten(1, hidden.grid), scores, gradients)
