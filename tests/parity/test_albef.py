"""Our ALBEF against recordings of the authors' code and of LAVIS; every number comes from the recording."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from itm_set import Recording, attend, check_logits, check_maps, check_tokens, close
from safetensors.torch import load_file, save_file

from ovsskit.backbones._fusion import fuse
from ovsskit.backbones._itm import resize_positions
from ovsskit.backbones._text import batch
from ovsskit.backbones.albef import Albef
from ovsskit.values import Caption

LOGITS = {"atol": 2e-5, "rtol": 0}
TOLERANCES: dict[str, Any] = {
    "cross_attention": {"atol": 2e-6, "rtol": 0},
    "cross_attention_grad": {"atol": 1e-5, "rtol": 0},
    "gradcam": {"atol": 2e-6, "rtol": 1e-4},
}
TYPES = "text_encoder.embeddings.token_type_embeddings.weight"


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "albef")


def size_of(recording: Recording, name: str = "itm_sep") -> int:
    return int(recording.tensors(name)["pixel_values"].shape[-1])


@pytest.fixture(scope="module")
def backbone(recording: Recording) -> Albef:
    return Albef(weights=str(recording.folder), image_size=size_of(recording), separator=True)


@pytest.fixture(scope="module")
def without_types(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Albef:
    """Return the model of weights as LAVIS trains them."""
    folder = tmp_path_factory.mktemp("lavis")
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(recording.folder / name, folder / name)
    state = load_file(recording.folder / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in state.items() if name != TYPES},
        folder / "model.safetensors",
    )
    return Albef(weights=str(folder), image_size=size_of(recording))


@pytest.mark.parametrize("name", ["itm_sep", "itm_resized"])
def test_pixels(recording: Recording, name: str) -> None:
    sized = Albef(weights=str(recording.folder), image_size=size_of(recording, name))
    ours = torch.stack([sized.pixels(image) for image in recording.images()])
    close(ours, recording.tensors(name)["pixel_values"], atol=1e-6, rtol=0)
    for key, theirs in recording.tensors("images").items():
        if key == f"pixel_values0_{sized.image_size}":
            close(ours[0], theirs, atol=1e-6, rtol=0)


def test_states_on_the_way(recording: Recording, backbone: Albef) -> None:
    theirs, captions = recording.tensors("itm_sep"), recording.captions()
    features = backbone.encode(recording.images())
    close(features, theirs["image_embeds"], **LOGITS)
    ids, mask = batch([[backbone.reader.read(one.captions[0])] for one in captions])
    network = backbone.network
    layers = network.text_encoder.encoder.layer
    with torch.no_grad():
        start = network.text_encoder.embeddings(input_ids=ids.flatten(0, 1))
        first = [("text", layer) for layer in layers[: network.config.fusion_layer]]
        last = [("cross", layer) for layer in layers[network.config.fusion_layer :]]
        text, _ = fuse(first, start, mask.flatten(0, 1), features, ())
        close(text, theirs["text_embeds"], **LOGITS)
        fused, _ = fuse(last, text, mask.flatten(0, 1), features, ())
        close(fused, theirs["fused"], **LOGITS)


def test_with_separators(recording: Recording, backbone: Albef) -> None:
    theirs, images, captions = (
        recording.tensors("itm_sep"),
        recording.images(),
        recording.captions(),
    )
    check_tokens(backbone, captions, theirs, recording.facts["tokens_sep"])
    check_logits(backbone, images, captions, theirs, **LOGITS)
    check_maps(attend(backbone, images, captions, theirs["input_ids"].shape[1]), theirs, TOLERANCES)


def test_without_separators_as_the_authors_train(recording: Recording) -> None:
    theirs, images, captions = (
        recording.tensors("itm_nosep"),
        recording.images(),
        recording.captions(),
    )
    backbone = Albef(weights=str(recording.folder), image_size=size_of(recording))
    check_tokens(backbone, captions, theirs, recording.facts["tokens_nosep"])
    check_logits(backbone, images, captions, theirs, **LOGITS)
    check_maps(attend(backbone, images, captions, theirs["input_ids"].shape[1]), theirs, TOLERANCES)


def test_weights_without_token_types_get_separators(
    recording: Recording, without_types: Albef
) -> None:
    theirs, images, captions = (
        recording.tensors("itm_no_type_embeddings"),
        recording.images(),
        recording.captions(),
    )
    check_tokens(without_types, captions, theirs, recording.facts["tokens_sep"])
    ids, mask = (
        tensor.flatten(0, 1)
        for tensor in batch([[without_types.reader.read(one.captions[0])] for one in captions])
    )
    network = without_types.network
    first = [
        ("text", layer)
        for layer in network.text_encoder.encoder.layer[: network.config.fusion_layer]
    ]
    with torch.no_grad():
        start = network.text_encoder.embeddings(input_ids=ids)
        close(
            fuse(first, start, mask, without_types.encode(images), ())[0],
            theirs["text_embeds"],
            **LOGITS,
        )
    check_logits(without_types, images, captions, theirs, **LOGITS)
    check_maps(
        attend(without_types, images, captions, theirs["input_ids"].shape[1]), theirs, TOLERANCES
    )


def test_another_size(recording: Recording) -> None:
    theirs, images, captions = (
        recording.tensors("itm_resized"),
        recording.images(),
        recording.captions(),
    )
    backbone = Albef(
        weights=str(recording.folder), image_size=size_of(recording, "itm_resized"), separator=True
    )
    positions = backbone.network.vision_model.embeddings.position_embedding
    close(positions.detach(), theirs["pos_embed"], atol=1e-6, rtol=0)
    close(backbone.encode(images), theirs["image_embeds"], **LOGITS)
    check_logits(backbone, images, captions, theirs, **LOGITS)
    check_maps(attend(backbone, images, captions, theirs["input_ids"].shape[1]), theirs, TOLERANCES)


def test_position_embeddings(recording: Recording) -> None:
    theirs = recording.tensors("pos_embed")
    source = theirs.pop("source")[0]
    for name, table in theirs.items():
        side = int(name.removeprefix("grid"))
        close(resize_positions(source, (side, side), "bicubic"), table[0], atol=1e-6, rtol=0)


def test_captions_are_cleaned(recording: Recording, backbone: Albef) -> None:
    bare = backbone.model_copy(update={"separator": False})
    bare.__dict__.pop("reader", None)
    for case in recording.facts["caption_cleaning"]:
        assert (
            " ".join(backbone.reader.tokenizer.normalizer.normalize_str(case["raw"]).split())
            == case["clean"]
        )
        assert list(backbone.reader.read(Caption(case["raw"], ())).ids) == case["bert_ids"]
        assert list(bare.reader.read(Caption(case["raw"], ())).ids) == case["albef_ids"]


def test_the_last_layer_gives_classes_no_gradient(recording: Recording, backbone: Albef) -> None:
    for one in attend(backbone, recording.images(), recording.captions(), 0):
        largest = one.gradient[:, :, 1:].abs().amax((1, 2, 3))
        assert (largest > 0).tolist() == [True] * (backbone.layer_count - 1) + [False]


def test_pre_trained_checkpoints(recording: Recording, backbone: Albef, tmp_path: Path) -> None:
    """Names with `bert.`, in an envelope, with momentum copies, queues and a masked-language head."""
    facts, state = recording.facts, load_file(recording.folder / "model.safetensors")
    renamed = {old: state[new] for old, new in facts["pretrain_to_finetuned"] if new in state}
    assert len(renamed) == len(state)
    unused = {
        name: torch.zeros(2)
        for name in (*facts["pretrain_unused_keys"], *facts["retrieval_class_unused_keys"])
    }
    torch.save(
        {"model": {**unused, **renamed}, "epoch": 3, "config": {"image_res": 256}},
        tmp_path / "ALBEF.pth",
    )
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(recording.folder / name, tmp_path / name)
    found = Albef(
        weights=str(tmp_path / "ALBEF.pth"), image_size=backbone.image_size, separator=True
    )
    found.check_weights()
    for (name, mine), theirs in zip(
        found.network.state_dict().items(), backbone.network.state_dict().values(), strict=True
    ):
        close(mine, theirs, msg=name)
