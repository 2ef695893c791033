"""Read recordings of CLIP-DIY's released code, with FOUND's foreground."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from clip_family_set import word_of
from recording import image_of
from safetensors.torch import load_file, save_file
from sets import Facts

from ovsskit.backbones.clip._weights import build_network
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
SCALE = 2.0**-8
"""What whole numbers among the weights are multiplied by."""


def cases(facts: Facts) -> list[str]:
    """Return the names of the recorded cases."""
    return list(facts["cases"])


@dataclass
class Recording:
    """Hold one set: settings, weights, and the tensors of its cases."""

    folder: Path

    @cached_property
    def facts(self) -> Facts:
        found: Facts = json.loads((self.folder / "case.json").read_text())
        return found

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Return all weights as numbers of single precision."""
        stored = load_file(self.folder / self.facts["weights"]["file"])
        return {
            name: one.float() * (SCALE if one.dtype == torch.int8 else 1)
            for name, one in stored.items()
        }

    @property
    def has_clip(self) -> bool:
        """Tell whether CLIP's tower lies among the weights."""
        return any(name.startswith("clip.") for name in self.weights)

    def case(self, name: str) -> Case:
        facts = self.facts["cases"][name]
        return Case(name, facts, load_file(self.folder / facts["file"]))

    def write_dino(self, folder: Path, bias: float) -> dict[str, Any]:
        """Write the tower and its decoder, and return the fields of the backbone."""
        folder.mkdir()
        facts = self.facts["weights"]["dino"]
        tower = {
            name.removeprefix("dino."): one
            for name, one in self.weights.items()
            if name.startswith("dino.")
        }
        save_file(tower, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"num_attention_heads": facts["heads"]}))
        decoder = {
            "decoder.weight": self.weights["decoder.weight"],
            "decoder.bias": self.weights["decoder.bias"] + bias,
        }
        save_file(decoder, folder / "decoder_of_case.safetensors")
        return {
            "weights": str(folder / "model.safetensors"),
            "decoder": str(folder / "decoder_of_case.safetensors"),
            "epsilon": facts["eps"],
        }

    def write_clip(self, folder: Path) -> dict[str, Any]:
        """Write the tower as a CLIP of open_clip, zeros where a set lacks it; return the backbone's
        fields.
        """
        folder.mkdir()
        facts = self.facts["weights"]["clip"]
        vision = {
            "image_size": facts["grid"] * facts["patch"],
            "layers": facts["layers"],
            "width": facts["width"],
            "head_width": facts["width"] // facts["heads"],
            "patch_size": facts["patch"],
        }
        text = {"vocab_size": 8, "context_length": 8, "width": 64, "heads": 1, "layers": 1}
        config = {"embed_dim": facts["output"], "vision_cfg": vision, "text_cfg": text}
        config["quick_gelu"] = facts["activation"] == "quick_gelu"
        state = {
            name: torch.zeros(tensor.shape)
            for name, tensor in build_network(config, "fp32", device="meta").state_dict().items()
        }
        tower = {
            name.removeprefix("clip."): one
            for name, one in self.weights.items()
            if name.startswith("clip.")
        }
        assert tower.keys() <= state.keys()
        save_file({**state, **tower}, folder / "open_clip_model.safetensors")
        colours = self.facts["constants"]
        preprocessing = {"mean": colours["clip_mean"], "std": colours["clip_std"]}
        written = {"model_cfg": config, "preprocess_cfg": preprocessing}
        (folder / "open_clip_config.json").write_text(json.dumps(written))
        return {"weights": str(folder), "epsilon": facts["eps"]}


@dataclass
class Case:
    """Hold what is recorded of one image."""

    name: str
    facts: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def image(self) -> Image:
        return image_of(self.tensors["picture"], self.name)

    @property
    def resized(self) -> Image:
        return image_of(self.tensors["resized"], self.name)

    @property
    def is_demo(self) -> bool:
        """Tell whether it is the demo's, in which FOUND sees the resized image, too."""
        return bool(self.facts["kind"] == "demo")

    @property
    def seen(self) -> Image:
        """Return the image of which the foreground is found."""
        return self.resized if self.is_demo else self.image

    @property
    def vocabulary(self) -> Vocabulary:
        """Return a word for every text, the background's first."""
        words = [word_of(text) for text in range(len(self.tensors["text"]))]
        return make_vocabulary(words, first_is_background=True)
