"""Read recordings of LPOSS's released code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass
class LpossRecording:
    """Hold one set: settings, weights, and what its runs recorded."""

    folder: Path

    @cached_property
    def facts(self) -> Facts:
        found: Facts = json.loads((self.folder / "case.json").read_text())
        return found

    @cached_property
    def golden(self) -> dict[str, Tensor]:
        return load_file(self.folder / self.facts["file"])

    @cached_property
    def images(self) -> dict[str, Tensor]:
        return load_file(self.folder / "images.safetensors")

    def run(self, name: str) -> Facts:
        found: Facts = self.facts["runs"][name]
        return found

    def recorded(self, run: str) -> dict[str, Tensor]:
        """Return what a run recorded, by the names behind the run's."""
        start = f"{run}."
        return {
            name.removeprefix(start): one
            for name, one in self.golden.items()
            if name.startswith(start)
        }

    def image(self, run: str) -> Image:
        """Return the image as the network sees it: it is stored at that size."""
        pixels = self.images[self.run(run)["image"]]
        return Image(pixels.permute(2, 0, 1).float() / 255, run)

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
        vision = self.facts["vision"]
        beside = self.folder.parent / "itaclip"
        place, weights = beside if beside.is_dir() else OWN / "itaclip", dict[str, Tensor]()
        for file in sorted(place.glob("weights_visual_*.safetensors")):
            weights |= load_file(file)
        facts = {
            "patch": vision["patch_size"],
            "position_grid": (vision["grid"], vision["grid"]),
            "blocks": vision["layers"],
            "width": vision["width"],
            "heads": vision["heads"],
            "output": vision["embed_dim"],
            "activation": vision["activation"].replace("exact ", "").replace(" ", "_"),
        }
        written = write_small_clip(folder / "clip", facts, weights)
        tower = Tower(
            weights=str(written), epsilon=vision["layer_norm_eps"], positions="size_exact"
        )
        return tower.with_words(self.golden[self.run(run)["text"]])

    def guide(self, run: str, folder: Path) -> Backbone:
        """Return the recorded guide; where its weights were left out, what it said is recorded."""
        facts = self.facts["guide"]
        if not (self.folder / facts["file"]).is_file():
            return RecordedGuide.of(self._said(run), facts["patch_size"])
        folder.mkdir(parents=True)
        tensors = load_file(self.folder / facts["file"])
        save_file(
            {name: one.float() for name, one in tensors.items()}, folder / "model.safetensors"
        )
        (folder / "config.json").write_text(json.dumps({"num_attention_heads": facts["heads"]}))
        return Dino(weights=str(folder), epsilon=facts["layer_norm_eps"])

    def _said(self, run: str) -> Tensor:
        """Return the vectors of patches of the same windows of the same image."""
        keys = ("image", "mode", "crop", "stride")
        for name, facts in self.facts["runs"].items():
            vectors = self.golden.get(f"{name}.guide_values_unit")
            if vectors is not None and all(facts[key] == self.run(run)[key] for key in keys):
                return vectors
        raise FileNotFoundError(f"the guide of {self.folder}, or what it said of {run}")
