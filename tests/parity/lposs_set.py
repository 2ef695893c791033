"""Read recordings of LPOSS's released code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from clip_family_set import Tower, word_of
from pydantic import PrivateAttr
from recording import image_of
from runs import RunFiles
from safetensors.torch import load_file

from ovsskit.backbones.dino.dino import Dino
from ovsskit.engine.model import Backbone, GuidesPatches
from ovsskit.engine.values import GuideFeatures, Image, Vocabulary
from ovsskit.engine.values.features import on_grid
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
OWN = Path(__file__).parent


class RecordedGuide(Backbone, GuidesPatches):
    """Give the patches of windows, one window after the other, the vectors that are recorded."""

    _vectors: list[Tensor] = PrivateAttr(default_factory=list)
    _patch: int = PrivateAttr(default=16)

    @classmethod
    def of(cls, vectors: Tensor, patch: int) -> RecordedGuide:
        """Return a guide with these vectors of patches of this side."""
        guide = cls()
        guide._vectors, guide._patch = [vectors], patch
        return guide

    def guide(self, images: Sequence[Image], facet: Any) -> list[GuideFeatures]:
        """Return the next vectors."""
        assert facet == "value"
        found = []
        for image in images:
            grid = (image.size[0] // self._patch, image.size[1] // self._patch)
            mine, self._vectors[0] = (
                self._vectors[0][: grid[0] * grid[1]],
                self._vectors[0][grid[0] * grid[1] :],
            )
            found.append(GuideFeatures(on_grid(mine, grid)))
        return found


class LpossRecording(RunFiles):
    """Read one set: its settings, its weights, and what its runs recorded."""

    @cached_property
    def images(self) -> dict[str, Tensor]:
        """Return the images of all runs."""
        return load_file(self.folder / "images.safetensors")

    def image(self, run: str) -> Image:
        """Return the image as the network sees it: it is stored at that size."""
        return image_of(self.images[self.run(run)["image"]], run)

    def vocabulary(self, run: str) -> Vocabulary:
        """Return the words of a run: the first class's are those of the background, if it has
        several.
        """
        facts = self.run(run)
        count = facts["queries"] - facts["classes"] + 1
        words = [word_of(query) for query in range(facts["queries"])]
        lines = [", ".join(words[:count]), *words[count:]]
        return make_vocabulary(lines, first_is_background=count > 1)

    def tower(self, run: str, folder: Path) -> Tower:
        """Return CLIP with the recorded vectors of a run's words; its weights are ITACLIP's."""
        tower = self.small_tower(folder, positions="size_exact")
        return tower.with_words(self.golden[self.run(run)["text"]])

    def guide(self, run: str, folder: Path) -> Backbone:
        """Return the recorded guide; where its weights were left out, what it said is recorded."""
        facts = self.facts["guide"]
        if not (self.folder / facts["file"]).is_file():
            return RecordedGuide.of(self._said(run), facts["patch_size"])
        return Dino(weights=str(self.write_guide(folder)), epsilon=facts["layer_norm_eps"])

    def _said(self, run: str) -> Tensor:
        """Return the vectors of patches of the same windows of the same image."""
        keys = ("image", "mode", "crop", "stride")
        for name, facts in self.facts["runs"].items():
            vectors = self.golden.get(f"{name}.guide_values_unit")
            if vectors is not None and all(facts[key] == self.run(run)[key] for key in keys):
                return vectors
        raise FileNotFoundError(f"the guide of {self.folder}, or what it said of {run}")
