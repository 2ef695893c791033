"""Our BridgeTower against recordings of transformers and of the authors' code; every number comes from the recording."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from itm_set import (
    Recording,
    attend,
    check_gradcam,
    check_logits,
    check_maps,
    check_tokens,
    close,
    show,
)
from safetensors.torch import load_file

from ovsskit.backbones._bridgetower_checkpoint import hub_name
from ovsskit.backbones._clip_tower import run_tower
from ovsskit.backbones.bridgetower import Bridgetower

LOGITS = {"atol": 1e-5, "rtol": 0}
GRADCAM = {"atol": 1e-6, "rtol": 1e-4}
TOLERANCES: dict[str, Any] = {
    "cross_attention": {"atol": 1e-6, "rtol": 0},
    "cross_attention_grad": {"atol": 5e-6, "rtol": 0},
    "gradcam": GRADCAM,
}


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "bridgetower")


def make(recording: Recording, pixels: torch.Tensor, **fields: Any) -> Bridgetower:
    height, width = pixels.shape[-2:]
    return Bridgetower(weights=str(recording.folder), image_size=(height, width), **fields)


@pytest.fixture(scope="module")
def backbone(recording: Recording) -> Bridgetower:
    return make(recording, recording.tensors("itm_native")["pixel_values"])


@pytest.mark.parametrize("name", ["itm_native", "itm_resized"])
def test_pixels(recording: Recording, name: str) -> None:
    theirs = recording.tensors(name)["pixel_values"]
    ours = torch.stack([make(recording, theirs).pixels(image) for image in recording.images()])
    close(ours, theirs, atol=1e-6, rtol=0)


def test_tokens_and_the_classes_they_belong_to(recording: Recording, backbone: Bridgetower) -> None:
    captions = recording.captions(recording.facts["classes"])
    check_tokens(backbone, captions, recording.tensors("itm_native"), recording.facts["tokens"])
    for mine, indices in zip(captions, recording.facts["class_token_indices"], strict=True):
        positions = backbone.reader.read(mine.captions[0]).positions
        assert [
            [i for i, mark in enumerate(positions) if mark == k] for k in range(len(indices))
        ] == indices


def test_states_of_both_encoders(recording: Recording, backbone: Bridgetower) -> None:
    theirs, model = recording.tensors("itm_native"), backbone.network.bridgetower
    with torch.no_grad():
        [state] = run_tower(model.vision_model.visual, theirs["pixel_values"], 1)
        out = model(
            pixel_values=theirs["pixel_values"],
            input_ids=theirs["input_ids"],
            attention_mask=theirs["attention_mask"],
            output_hidden_states=True,
        )
    close(state.transpose(0, 1), theirs["image_embeds_last"], **LOGITS)
    close(out.hidden_states[0][-1], theirs["text_embeds_last"], **LOGITS)
    close(out.text_features, theirs["text_features"], **LOGITS)
    close(out.image_features, theirs["image_features"], **LOGITS)


def test_logits_attention_gradient_and_gradcam(recording: Recording, backbone: Bridgetower) -> None:
    theirs, images, captions = (
        recording.tensors("itm_native"),
        recording.images(),
        recording.captions(),
    )
    check_logits(backbone, images, captions, theirs, **LOGITS)
    check_maps(attend(backbone, images, captions, theirs["input_ids"].shape[1]), theirs, TOLERANCES)


def test_the_authors_epsilon(recording: Recording) -> None:
    theirs, images, captions = (
        recording.tensors("itm_native_original_eps"),
        recording.images(),
        recording.captions(),
    )
    native = recording.tensors("itm_native")
    backbone = make(recording, native["pixel_values"], cross_modal_epsilon=1e-12)
    check_logits(backbone, images, captions, theirs, atol=2e-6, rtol=0)
    check_maps(attend(backbone, images, captions, native["input_ids"].shape[1]), theirs, TOLERANCES)


def test_another_size(recording: Recording) -> None:
    theirs, images, captions = (
        recording.tensors("itm_resized"),
        recording.images(),
        recording.captions(),
    )
    backbone = make(recording, theirs["pixel_values"])
    positions = (
        backbone.network.bridgetower.vision_model.visual.embeddings.position_embedding.weight
    )
    close(positions, theirs["position_embedding"][0], **TOLERANCES["cross_attention"])
    check_logits(backbone, images, captions, theirs, **LOGITS)
    check_maps(attend(backbone, images, captions, theirs["input_ids"].shape[1]), theirs, TOLERANCES)


def test_a_rectangle(recording: Recording) -> None:
    theirs, images, captions = (
        recording.tensors("itm_rectangle"),
        recording.images()[:1],
        recording.captions()[:1],
    )
    backbone = make(recording, theirs["pixel_values"])
    show(backbone, images, theirs["pixel_values"])
    check_tokens(backbone, captions, theirs, recording.facts["tokens"][:1])
    check_logits(backbone, images, captions, theirs, **LOGITS)
    skipped = theirs["input_ids"].shape[1] - 1 - theirs["gradcam"].shape[3]
    layers = range(1, len(theirs["gradcam"]) + 1)
    check_gradcam(
        attend(backbone, images, captions, 0), theirs["gradcam"], layers, skipped, GRADCAM
    )


def test_the_last_layer_gives_classes_no_gradient(
    recording: Recording, backbone: Bridgetower
) -> None:
    for one in attend(backbone, recording.images(), recording.captions(), 0):
        largest = one.gradient[:, :, 1:].abs().amax((1, 2, 3))
        assert (largest > 0).tolist() == [True] * (backbone.layer_count - 1) + [False]


def test_the_authors_names(recording: Recording, backbone: Bridgetower, tmp_path: Path) -> None:
    names = dict(recording.facts["key_names"])
    assert {theirs: hub_name(theirs) for theirs in names.values()} == {
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
