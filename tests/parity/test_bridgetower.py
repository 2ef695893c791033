"""Our BridgeTower against recordings of transformers and of the authors' code; every number comes
from the recording.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from itm_set import (
    Recording,
    check_last_layer,
    check_network,
    check_pixels,
    check_tokens,
    close,
    show,
)
from safetensors.torch import load_file
from sets import find

from ovsskit.backbones.matching._bridgetower_checkpoint import BRIDGETOWER
from ovsskit.backbones.matching._clip_tower import run_tower
from ovsskit.backbones.matching.bridgetower import Bridgetower


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "bridgetower"))


def make(recording: Recording, pixels: torch.Tensor, **fields: Any) -> Bridgetower:
    height, width = pixels.shape[-2:]
    return Bridgetower(weights=str(recording.folder), image_size=(height, width), **fields)


@pytest.fixture(scope="module")
def backbone(recording: Recording) -> Bridgetower:
    return make(recording, recording.tensors("itm_native")["pixel_values"])


@pytest.mark.parametrize("name", ["itm_native", "itm_resized"])
def test_pixels(recording: Recording, name: str) -> None:
    theirs = recording.tensors(name)["pixel_values"]
    check_pixels(lambda: make(recording, theirs), recording.images(), theirs)


def test_tokens_and_the_classes_they_belong_to(recording: Recording, backbone: Bridgetower) -> None:
    captions = recording.captions(recording.facts["classes"])
    check_tokens(backbone, captions, recording.tensors("itm_native"), recording.facts["tokens"])
    for mine, indices in zip(captions, recording.facts["class_token_indices"], strict=True):
        positions = backbone.reader.read(mine.captions[0]).positions
        assert [
            [i for i, mark in enumerate(positions) if mark == k] for k in range(len(indices))
        ] == indices


def states(backbone: Bridgetower, theirs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return positions; at the stored size what the encoders' last layers and the last cross-modal
    layers give.
    """
    model, pixels = backbone.network.bridgetower, theirs["pixel_values"].to(backbone.dtype)
    table = model.vision_model.visual.embeddings.position_embedding.weight
    if "text_features" not in theirs:
        return {"position_embedding": table}
    with torch.no_grad():
        [state] = run_tower(model.vision_model.visual, pixels, 1)
        out = model(
            pixel_values=pixels,
            input_ids=theirs["input_ids"],
            attention_mask=theirs["attention_mask"],
            output_hidden_states=True,
        )
    return {
        "position_embedding": table,
        "image_embeds_last": state.transpose(0, 1),
        "text_embeds_last": out.hidden_states[0][-1],
        "text_features": out.text_features,
        "image_features": out.image_features,
    }


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("itm_native", {}),
        ("itm_native_original_eps", {"cross_modal_epsilon": 1e-12}),  # the authors'
        ("itm_resized", {}),
    ],
)
def test_every_tensor(recording: Recording, name: str, fields: dict[str, float]) -> None:
    native = recording.tensors("itm_native")
    theirs = {name: native[name] for name in ("pixel_values", "input_ids", "attention_mask")}
    theirs |= recording.tensors(name)
    if "position_embedding" in theirs:
        theirs["position_embedding"] = theirs["position_embedding"][0]
    check_network(
        lambda: make(recording, theirs["pixel_values"], **fields),
        recording.images(),
        recording.captions(),
        theirs,
        more=lambda backbone: states(backbone, theirs),
    )


def test_a_rectangle(recording: Recording) -> None:
    theirs, images, captions = (
        recording.tensors("itm_rectangle"),
        recording.images()[:1],
        recording.captions()[:1],
    )

    def shown() -> Bridgetower:
        backbone = make(recording, theirs["pixel_values"])
        show(backbone, images, theirs["pixel_values"])
        return backbone

    check_tokens(shown(), captions, theirs, recording.facts["tokens"][:1])
    check_network(shown, images, captions, theirs)


def test_the_last_layer_gives_classes_no_gradient(
    recording: Recording, backbone: Bridgetower
) -> None:
    check_last_layer(backbone, recording)


def test_the_authors_names(recording: Recording, backbone: Bridgetower, tmp_path: Path) -> None:
    names = dict(recording.facts["key_names"])
    assert {theirs: BRIDGETOWER.rename(theirs) for theirs in names.values()} == {
        theirs: ours for ours, theirs in names.items()
    }
    state = {
        names[name]: tensor
        for name, tensor in load_file(recording.folder / "model.safetensors").items()
    }
    unused = {name: torch.zeros(2) for name in recording.facts["original_keys_without_counterpart"]}
    torch.save({"state_dict": {**state, **unused}, "epoch": 1}, tmp_path / "original.ckpt")
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(recording.folder / name, tmp_path / name)
    original = Bridgetower(weights=str(tmp_path / "original.ckpt"), image_size=backbone.image_size)
    original.check_weights()
    sizes = json.loads((recording.folder / "config.json").read_text())
    found = original.load()
    assert found.config.num_hidden_layers == sizes["num_hidden_layers"]
    for (name, mine), theirs in zip(
        found.state_dict().items(), backbone.network.state_dict().values(), strict=True
    ):
        close(mine, theirs, msg=name)
