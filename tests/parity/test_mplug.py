"""Our mPLUG against recordings of the authors' code; every number comes from the recording."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from itm_set import Recording, attend, check_gradcam, check_logits, check_maps, check_tokens, close
from safetensors.torch import load_file

from ovsskit.backbones._clip_tower import run_tower
from ovsskit.backbones._fusion import fuse
from ovsskit.backbones._itm import resize_positions
from ovsskit.backbones._text import batch
from ovsskit.backbones.mplug import Mplug

LOGITS = {"atol": 5e-5, "rtol": 0}
GRADCAM = {"atol": 5e-6, "rtol": 1e-4}
TOLERANCES: dict[str, Any] = {
    "cross_attention": {"atol": 5e-6, "rtol": 0},
    "cross_attention_grad": {"atol": 2e-5, "rtol": 0},
    "gradcam": GRADCAM,
}
SIZES = ("large", "base")


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "mplug")


@pytest.fixture(scope="module")
def folders(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder for each of the two models, as one would keep a checkpoint."""
    found = {}
    for size in SIZES:
        found[size] = tmp_path_factory.mktemp(size)
        shutil.copyfile(
            recording.folder / f"model_{size}.safetensors", found[size] / "model.safetensors"
        )
        shutil.copyfile(recording.folder / "vocab.txt", found[size] / "vocab.txt")
        (found[size] / "config.json").write_text(json.dumps(recording.facts["config"][size]))
    return found


def make(folders: dict[str, Path], recording: Recording, name: str, **fields: Any) -> Mplug:
    """Return the backbone of a case, such as `itm_large_stride6`."""
    size = name.split("_")[1]
    native = recording.facts["config"][size]["vision"]["image_res"]
    pixels = recording.tensors(name).get("pixel_values")
    image_size = native if pixels is None else int(pixels.shape[-1])
    return Mplug(weights=str(folders[size]), image_size=image_size, **{"separator": True, **fields})


@pytest.mark.parametrize(
    "name", ["itm_large_stride6", "itm_base_stride3", "itm_large_resized", "itm_base_resized"]
)
def test_pixels(recording: Recording, folders: dict[str, Path], name: str) -> None:
    theirs = recording.tensors(name)["pixel_values"]
    images = recording.images()[-len(theirs) :]
    backbone = make(folders, recording, name)
    close(torch.stack([backbone.pixels(image) for image in images]), theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "stride", "separator"),
    [
        ("itm_large_stride6", "as_published", True),
        ("itm_large_stride6_nosep", "as_published", False),
        ("itm_large_stride3", 3, True),
        ("itm_base_stride3", "as_published", True),
    ],
)
def test_every_tensor(
    recording: Recording, folders: dict[str, Path], name: str, stride: Any, separator: bool
) -> None:
    theirs, images, captions = recording.tensors(name), recording.images(), recording.captions()
    backbone = make(folders, recording, name, stride=stride, separator=separator)
    check_tokens(
        backbone, captions, theirs, recording.facts["tokens_sep" if separator else "tokens_nosep"]
    )
    features = backbone.encode(images)
    if "image_embeds" in theirs:
        close(features, theirs["image_embeds"], **LOGITS)
    visual = backbone.network.visual_encoder.visual
    if "clip_tokens" in theirs:
        with torch.no_grad():
            [state] = run_tower(visual, theirs["pixel_values"], 1)
            close(visual.forward_post(state), theirs["clip_tokens"], **LOGITS)
    ids, mask = (
        tensor.flatten(0, 1)
        for tensor in batch([[backbone.reader.read(one.captions[0])] for one in captions])
    )
    text = [step for step in backbone.steps if step[0] == "text"]
    fusion = [step for step in backbone.steps if step[0] != "text"]
    with torch.no_grad():
        start = backbone.network.text_encoder.embeddings(input_ids=ids)
        state, _ = fuse(text, start, mask, features, ())
        if "text_embeds" in theirs:
            close(state, theirs["text_embeds"], **LOGITS)
        if "fused_text" in theirs:
            close(fuse(fusion, state, mask, features, ())[0], theirs["fused_text"], **LOGITS)
    if "fused_image" in theirs:
        close(fused_image(fusion, state, mask, features), theirs["fused_image"], **LOGITS)
    check_logits(backbone, images, captions, theirs, **LOGITS)
    check_maps(attend(backbone, images, captions, theirs["input_ids"].shape[1]), theirs, TOLERANCES)
    numbers = recording.facts["report"][name.removeprefix("itm_")]["cross_attention_layers"]
    assert backbone.layer_count == len(numbers)


def fused_image(
    fusion: Any, state: torch.Tensor, mask: torch.Tensor, features: torch.Tensor
) -> torch.Tensor:
    """Return the tokens of the picture that the last layer looks at."""
    seen: list[torch.Tensor] = []
    last = [layer for kind, layer in fusion if kind == "cross"][-1]
    handle = last.crossattention.register_forward_hook(
        lambda module, inputs, options, output: seen.append(options["encoder_hidden_states"]),
        with_kwargs=True,
    )
    with torch.no_grad():
        fuse(fusion, state, mask, features, ())
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("size", SIZES)
def test_another_size(recording: Recording, folders: dict[str, Path], size: str) -> None:
    name = f"itm_{size}_resized"
    theirs, images, captions = (
        recording.tensors(name),
        recording.images()[1:],
        recording.captions()[1:],
    )
    backbone = make(folders, recording, name)
    positions = backbone.network.visual_encoder.visual.embeddings.position_embedding.weight
    close(positions, theirs["positional_embedding"], atol=1e-6, rtol=0)
    close(backbone.encode(images), theirs["image_embeds"], **LOGITS)
    check_logits(backbone, images, captions, theirs, **LOGITS)
    # The recorded layers are those of the checkpoint; ours count from 1 among those that look at the picture.
    numbers = recording.facts["report"][
        next(key for key in recording.facts["report"] if key.startswith(f"{size}_stride"))
    ]
    layers = [
        numbers["cross_attention_layers"].index(layer) + 1
        for layer in recording.facts["report"][f"{size}_resized"]["gradcam_layers"]
    ]
    ours = attend(backbone, images, captions, theirs["input_ids"].shape[1])
    check_gradcam(ours, theirs["gradcam"], layers, 0, GRADCAM)


def test_position_embeddings(recording: Recording) -> None:
    theirs = recording.tensors("pos_embed")
    source = theirs.pop("source")
    for name, table in theirs.items():
        side = int(name.removeprefix("grid"))
        close(resize_positions(source, (side, side), "bilinear"), table, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_the_last_layer_gives_classes_no_gradient(
    recording: Recording, folders: dict[str, Path], size: str
) -> None:
    backbone = make(folders, recording, f"itm_{size}_resized")
    for one in attend(backbone, recording.images(), recording.captions(), 0):
        largest = one.gradient[:, :, 1:].abs().amax((1, 2, 3))
        assert (largest > 0).tolist() == [True] * (backbone.layer_count - 1) + [False]


@pytest.mark.parametrize("size", SIZES)
def test_names_of_released_files(
    recording: Recording, folders: dict[str, Path], tmp_path: Path, size: str
) -> None:
    """Names with `fusion.`, `bert.` and `model.`, in an envelope, with everything that matching does not need."""
    state = load_file(folders[size] / "model.safetensors")
    added = {
        re_add(name): tensor
        for name, tensor in {
            **state,
            "text_decoder.bert.encoder.layer.0.crossattention.self.key.weight": torch.zeros(2),
        }.items()
    }
    added |= {f"model.{name}": torch.zeros(2) for name in recording.facts["keys_not_stored"][size]}
    added["model.text_encoder_m.bert.embeddings.LayerNorm.weight"] = torch.zeros(2)
    torch.save({"module": added}, tmp_path / "mplug.pth")
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(folders[size] / name, tmp_path / name)
    backbone = make(folders, recording, f"itm_{size}_resized")
    found = Mplug(weights=str(tmp_path / "mplug.pth"), image_size=backbone.image_size)
    found.check_weights()
    for (name, mine), theirs in zip(
        found.network.state_dict().items(), backbone.network.state_dict().values(), strict=True
    ):
        close(mine, theirs, msg=name)


def re_add(name: str) -> str:
    """Return a name as pre-training writes it."""
    name = name.replace("text_encoder.", "text_encoder.bert.").replace(
        "fusion_encoder.", "fusion_encoder.fusion."
    )
    return f"model.{name}"
