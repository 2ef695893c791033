"""Read recordings of CorrCLIP's released code, whose regions and guide are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from clip_family_set import Tower, word_of
from pydantic import PrivateAttr
from runs import RunFiles

from ovsskit.backbones.dino.dino import Dino
from ovsskit.engine.model import Backbone, GuidesPatches
from ovsskit.engine.values import GuideFeatures, Image, Regions, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
OWN = Path(__file__).parent


class GivenGuide(Backbone, GuidesPatches):
    """Give the recorded maps to the windows of an image, one after the other."""

    _maps: list[Tensor] = PrivateAttr(default_factory=list)

    @classmethod
    def of(cls, maps: Tensor) -> GivenGuide:
        """Return a guide with these maps: window, channel, row, column."""
        guide = cls()
        guide._maps = [*maps.float()]
        return guide

    def guide(self, images: Sequence[Image], facet: Any) -> list[GuideFeatures]:
        """Return the next maps."""
        assert facet == "query_key"
        found = [GuideFeatures(one) for one in self._maps[: len(images)]]
        del self._maps[: len(images)]
        return found


class ReleasedGuide(Dino):
    """Be DINO as the released code runs it: it sees colours that were normalised for CLIP and back.

    The constants by which it is undone are not quite those of the normalisation. The difference of
    a millionth decides in some pairs of patches whether they are more alike than the mean.
    """

    _preparation: dict[str, Any] = PrivateAttr(default_factory=dict)

    def pixels(self, image: Image) -> Tensor:
        """Return an image as the network sees it."""
        mean, deviation, back, factor = (
            torch.tensor(self._preparation[name])[:, None, None]
            for name in ("mean_rgb", "std_rgb", "undo_mean", "undo_std")
        )
        seen = (image.data * 255 - mean) / deviation * factor + back
        return super().pixels(replace(image, data=seen))


class Recording(RunFiles):
    """Read one set: its settings, its weights, and what its runs recorded."""

    def text(self, run: str) -> Tensor:
        """Return the vectors of a run's words."""
        return self.golden[f"text_{self.facts['runs'][run]['queries']}"]

    def vocabulary(self, run: str) -> Vocabulary:
        """Return the words of a run: the first class's are those of the background."""
        facts = self.facts["runs"][run]
        count = facts["queries"] - facts["classes"] + 1
        words = [word_of(query) for query in range(facts["queries"])]
        return make_vocabulary([", ".join(words[:count]), *words[count:]], first_is_background=True)

    def regions(self, run: str) -> Regions:
        """Return the regions, at the size of the image before it was resized."""
        return Regions(self.inputs[self.facts["runs"][run]["regions"]].long())

    def tower(self, run: str, folder: Path) -> Tower:
        """Return CLIP with the recorded vectors of a run's words; its weights are ITACLIP's."""
        preparation = self.facts["preprocess"]
        colours = {
            "mean": tuple(preparation["mean_rgb"]),
            "deviation": tuple(preparation["std_rgb"]),
        }
        return self.small_tower(folder, **colours).with_words(self.text(run))

    def dino(self, folder: Path) -> ReleasedGuide:
        """Return the recorded guide, written to a folder."""
        epsilon = self.facts["guide"]["layer_norm_eps"]
        guide = ReleasedGuide(weights=str(self.write_guide(folder)), epsilon=epsilon)
        guide._preparation.update(self.facts["preprocess"])
        return guide
