"""Weights with what lies beside them: configurations, tokenizers; and checkpoints."""

from __future__ import annotations

import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from fuzzing.feeding import Read, Reader, Readers


def _tokenizers(file: str) -> Reader:
    from ovsskit.backbones.matching._tokenizer import WORDPIECES, read_tokenizer
    from ovsskit.embedded import __file__ as embedded

    own = Path(embedded).parent
    if file == "dict.txt":
        from ovsskit.backbones.ofa._checkpoint import read_text

        good = (own / "ofa" / file).read_bytes()
        rows = 4 + len(good.splitlines())
        return Reader(file, (good,), file, lambda path: read_text(path, rows, 300).read(["dog"]))
    good = (own / "blip_itm" / "vocab.txt").read_bytes()
    rows = len(good.splitlines())
    read = partial(read_tokenizer, kind=WORDPIECES, rows=rows)
    if file == "tokenizer.json":
        good = read(own / "blip_itm").to_str().encode()
    return Reader(file, (good,), file, lambda path: read(path.parent).encode("a dog"))


def _weights(name: str, file: str, small: bytes = b"") -> Reader:
    from ovsskit.embedded import __file__ as embedded
    from ovsskit.recipe.registry import find_backbone

    folder = Path(embedded).parent / name
    beside = {
        one.name: one.read_bytes() for one in folder.iterdir() if one.is_file() and one.name != file
    }
    good = small or (folder / file).read_bytes()
    cls: Any = find_backbone(name)

    def read(path: Path) -> object:
        for other, content in beside.items():
            path.with_name(other).write_bytes(content)
        return cls(weights=str(path.parent)).check_weights()

    return Reader(f"{name}/{file}", (good,), file, read)


CHECKPOINTS = {
    "blip_itm": "visual_encoder.blocks.0.a",
    "clip": "visual.conv1.weight",
    "dino": "blocks.0.attn.qkv.weight",
    "groupvit": "img_encoder.patch_embed.proj.weight",
    "ofa": "encoder.embed_tokens.weight",
    "radio": "radio_model.model.blocks.0.attn.qkv.weight",
    "segformer": "decode_head.classifier.weight",
    "tcl": "clip_image_encoder.clip_visual.conv1.weight",
}
"""Backbones that read checkpoints of trainings, and a tensor that is in theirs."""
RAN = "ovsskit code was run"
"""A file that a checkpoint writes where its code is run."""


class Evil:
    """Write a file when it is read from a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(tempfile.gettempdir(), RAN),)


def _decoders() -> Reader:
    """Return a reader of FOUND's decoder, as torch saved it."""
    from ovsskit.backbones.dino._decoder import BIAS, WEIGHT, read_decoder

    good = []
    for more in ({}, {"more": Evil()}):
        saved = io.BytesIO()
        torch.save({WEIGHT: torch.zeros(1, 8, 1, 1), BIAS: torch.zeros(1), **more}, saved)
        good.append(saved.getvalue())
    return Reader("decoder.pth", tuple(good), "w.pth", _unrun(lambda path: read_decoder(path, 8)))


def _unrun(read: Read) -> Read:
    """Return what reads a file, and sees that none of its code was run."""

    def watched(path: Path) -> object:
        ran = Path(tempfile.gettempdir(), RAN)
        ran.unlink(missing_ok=True)
        try:
            return read(path)
        finally:
            assert not ran.exists(), "code of the file was run"

    return watched


def _checkpoints(name: str) -> Reader:
    """Return a reader of what torch saved, some of which would run code."""
    from ovsskit.recipe.registry import find_backbone

    tensors = {CHECKPOINTS[name]: torch.zeros(2), "logit_scale": torch.tensor(1.0)}
    good = []
    for content in (tensors, {"model": tensors}, {"model": {**tensors, "more": Evil()}}):
        for is_zip in (True, False):
            saved = io.BytesIO()
            torch.save(content, saved, _use_new_zipfile_serialization=is_zip)
            good.append(saved.getvalue())
    cls: Any = find_backbone(name)
    read = _unrun(lambda path: cls(weights=str(path)).check_weights())
    return Reader(f"{name}.pth", tuple(good), "w.pth", read)


def _student(file: str) -> Reader:
    """Return a reader of a student that `distil` left."""
    from ovsskit.backbones._inferred import CONFIG
    from ovsskit.backbones.segformer._checkpoint import SegformerShape, build
    from ovsskit.recipe.registry import find_backbone
    from ovsskit.run.output.training import MODEL

    configuration = SegformerShape(
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
        id2label={0: "background", 1: "dog"},
    )
    tensors = build(configuration, 2).state_dict()
    beside = {CONFIG: configuration.model_dump_json().encode(), MODEL: save(tensors)}
    cls: Any = find_backbone("segformer")

    def read(path: Path) -> object:
        for name, content in beside.items():
            if name != file:
                path.with_name(name).write_bytes(content)
        return cls(weights=str(path.parent)).check_weights()

    return Reader(f"student/{file}", (beside[file],), file, read)


READERS: Readers = {
    "vocab.txt": partial(_tokenizers, "vocab.txt"),
    "tokenizer.json": partial(_tokenizers, "tokenizer.json"),
    "dict.txt": partial(_tokenizers, "dict.txt"),
    "clip": partial(_weights, "clip", "open_clip_config.json"),
    "blip": partial(_weights, "blip_itm", "config.json"),
    **{f"{name}.pth": partial(_checkpoints, name) for name in CHECKPOINTS},
    "decoder.pth": _decoders,
    "student/config.json": partial(_student, "config.json"),
    "student/model.safetensors": partial(_student, "model.safetensors"),
}
