"""Read recordings of GroupViT's released code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from clip_family_set import RecordedWords
from recording import Case, CaseFiles
from safetensors.torch import load_file
from small_clip import block_shapes, unpacked

from ovsskit.backbones.groupvit.groupvit import Groupvit

Tensor = torch.Tensor
WIDTH = 64


class GroupvitTower(RecordedWords, Groupvit):  # type: ignore[misc]
    """Be the small GroupViT, with a recorded vector for every word."""


class Recording(CaseFiles):
    """Read one set, and write its weights as its authors keep them."""

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
    shapes: dict[str, tuple[int, ...]] = {
        f"text_encoder.transformer.resblocks.0.{name}": shape
        for name, shape in block_shapes(WIDTH).items()
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
