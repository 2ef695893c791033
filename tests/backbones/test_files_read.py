"""What a backbone says that it reads is all that it reads, and every part of it counts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from twins import TWINS

from ovsskit.engine.model import Backbone
from ovsskit.errors import OvsskitError
from ovsskit.recipe.registry import backbone_names, find_backbone


def make(name: str, weights: str, **more: str) -> Any:
    cls = find_backbone(name)
    assert cls is not None
    settings = {**TWINS[name], **more, "weights": weights}
    parts = {"decoder", "projection", "vision_head", "text_encoder", "prompts"} & settings.keys()
    for part in parts:
        files = list(Path(weights).glob(f"{part}.*"))
        settings |= {part: str(files[0])} if files else {}
    return cls(**settings)


def read(model: Any) -> None:
    """Read all of a model."""
    model.prepare()
    reading = getattr(model, "clip", model)  # `clip_dense` reads as `clip` does
    assert not hasattr(type(reading), "reader") or reading.reader is not None


def digest_of(model: Any) -> str:
    """Return the digest of a model, or nothing where its files cannot even be told."""
    try:
        return str(model.digest)
    except OvsskitError:
        return ""


def copied(model: Backbone, to: Path) -> str:
    """Copy what a model says that it reads, and return where the weights are then."""
    to.mkdir()
    for name, file in model.read_files().items():  # type: ignore[attr-defined]
        shutil.copyfile(file, to / name)
    path = model.need_weights()  # type: ignore[attr-defined]
    return str(to if path.is_dir() else to / path.name)


@pytest.mark.parametrize("source", ["random", "packaged"])
@pytest.mark.parametrize("name", [one for one in backbone_names() if "weights" in TWINS[one]])
def test_a_backbone_reads_what_it_names(name: str, source: str, tmp_path: Path) -> None:
    weights = TWINS[name]["weights"] if source == "random" else "embedded"
    # The prompts of the twin are for a narrower CLIP.
    more = {"prompts": ""} if source == "packaged" and "prompts" in TWINS[name] else {}
    model = make(name, weights, **more)
    if source == "packaged" and model.embedded == Path():
        pytest.skip("the package holds no weights of it")
    place = copied(model, tmp_path / "copy")
    copy = make(name, place, **more)
    read(copy)
    assert copy.digest == make(name, place, **more).digest
    for file in sorted((tmp_path / "copy").iterdir()):
        content = file.read_bytes()
        file.write_bytes(b"nonsense")
        assert digest_of(make(name, place, **more)) != copy.digest
        with pytest.raises((OvsskitError, ValueError)):
            read(make(name, place, **more))
        file.write_bytes(content)
    for extra in ("README.md", "model.onnx", "special_tokens_map.json", "tf_model.h5"):
        (tmp_path / "copy" / extra).write_text("of another program")
    assert make(name, place, **more).digest == copy.digest
