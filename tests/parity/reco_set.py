"""Read recordings of ReCo's released code."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from clip_family_set import RecordedWords, word_of
from recording import Case, CaseFiles
from safetensors.torch import load_file, save_file
from small_clip import unpacked

from ovsskit.backbones.clip._weights import build_network
from ovsskit.backbones.clip.clip_dense import ClipDense
from ovsskit.backbones.dino.deit import Deit
from ovsskit.engine.values import Vocabulary
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor


class DenseTower(RecordedWords, ClipDense):  # type: ignore[misc]
    """Be the small dense CLIP, with a recorded vector for every word."""


class Recording(CaseFiles):
    """Read one set: its weights, and the tensors of its archive and cases."""

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        stored = load_file(self.folder / self.facts["weights"]["file"])
        return {name: unpacked(one) for name, one in stored.items()}

    @cached_property
    def archive(self) -> Case:
        return self.case("archive")

    @property
    def text(self) -> Tensor:
        """Return a vector for every category, in their order."""
        names = self.archive.facts["names"]
        rows = [names.index(name) for name in self.archive.facts["categories"]]
        return self.archive.tensors["text"][rows]

    @property
    def vocabulary(self) -> Vocabulary:
        return make_vocabulary([word_of(index) for index in range(len(self.text))])

    def write_deit(self, folder: Path) -> Deit:
        """Write the small DeiT by timm's names, and return it with the recipe's settings."""
        folder.mkdir(exist_ok=True)
        tower = {name[4:]: one for name, one in self.weights.items() if name.startswith("vit.")}
        save_file(tower, folder / "model.safetensors")
        heads = {"num_attention_heads": self.facts["weights"]["vit"]["heads"]}
        (folder / "config.json").write_text(json.dumps(heads))
        model: Any = load_recipe("reco").plan.models["affinity"]
        found: Deit = model.model_copy(update={"weights": str(folder)})
        return found

    def write_clip(self, folder: Path) -> DenseTower:
        """Write the small dense CLIP as open_clip keeps its models; its text encoder is empty."""
        folder.mkdir(exist_ok=True)
        facts = self.facts["weights"]["dense"]
        vision = {"image_size": 224, "layers": facts["blocks"], "width": facts["base"]}
        text = {"vocab_size": 8, "context_length": 8, "width": 64, "heads": 1, "layers": 1}
        config = {"embed_dim": facts["output"], "vision_cfg": vision, "text_cfg": text}
        shapes = build_network(config, "fp32", device="meta").state_dict()
        state = {name: torch.zeros(one.shape, dtype=one.dtype) for name, one in shapes.items()}
        own = {name: one for name, one in self.weights.items() if name.startswith("visual.")}
        assert own.keys() <= state.keys()
        save_file(state | own, folder / "open_clip_model.safetensors")
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
        recipe: Any = load_recipe("reco").plan.models["backbone"]
        colours = {"mean": recipe.mean, "deviation": recipe.deviation}
        return DenseTower(weights=str(folder), **colours)
