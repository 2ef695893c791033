"""Read recordings of whole runs: one file of tensors, named by the run that they are of."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from clip_family_set import Tower
from recording import image_of
from safetensors.torch import load_file, save_file
from sets import Facts
from small_clip import write_small_clip

from ovsskit.engine.values import Image

OWN = Path(__file__).parent


def runs(facts: Facts) -> list[str]:
    """Return the names of the recorded runs."""
    return list(facts["runs"])


class RunFiles:
    """Hold the facts of a set, what its runs were given, and what they recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: Facts = json.loads((folder / "case.json").read_text())

    @cached_property
    def golden(self) -> dict[str, torch.Tensor]:
        """Return what all runs recorded."""
        found: dict[str, torch.Tensor] = {}
        for file in sorted(self.folder.glob("golden*.safetensors")):
            found |= load_file(file)
        return found

    @cached_property
    def inputs(self) -> dict[str, torch.Tensor]:
        """Return what the runs were given: images, and what other models made of them."""
        return load_file(self.folder / "inputs.safetensors")

    def run(self, name: str) -> Facts:
        """Return what was set in a run."""
        found: Facts = self.facts["runs"][name]
        return found

    def tensors(self, run: str) -> dict[str, torch.Tensor]:
        """Return what a run recorded, by the names behind the run's."""
        start = f"{run}."
        return {
            name.removeprefix(start): one
            for name, one in self.golden.items()
            if name.startswith(start)
        }

    def image(self, run: str) -> Image:
        """Return the image as the network sees it: it is stored at that size."""
        return image_of(self.inputs[f"image.{self.run(run)['image']}"], run)

    def beside(self, name: str) -> Path:
        """Return the folder of another set, in the same place or among the tests."""
        other = self.folder.parent / name
        return other if other.is_dir() else OWN / name

    def small_tower(self, folder: Path, **fields: Any) -> Tower:
        """Return the recorded CLIP, whose weights are ITACLIP's, written to a folder."""
        vision, weights = self.facts["vision"], dict[str, torch.Tensor]()
        for file in sorted(self.beside("itaclip").glob("weights_visual_*.safetensors")):
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
        return Tower(weights=str(written), epsilon=vision["layer_norm_eps"], **fields)

    def write_guide(self, folder: Path) -> Path:
        """Write the recorded guide to a folder, as DINO's weights are kept."""
        folder.mkdir(parents=True)
        facts = self.facts["guide"]
        stored = load_file(self.folder / facts["file"])
        tensors = {name: one.float() for name, one in stored.items()}
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"num_attention_heads": facts["heads"]}))
        return folder
