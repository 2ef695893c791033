"""Read a recording of ITACLIP's released code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ovsskit.values import Image

TOKENS, LOGITS, CONFIDENCES = {"atol": 1e-4, "rtol": 0}, {"atol": 2e-5, "rtol": 0}, {"atol": 5e-4, "rtol": 0}
LABELS = 0.9995
"""Share of pixels whose labels must agree."""


class Recording:
    """Hold one recording: constants, settings and tensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, dict[str, torch.Tensor]] = {}
        self.facts: dict[str, Any] = json.loads((folder / "case.json").read_text())

    def file_of(self, run_name: str) -> str:
        """Return the name of the file that holds what a run of the sliding window recorded."""
        files: dict[str, str] = self.facts["cases"]["slide"]["file"]
        [found] = [file for runs, file in files.items() if run_name in {run.split(".")[0].strip() for run in runs.split(",")}]
        return Path(found).stem

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        if name not in self.files:
            self.files[name] = load_file(self.folder / f"{name}.safetensors")
        return self.files[name]

    def image(self, file: str, name: str = "image") -> Image:
        """Return a recorded picture."""
        return Image(self.tensors(file)[name].permute(2, 0, 1).float() / 255, name)
