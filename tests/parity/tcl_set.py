"""Read recordings of TCL's released code."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from clip_family_set import RecordedWords
from recording import Case, CaseFiles
from safetensors.torch import load_file
from small_clip import block_shapes, unpacked

from ovsskit.backbones.tcl.tcl import Tcl

Tensor = torch.Tensor
TEXT_WIDTH = 64


class TclTower(RecordedWords, Tcl):  # type: ignore[misc]
    """Be the small TCL, with a recorded vector for every word."""


class Recording(CaseFiles):
    """Read one set, and write its weights as its authors keep them."""

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
    shapes = {
        f"transformer.resblocks.0.{name}": shape for name, shape in block_shapes(width).items()
    }
    shapes |= {f"ln_final.{part}": (width,) for part in ("weight", "bias")}
    shapes |= {"token_embedding.weight": (8, width), "positional_embedding": (8, width)}
    shapes["text_projection"] = (width, output)
    return {f"clip_text_encoder.{name}": torch.zeros(shape) for name, shape in shapes.items()}


def first_window(case: Case) -> Tensor:
    """Return what the first window of a case shows, without padding."""
    rows, columns = (min(case.facts["window"], side) for side in case.picture.size)
    return case.picture.data[:, :rows, :columns]
