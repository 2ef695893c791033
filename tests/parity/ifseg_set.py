"""Read a recording of IFSeg's released modules, and make folders of weights that our backbone
reads.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ovsskit.backbones.ofa._checkpoint import read_checkpoint
from ovsskit.backbones.ofa._network import OfaNetwork
from ovsskit.backbones.ofa._text import FIRST, TextReader, read_rows
from ovsskit.backbones.ofa.ofa import Ofa

SPECIAL = ("<mask>", "<code_0>", "<bin_0>", "<seg_0>")


class IfsegRecording:
    """Hold one recording: constants, tensors, and the network with its weights."""

    def __init__(self, folder: Path, scratch: Path | None = None) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "case.json").read_text())
        self.text: dict[str, Any] = json.loads((folder / "text.json").read_text())
        self.golden = load_file(folder / "golden.safetensors")
        if scratch is not None:
            self.weights = scratch
            write_folder(folder, self.facts, scratch)

    def network(self) -> OfaNetwork:
        """Return a new copy of the network, in evaluation mode and the default precision."""
        network = read_checkpoint(self.weights).network.eval().requires_grad_(False)
        return network.to(torch.get_default_dtype())

    def backbone(self, **fields: Any) -> Ofa:
        return Ofa(weights=str(self.weights), **fields)

    def reader(self) -> TextReader:
        return TextReader(
            read_rows(self.weights / "dict.txt"), self.facts["config"]["max_positions"]
        )

    def pixels(self, case: str) -> torch.Tensor:
        """Return a case's pictures; large ones are recorded at an eighth of their size."""
        small = self.golden.get(f"{case}.in.patch_images_eighth")
        if small is None:
            return self.golden[f"{case}.in.patch_images"].to(torch.get_default_dtype())
        small = small.to(torch.get_default_dtype())
        return small.repeat_interleave(8, 2).repeat_interleave(8, 3)

    def case_with(self, name: str) -> str:
        """Return the first case of which this was recorded."""
        return next(case for case in self.facts["cases"] if f"{case}.{name}" in self.golden)

    def ids(self, case: str) -> torch.Tensor:
        return self.golden[f"{case}.in.src_tokens"].long()


def write_folder(recording: Path, facts: dict[str, Any], folder: Path) -> None:
    """Put the recorded weights into a folder, beside the dictionary that they have."""
    shutil.copyfile(recording / "weights.safetensors", folder / "model.safetensors")
    symbols = facts["dictionary"]["symbols"]
    last = next(index for index, symbol in enumerate(symbols) if symbol in SPECIAL)
    (folder / "dict.txt").write_text("".join(f"{symbol} 1\n" for symbol in symbols[FIRST:last]))
