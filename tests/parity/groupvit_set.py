"""Read recordings of GroupViT's released code."""

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

from ovsskit.backbones.groupvit.groupvit import Groupvit
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary

Tensor = torch.Tensor
WIDTH = 64


class GroupvitTower(RecordedWords, Groupvit):  # type: ignore[misc]
    """Be the small GroupViT, with a recorded vector for every word."""


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

    def write_checkpoint(self, folder: Path, case: Case) -> Path:
        """Write the weights by the authors' names, in an envelope, with a case's scale; the text
        encoder, which is not recorded, is empty.
        """
        weights = self.facts["weights"]
        stored = load_file(self.folder / weights["file"])
        state = {name: unpacked(one) for name, one in stored.items()}
        if "logit_scale" in case.facts:
            state["logit_scale"] = torch.tensor(case.facts["logit_scale"])
        state |= empty_text_encoder(weights["projector"], weights["output"])
        folder.mkdir()
        torch.save({"model": state}, folder / "group_vit.pth")
        heads = {"vision_config": {"num_attention_heads": weights["heads"]}}
        (folder / "config.json").write_text(json.dumps(heads))
        return folder / "group_vit.pth"


def empty_text_encoder(projector: int, output: int) -> dict[str, Tensor]:
    """Return a text encoder of one block, by the checkpoint's names."""
    block = {
        "attn.in_proj_weight": (3 * WIDTH, WIDTH),
        "attn.in_proj_bias": (3 * WIDTH,),
        "attn.out_proj.weight": (WIDTH, WIDTH),
        "attn.out_proj.bias": (WIDTH,),
        "mlp.c_fc.weight": (4 * WIDTH, WIDTH),
        "mlp.c_fc.bias": (4 * WIDTH,),
        "mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
        "mlp.c_proj.bias": (WIDTH,),
    }
    block |= {f"ln_{n}.{part}": (WIDTH,) for n in "12" for part in ("weight", "bias")}
    shapes: dict[str, tuple[int, ...]] = {
        f"text_encoder.transformer.resblocks.0.{name}": shape for name, shape in block.items()
    }
    shapes |= {f"text_encoder.ln_final.{part}": (WIDTH,) for part in ("weight", "bias")}
    shapes |= {"text_encoder.token_embedding.weight": (8, WIDTH)}
    shapes |= {"text_encoder.positional_embedding": (8, WIDTH)}
    hidden, out = "text_projector.linear_hidden", "text_projector.linear_out"
    shapes |= {f"{hidden}.0.weight": (projector, WIDTH, 1), f"{hidden}.0.bias": (projector,)}
    norm = ("weight", "bias", "running_mean", "running_var")
    shapes |= {f"{hidden}.1.{part}": (projector,) for part in norm}
    shapes |= {f"{hidden}.1.num_batches_tracked": ()}
    shapes |= {f"{out}.weight": (output, projector, 1), f"{out}.bias": (output,)}
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


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
    def original(self) -> Image:
        """Return an image of the size at which labels are recorded."""
        return Image(torch.zeros(3, *self.facts["original"]), self.name)

    @property
    def vocabulary(self) -> Vocabulary:
        return make_vocabulary([word_of(text) for text in range(len(self.tensors["text"]))])
