"""Read recordings of RADSeg's released code, whose window features are given."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any, ClassVar

import torch
from clip_family_set import RecordedWords, word_of
from runs import RunFiles
from safetensors.torch import load_file
from sets import Facts

from ovsskit.engine.model import EncodesText
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Gathered, Hidden, Image, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
TEACHER = "siglip2-g"
PATCH = 16


def blocks(facts: Facts) -> list[str]:
    """Return the names under which the changed last block is recorded."""
    return [name for name in facts["block"] if name.startswith("scaling_")]


class Texts(RecordedWords, EncodesText):
    """Have a recorded vector for every word, and no network."""

    def load(self) -> Any:
        """Read nothing."""
        raise NotImplementedError


class GivenFeatures(Stage, writes="gathered"):
    """Give the recorded features to the windows of an image, one after the other."""

    left: ClassVar[list[Tensor]] = []

    def run(self, image: Image) -> Gathered:
        """Return the next ones."""
        return Gathered(self.left.pop(0), 1)


class Recording(RunFiles):
    """Read one set: its settings, its weights, and what its runs recorded."""

    def weights(self, start: str) -> dict[str, Tensor]:
        """Return the tensors below a name, in single precision."""
        stored = load_file(self.folder / "weights.safetensors")
        return {
            name.removeprefix(start): one.float()
            for name, one in stored.items()
            if name.startswith(start)
        }

    def window_features(self, run: str) -> list[Tensor]:
        return [*self.inputs[f"{run}.window_features"].float()]

    def vocabulary(self, run: str) -> Vocabulary:
        """Return a word for every class."""
        words = [word_of(query) for query in range(self.facts["runs"][run]["classes"])]
        return make_vocabulary(words)

    def block_inputs(self) -> list[Hidden]:
        """Return the tokens that enter the recorded block, as those of its model's first."""
        others = self.facts["block"]["prefix_tokens"]
        return [
            Hidden(one[None], (1,), (len(one) - others, 1))
            for one in self.inputs["block_input"].float()
        ]

    def write_block(self, file: Path) -> Path:
        """Write a RADIO of one block, the recorded one, as NVIDIA's checkpoint has it."""
        facts = self.facts["block"]
        state = radio_of(facts["width"], facts["prefix_tokens"])
        state |= {
            f"base_model.blocks.0.{name}": one for name, one in self.weights("block.").items()
        }
        torch.save({"state_dict": state, "args": Namespace(teachers=[])}, file)
        heads = json.dumps({"num_attention_heads": facts["heads"]})
        (file.parent / "config.json").write_text(heads)
        return file

    def write_head(self, file: Path) -> Path:
        """Write a RADIO without content but for its head, which is the recorded one."""
        width = self.facts["head"]["in"]
        state = radio_of(width, 1)
        shapes = {"norm1": (width,), "norm2": (width,), "attn.proj": (width, width)}
        shapes |= {"attn.qkv": (3 * width, width), "mlp.fc1": (width, width)}
        shapes["mlp.fc2"] = (width, width)
        for name, shape in shapes.items():
            state[f"base_model.blocks.0.{name}.weight"] = torch.zeros(shape)
            state[f"base_model.blocks.0.{name}.bias"] = torch.zeros(shape[:1])
        state |= {f"_heads.0.{name}": one for name, one in self.weights("head.").items()}
        torch.save({"state_dict": state, "args": Namespace(teachers=[{"name": TEACHER}])}, file)
        return file


def radio_of(width: int, others: int) -> dict[str, Tensor]:
    """Return the tensors of a RADIO that stand before its blocks."""
    generator = "base_model.patch_generator."
    return {
        "input_conditioner.norm_mean": torch.zeros(3, 1, 1),
        "input_conditioner.norm_std": torch.ones(3, 1, 1),
        f"{generator}embedder.weight": torch.zeros(width, 3 * PATCH**2),
        f"{generator}pos_embed": torch.zeros(1, 4, width),
        f"{generator}cls_token.token": torch.zeros(others, width),
    }


def thinned(values: Tensor, name: str) -> Tensor:
    """Return every so manieth row and column of maps, or row of others, as a name says."""
    if "_sub" in name:
        step = int(name.partition("_sub")[2])
        return values[..., ::step, ::step]
    step = int(name.partition("_step")[2] or 1)
    return values[..., ::step, :] if step > 1 else values
