"""Read a recording of ITACLIP's released code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sets import Facts

from ovsskit.backbones.clip._weights import build_network
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Image, TextFeatures

TOKENS = {"atol": 1e-4, "rtol": 0}
LABELS = 0.9995
"""Share of pixels whose labels must agree."""


def pictures(facts: Facts) -> list[str]:
    """Return the names of the recorded pictures."""
    return [name for name, one in facts.items() if isinstance(one, dict) and "height" in one]


class Recording:
    """Hold one recording: constants, settings and tensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, dict[str, torch.Tensor]] = {}
        self.facts: dict[str, Any] = json.loads((folder / "case.json").read_text())

    def file_of(self, run_name: str) -> str:
        """Return the name of the file that holds what a run of the sliding window recorded."""
        files: dict[str, str] = self.facts["cases"]["slide"]["file"]
        [found] = [
            file
            for runs, file in files.items()
            if run_name in {run.split(".")[0].strip() for run in runs.split(",")}
        ]
        return Path(found).stem

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        if name not in self.files:
            self.files[name] = load_file(self.folder / f"{name}.safetensors")
        return self.files[name]

    def image(self, file: str, name: str = "image") -> Image:
        """Return a recorded picture."""
        return Image(self.tensors(file)[name].permute(2, 0, 1).float() / 255, name)

    def colours(self) -> dict[str, list[float]]:
        """Return the mean and the deviation that were subtracted and divided by, of channels from 0
        to 1.
        """
        facts = self.facts["preprocess"]
        return {
            "mean": [value / 255 for value in facts["mean_rgb"]],
            "deviation": [value / 255 for value in facts["std_rgb"]],
        }

    def texts(self, name: str, labels: Sequence[int]) -> TextFeatures:
        vectors = self.tensors("forward_feature")[name].to(torch.get_default_dtype())
        return TextFeatures(vectors, tuple(labels))

    def texts_of(self, *, has_background: bool) -> str:
        """Return the name of the text features of runs with or without a background."""
        first = str(self.facts["cases"]["forward_feature"]["text"])
        others = [
            name
            for name in self.tensors("forward_feature")
            if name.startswith("text_") and name != first
        ]
        return first if has_background else others[0]

    def queries(self, texts: str) -> list[int]:
        """Return the class of each of the text features that are named so."""
        classes = self.tensors("forward_feature")[f"query_idx_{texts.removeprefix('text_')}"]
        return [int(number) for number in classes]

    def step(self, names: Iterable[str], stem: str) -> int:
        """Return which rows and columns were recorded of something: `stem` ends in their step."""
        [found] = [name for name in names if re.fullmatch(rf"{re.escape(stem)}\d+", name)]
        return int(found.removeprefix(stem))

    def backbone(self, scratch: Path) -> Clip:
        """Return the recorded encoders of pictures and texts as a CLIP of open_clip, written to a
        folder.
        """
        folder = scratch / "itaclip_clip"
        facts, preparation = self.facts["vision"], self.facts["preprocess"]
        if not folder.exists():
            keys = {
                "image_size": "input_resolution",
                "layers": "layers",
                "width": "width",
                "patch_size": "patch_size",
            }
            shape = {name: facts[key] for name, key in keys.items()}
            shape |= {
                "head_width": facts["width"] // facts["heads"],
                "mlp_ratio": facts["mlp_ratio"],
            }
            tower = self.facts["cases"]["text"]["tower"]
            text = {
                name: tower[name]
                for name in ("width", "heads", "layers", "context_length", "vocab_size")
            }
            config = {"embed_dim": facts["embed_dim"], "vision_cfg": shape, "text_cfg": text}
            config["quick_gelu"] = facts["activation"] == "quick_gelu"
            network = build_network(config, "fp32")
            seen = self.text_weights()
            for file in sorted(self.folder.glob("weights_visual_*.safetensors")):
                seen |= self.tensors(file.stem)
            assert network.state_dict().keys() - seen.keys() <= {"logit_scale", "logit_bias"}
            seen["logit_scale"] = torch.tensor(0.0)
            folder.mkdir()
            (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
            save_file(seen, folder / "open_clip_model.safetensors")
        colours = {
            "mean": tuple(preparation["mean_rgb"]),
            "deviation": tuple(preparation["std_rgb"]),
        }
        return Clip(weights=str(folder), epsilon=facts["layer_norm_eps"], **colours)

    def text_weights(self) -> dict[str, torch.Tensor]:
        """Return the recorded text encoder; tokens that no recorded text has are zero."""
        prefix = "weights."
        found = {
            name.removeprefix(prefix): value
            for name, value in self.tensors("text").items()
            if name.startswith(prefix)
        }
        rows, ids = found.pop("token_embedding_rows"), found.pop("token_ids")
        table = torch.zeros(
            self.facts["cases"]["text"]["tower"]["vocab_size"], rows.shape[1], dtype=rows.dtype
        )
        table[ids] = rows
        return {**found, "token_embedding.weight": table}
