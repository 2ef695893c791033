"""Spoil the folders of small models, each in a way that a person meets."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def take_names(folder: Path) -> None:
    """Leave a tensor that no model has."""
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")


def shorten(folder: Path, name: str) -> None:
    """Leave two rows of a tensor."""
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = tensors[name][:2]
    save_file(tensors, folder / "model.safetensors")


def pickle_code(folder: Path) -> None:
    """Leave a pickle that names a function."""
    (folder / "model.safetensors").unlink()
    torch.save(print, folder / "pytorch_model.bin")


def change_config(folder: Path, **changes: object) -> None:
    """Let the configuration say something else."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
