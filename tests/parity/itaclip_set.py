"""Read a recording of ITACLIP's released code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ovsskit.backbones._clip_weights import build_network
from ovsskit.backbones.clip import Clip
from ovsskit.values import Image

TOKENS, LOGITS, CONFIDENCES = (
    {"atol": 1e-4, "rtol": 0},
    {"atol": 2e-5, "rtol": 0},
    {"atol": 5e-4, "rtol": 0},
)
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

    def backbone(self, scratch: Path) -> Clip:
        """Return the recorded encoders of pictures and texts as a CLIP of open_clip, written to a folder."""
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
            seen = {
                **self.tensors("weights_visual_0"),
                **self.tensors("weights_visual_1"),
                **self.text_weights(),
            }
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
