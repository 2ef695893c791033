"""Read a recording: a `case.json` with what was set, and a file of tensors for each case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from ovsskit._lazy import torch
from ovsskit.engine.values import Image


class CaseFiles:
    """Hold the facts of a recording, and read its cases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = json.loads((folder / "case.json").read_text())

    def tensors(self, case: str) -> dict[str, torch.Tensor]:
        """Return what is recorded of a case."""
        return load_file(self.folder / self.facts["cases"][case]["file"])

    def image(self, case: str) -> Image:
        """Return the picture of a case."""
        return Image(self.tensors(case)["picture"].permute(2, 0, 1).float() / 255, case)
