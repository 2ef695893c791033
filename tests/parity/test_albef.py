"""Our ALBEF against recordings of the authors' code and of LAVIS; every number comes from the
recording.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from floor import Twice, check
from itm_set import (
    Recording,
    check_last_layer,
    check_network,
    check_pixels,
    check_positions,
    check_tokens,
    close,
)
from safetensors.torch import load_file, save_file
from sets import find

from ovsskit.backbones.matching._fusion import fuse
from ovsskit.backbones.matching._text import batch
from ovsskit.backbones.matching.albef import Albef
from ovsskit.engine.values import Caption

TYPES = "text_encoder.embeddings.token_type_embeddings.weight"


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "albef"))


def size_of(recording: Recording, name: str = "itm_sep") -> int:
    return int(recording.tensors(name)["pixel_values"].shape[-1])


@pytest.fixture(scope="module")
def backbone(recording: Recording) -> Albef:
    return Albef(weights=str(recording.folder), image_size=size_of(recording), separator=True)


@pytest.fixture(scope="module")
def without_types(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights as LAVIS trains them."""
    folder = tmp_path_factory.mktemp("lavis")
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(recording.folder / name, folder / name)
    state = load_file(recording.folder / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in state.items() if name != TYPES},
        folder / "model.safetensors",
    )
    return folder


@pytest.mark.parametrize("name", ["itm_sep", "itm_resized"])
def test_pixels(recording: Recording, name: str) -> None:
    size, images = size_of(recording, name), recording.images()

    def make() -> Albef:
        return Albef(weights=str(recording.folder), image_size=size)

    check_pixels(make, images, recording.tensors(name)["pixel_values"])
    for index, image in enumerate(images):
        theirs = recording.tensors("images").get(f"pixel_values{index}_{size}")
        if theirs is not None:
            check_pixels(make, [image], theirs[None])


def states(backbone: Albef, recording: Recording) -> dict[str, torch.Tensor]:
    """Return the text after the layers that see it alone, and after the last."""
    rows = [[backbone.reader.read(one.captions[0])] for one in recording.captions()]
    ids, mask = (tensor.flatten(0, 1) for tensor in batch(rows))
    features, network = backbone.encode(recording.images()), backbone.network
    layers, first = network.text_encoder.encoder.layer, network.config.fusion_layer
    with torch.no_grad():
        start = network.text_encoder.embeddings(input_ids=ids)
        text, _ = fuse([("text", layer) for layer in layers[:first]], start, mask, features, ())
        fused, _ = fuse([("cross", layer) for layer in layers[first:]], text, mask, features, ())
    return {"text_embeds": text, "fused": fused}


@pytest.mark.parametrize(
    ("name", "separator", "has_types"),
    [
        ("itm_sep", True, True),
        ("itm_nosep", "as_trained", True),  # as the authors train
        ("itm_no_type_embeddings", "as_trained", False),  # as LAVIS does
        ("itm_resized", True, True),
    ],
)
def test_every_tensor(
    recording: Recording, without_types: Path, name: str, separator: Any, has_types: bool
) -> None:
    theirs, images, captions = (
        recording.tensors(name),
        recording.images(),
        recording.captions(),
    )
    size = theirs["pixel_values"].shape[-1] if "pixel_values" in theirs else size_of(recording)

    def make() -> Albef:
        folder = recording.folder if has_types else without_types
        return Albef(weights=str(folder), image_size=size, separator=separator)

    tokens = recording.facts["tokens_nosep" if name == "itm_nosep" else "tokens_sep"]
    check_tokens(make(), captions, theirs, tokens)
    check_network(make, images, captions, theirs, more=lambda backbone: states(backbone, recording))


def test_position_embeddings(recording: Recording) -> None:
    theirs = recording.tensors("pos_embed")
    source = theirs.pop("source")[0]
    for name, table in theirs.items():
        side = int(name.removeprefix("grid"))
        check_positions(source, (side, side), "bicubic", table[0])
    backbone = Albef(weights=str(recording.folder), image_size=size_of(recording, "itm_resized"))
    ours = Twice.of(lambda: backbone.load().vision_model.embeddings.position_embedding.detach())
    check(ours, recording.tensors("itm_resized")["pos_embed"])


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
    check_last_layer(backbone, recording)


def test_pre_trained_checkpoints(recording: Recording, backbone: Albef, tmp_path: Path) -> None:
    """Names with `bert.`, in an envelope, with momentum copies, queues and a masked-
    language head.
    """
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
