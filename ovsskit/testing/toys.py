"""A backbone and stages without weights, with which stages and wrappers are tested."""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import LAYERS, brightness
from ovsskit.engine.model import Backbone
from ovsskit.engine.model.cross_attends import ToyCrossAttends
from ovsskit.engine.model.decodes_patches import ToyDecodesPatches
from ovsskit.engine.model.describes_patches_and_text import ToyDescribesPatchesAndText
from ovsskit.engine.model.encodes_image_and_text import ToyEncodesImageAndText
from ovsskit.engine.model.encodes_regions import ToyEncodesRegions
from ovsskit.engine.model.explains_patches import ToyExplainsPatches
from ovsskit.engine.model.finds_foreground import ToyFindsForeground
from ovsskit.engine.model.grounds_text import ToyGroundsText
from ovsskit.engine.model.grounds_words import ToyGroundsWords
from ovsskit.engine.model.groups_patches import ToyGroupsPatches
from ovsskit.engine.model.guides_patches import ToyGuidesPatches
from ovsskit.engine.model.matches_text import ToyMatchesText
from ovsskit.engine.model.projects_text import ToyProjectsText
from ovsskit.engine.model.proposes_masks import ToyProposesMasks
from ovsskit.engine.model.segments_classes import ToySegmentsClasses
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import (
    Gathered,
    Image,
    Labels,
    Nodes,
    PatchFeatures,
    Present,
    Saliency,
    Tile,
    TokenMaps,
    WordTokens,
)


class ToyBackbone(
    Backbone,
    ToyCrossAttends,
    ToyMatchesText,
    ToyEncodesRegions,
    ToyEncodesImageAndText,
    ToyExplainsPatches,
    ToyGroundsText,
    ToyDecodesPatches,
    ToyFindsForeground,
    ToyProposesMasks,
    ToySegmentsClasses,
    ToyGroupsPatches,
    ToyGroundsWords,
    ToyDescribesPatchesAndText,
    ToyProjectsText,
    ToyGuidesPatches,
):
    """Do all that the package's models do by brightness, without weights."""

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Make a vector of the letters of a text."""
        return super().encode_text(texts).to(self.device)

    def encode_words(
        self,
        words: Sequence[tuple[int, str]],
        neighbours: int = 0,
        hypernyms: Sequence[Sequence[str]] = (),
    ) -> WordTokens:
        """Make tokens of the letters of words."""
        return super().encode_words(words, neighbours, hypernyms).to(self.device)


class ToyTokenMaps(Stage, writes="token_maps"):
    """Write token maps that follow from the image and its hidden patches alone."""

    def run(self, image: Image) -> TokenMaps:
        """Return one map per token of the example caption."""
        bright = brightness(image.data)[None]
        bright = bright if image.hidden is None else bright.masked_fill(image.hidden, 0)
        token = torch.arange(1.0, 7.0, device=bright.device)[:, None, None]
        positions = TokenMaps.example().positions.to(bright.device)
        return TokenMaps((bright * token * 5).sin().abs(), positions, (6,))


class ToyScores(Stage, writes="scores"):
    """Write scores that follow from the image alone."""

    def run(self, image: Image) -> Saliency:
        """Return one map per colour channel."""
        return Saliency(image.data.clone(), (1, 2, 3))


class ToyPatchFeatures(Stage, writes="patch_features"):
    """Write features that follow from the image alone; a patch is a pixel."""

    def run(self, image: Image) -> PatchFeatures:
        """Return the colours."""
        return PatchFeatures(image.data.clone())


class ToyNodes(Stage, writes="nodes"):
    """Write nodes that follow from the image alone; a patch is a pixel."""

    def run(self, image: Image) -> Nodes:
        """Return the colours, as scores and as vectors."""
        height, width = image.size
        colours, box = image.data.flatten(1).clone(), (0, height, 0, width)
        return Nodes(
            colours, colours.T.clone(), (1, 2, 3), (Tile(image.size, box, box),), image.size
        )


class ToyGathered(Stage, writes="gathered"):
    """Write what patches gathered, which follows from the image alone; a patch is a pixel."""

    def run(self, image: Image) -> Gathered:
        """Return the colours, of the last block."""
        return Gathered(image.data.clone(), LAYERS)


class ToyLabels(Stage, writes="labels"):
    """Write labels that follow from the image alone."""

    def run(self, image: Image) -> Labels:
        """Return the number of the strongest colour channel."""
        return Labels(image.data.argmax(0))


class ToyPresent(Stage, writes="present"):
    """Take classes as present by the image alone."""

    def run(self, image: Image) -> Present:
        """Return the colour channels that are brighter than the darkest, with their brightness."""
        means = image.data.mean((1, 2)).tolist()
        labels = (label for label, mean in enumerate(means, 1) if mean > min(means))
        return Present(tuple(labels), tuple(means))
