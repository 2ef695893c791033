"""Read recordings of TCL's released code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from clip_family_set import RecordedWords, word_of
from safetensors.torch import load_file
from sets import Facts
from small_clip import unpacked

from ovsskit.backbones.tcl.tcl import Tcl
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
TEXT_WIDTH = 64


class TclTower(RecordedWords, Tcl):  # type: ignore[misc]
    """Be the small TCL, with a recorded vector for every word."""


@dataclass
class Recording:
    """Hold one set: settings, weights, and the tensors of its cases."""

    folder: Path

    @cached_property
    def facts(self) -> Facts:
        found: Facts = json.loads((self.folder / "case.json").read_text())
        return found

    def case(self, name: str) -> Case:
        facts = self.facts["cases"][name]
        return Case(name, facts, load_file(self.folder / facts["file"]))

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Return all weights as numbers of single precision."""
        stored = load_file(self.folder / self.facts["weights"]["file"])
        return {name: unpacked(one) for name, one in stored.items()}

    @property
    def has_tower(self) -> bool:
        """Tell whether the tower lies among the weights."""
        return any(name.startswith("clip_image_encoder.") for name in self.weights)

    @property
    def calibration(self) -> tuple[float, float]:
        """Return the learned scale and bias."""
        scale, bias = (float(self.weights[f"masker.sim2mask.{name}"]) for name in "wb")
        return scale, bias

    def write_checkpoint(self, file: Path) -> Path:
        """Write the weights as the authors' file has them, in an envelope; the text encoder, which
        is not recorded, is empty.
        """
        output = self.facts["weights"]["output"]
        torch.save({"model": self.weights | empty_text_encoder(output)}, file)
        return file


def empty_text_encoder(output: int) -> dict[str, Tensor]:
    """Return a text encoder of one block, by the checkpoint's names."""
    width = TEXT_WIDTH
    block = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
    }
    norms = {f"ln_{n}.{part}": (width,) for n in "12" for part in ("weight", "bias")}
    shapes = {f"transformer.resblocks.0.{name}": shape for name, shape in (block | norms).items()}
    shapes |= {f"ln_final.{part}": (width,) for part in ("weight", "bias")}
    shapes |= {"token_embedding.weight": (8, width), "positional_embedding": (8, width)}
    shapes["text_projection"] = (width, output)
    return {f"clip_text_encoder.{name}": torch.zeros(shape) for name, shape in shapes.items()}


@dataclass
class Case:
    """Hold what is recorded of one image."""

    name: str
    facts: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def picture(self) -> Image:
        """Return the image after the resizing of the evaluation."""
        return Image(self.tensors["picture"].permute(2, 0, 1).float() / 255, self.name)

    @property
    def first_window(self) -> Tensor:
        """Return what the first window shows, without padding."""
        rows, columns = (min(self.facts["window"], side) for side in self.picture.size)
        return self.picture.data[:, :rows, :columns]

    @property
    def original(self) -> Image:
        """Return an image of the size at which labels are recorded."""
        return Image(torch.zeros(3, *self.facts["original"]), self.name)

    @property
    def vocabulary(self) -> Vocabulary:
        return make_vocabulary([word_of(text) for text in range(len(self.tensors["text"]))])
