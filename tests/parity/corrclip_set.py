"""Read recordings of CorrCLIP's released code, whose regions and guide are given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from clip_family_set import Tower, word_of
from pydantic import PrivateAttr
from safetensors.torch import load_file, save_file
from sets import Facts
from small_clip import write_small_clip

from ovsskit.backbones.dino.dino import Dino
from ovsskit.engine.model import Backbone, GuidesPatches
from ovsskit.engine.values import GuideFeatures, Image, Regions, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
OWN = Path(__file__).parent


def runs(facts: Facts) -> list[str]:
    """Return the names of the recorded runs."""
    return list(facts["runs"])


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


@dataclass
class Recording:
    """Hold one set: settings, weights, and what its runs recorded."""

    folder: Path

    @cached_property
    def facts(self) -> Facts:
        found: Facts = json.loads((self.folder / "case.json").read_text())
        return found

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        return load_file(self.folder / "inputs.safetensors")

    @cached_property
    def golden(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for file in sorted(self.folder.glob("golden*.safetensors")):
            found |= load_file(file)
        return found

    def tensors(self, run: str) -> dict[str, Tensor]:
        """Return what a run recorded, by the names behind the run's."""
        start = f"{run}."
        return {
            name.removeprefix(start): one
            for name, one in self.golden.items()
            if name.startswith(start)
        }

    def text(self, run: str) -> Tensor:
        """Return the vectors of a run's words."""
        return self.golden[f"text_{self.facts['runs'][run]['queries']}"]

    def vocabulary(self, run: str) -> Vocabulary:
        """Return the words of a run: the first class's are those of the background."""
        facts = self.facts["runs"][run]
        count = facts["queries"] - facts["classes"] + 1
        words = [word_of(query) for query in range(facts["queries"])]
        return make_vocabulary([", ".join(words[:count]), *words[count:]], first_is_background=True)

    def image(self, run: str) -> Image:
        """Return the image as the network sees it: it is stored at that size."""
        pixels = self.inputs[f"image.{self.facts['runs'][run]['image']}"]
        return Image(pixels.permute(2, 0, 1).float() / 255, run)

    def regions(self, run: str) -> Regions:
        """Return the regions, at the size of the image before it was resized."""
        return Regions(self.inputs[self.facts["runs"][run]["regions"]].long())

    def tower(self, run: str, folder: Path) -> Tower:
        """Return CLIP with the recorded vectors of a run's words; its weights are ITACLIP's."""
        vision, preparation = self.facts["vision"], self.facts["preprocess"]
        weights: dict[str, Tensor] = {}
        for file in sorted((self._beside("itaclip")).glob("weights_visual_*.safetensors")):
            weights |= load_file(file)
        facts = {
            "patch": vision["patch_size"],
            "position_grid": (vision["grid"], vision["grid"]),
            "blocks": vision["layers"],
            "width": vision["width"],
            "heads": vision["heads"],
            "output": vision["embed_dim"],
            "activation": vision["activation"].replace(" ", "_"),
        }
        written = write_small_clip(folder / "clip", facts, weights)
        colours = {
            "mean": tuple(preparation["mean_rgb"]),
            "deviation": tuple(preparation["std_rgb"]),
        }
        tower = Tower(weights=str(written), epsilon=vision["layer_norm_eps"], **colours)
        return tower.with_words(self.text(run))

    def _beside(self, name: str) -> Path:
        """Return the folder of another set, in the same place or among the tests."""
        other = self.folder.parent / name
        return other if other.is_dir() else OWN / name

    def dino(self, folder: Path) -> ReleasedGuide:
        """Return the recorded guide, written to a folder."""
        folder.mkdir(parents=True)
        facts = self.facts["guide"]
        tensors = load_file(self.folder / facts["file"])
        save_file(
            {name: one.float() for name, one in tensors.items()}, folder / "model.safetensors"
        )
        (folder / "config.json").write_text(json.dumps({"num_attention_heads": facts["heads"]}))
        guide = ReleasedGuide(weights=str(folder), epsilon=facts["layer_norm_eps"])
        guide._preparation.update(self.facts["preprocess"])
        return guide
