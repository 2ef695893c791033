"""Our mPLUG against recordings of the authors' code; every number comes from the recording."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from itm_set import (
    Recording,
    check_last_layer,
    check_network,
    check_pixels,
    check_positions,
    check_tokens,
    close,
)
from safetensors.torch import load_file
from sets import Facts, choose, find

from ovsskit.backbones.matching._clip_tower import run_tower
from ovsskit.backbones.matching._fusion import fuse
from ovsskit.backbones.matching._text import batch
from ovsskit.backbones.matching.mplug import Mplug
from ovsskit.engine.values import Captions, Image


def cases(facts: Facts) -> list[str]:
    """Return the recorded runs at the stored size, such as `large_stride6_nosep`."""
    return [
        name for name, one in facts["report"].items() if "cross_attention_layers" in listed(one)
    ]


def resized(facts: Facts) -> list[str]:
    """Return the models that are recorded at another size."""
    runs = [name for name, one in facts["report"].items() if "gradcam_layers" in listed(one)]
    return [name.removesuffix("_resized") for name in runs]


def run_of(facts: Facts, model: str) -> str:
    """Return a recorded run of a model."""
    return next(case for case in cases(facts) if case.startswith(f"{model}_"))


def listed(fact: Any) -> Any:
    return fact if isinstance(fact, dict) else {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choices = {
        "case": cases,
        "model": lambda facts: list(facts["config"]),
        "resized_model": resized,
    }
    choose(metafunc, "mplug", choices)


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "mplug"))


@pytest.fixture(scope="module")
def folders(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder for each of the models, as one would keep a checkpoint."""
    found = {}
    for size in recording.facts["config"]:
        found[size] = tmp_path_factory.mktemp(size)
        shutil.copyfile(
            recording.folder / f"model_{size}.safetensors", found[size] / "model.safetensors"
        )
        shutil.copyfile(recording.folder / "vocab.txt", found[size] / "vocab.txt")
        (found[size] / "config.json").write_text(json.dumps(recording.facts["config"][size]))
    return found


def make(folders: dict[str, Path], recording: Recording, case: str, **fields: Any) -> Mplug:
    """Return the backbone of a case."""
    size = case.split("_")[0]
    native = recording.facts["config"][size]["vision"]["image_res"]
    pixels = recording.tensors(f"itm_{case}").get("pixel_values")
    image_size = native if pixels is None else int(pixels.shape[-1])
    if stride := re.search(r"stride(\d+)", case):
        published = recording.facts["config"][size]["stride_layer"] == int(stride[1])
        fields["stride"] = "as_published" if published else int(stride[1])
    fields = {"separator": not case.endswith("nosep"), **fields}
    return Mplug(weights=str(folders[size]), image_size=image_size, **fields)


def test_every_tensor(recording: Recording, folders: dict[str, Path], case: str) -> None:
    theirs, images, captions = (
        recording.tensors(f"itm_{case}"),
        recording.images(),
        recording.captions(),
    )
    backbone = make(folders, recording, case)
    tokens = recording.facts["tokens_nosep" if case.endswith("nosep") else "tokens_sep"]
    check_tokens(backbone, captions, theirs, tokens)
    if "pixel_values" in theirs:
        check_pixels(lambda: make(folders, recording, case), images, theirs["pixel_values"])
    check_network(
        lambda: make(folders, recording, case),
        images,
        captions,
        theirs,
        more=lambda backbone: states(backbone, images, captions),
    )
    numbers = recording.facts["report"][case]["cross_attention_layers"]
    assert backbone.layer_count == len(numbers)


def states(
    backbone: Mplug, images: Sequence[Image], captions: Sequence[Captions]
) -> dict[str, torch.Tensor]:
    """Return what the encoders give, and the last fusion layer."""
    rows = [[backbone.reader.read(one.captions[0])] for one in captions]
    ids, mask = (tensor.flatten(0, 1) for tensor in batch(rows))
    visual = backbone.network.visual_encoder.visual
    pixels = torch.stack([backbone.pixels(image) for image in images]).to(backbone.dtype)
    features = backbone.encode(images)
    text = [step for step in backbone.steps if step[0] == "text"]
    fusion = [step for step in backbone.steps if step[0] != "text"]
    with torch.no_grad():
        [tower] = run_tower(visual, pixels, 1)
        start = backbone.network.text_encoder.embeddings(input_ids=ids)
        state, _ = fuse(text, start, mask, features, ())
        fused, _ = fuse(fusion, state, mask, features, ())
    return {
        "clip_tokens": visual.forward_post(tower),
        "text_embeds": state,
        "fused_text": fused,
        "fused_image": fused_image(fusion, state, mask, features),
    }


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


def test_another_size(recording: Recording, folders: dict[str, Path], resized_model: str) -> None:
    case = f"{resized_model}_resized"
    theirs, report = recording.tensors(f"itm_{case}"), recording.facts["report"]
    count = len(theirs["pixel_values"])
    images, captions = recording.images()[-count:], recording.captions()[-count:]

    check_pixels(lambda: make(folders, recording, case), images, theirs["pixel_values"])
    # The recorded layers are those of the checkpoint; ours count from 1 among those that look at
    # the picture.
    stride = recording.facts["config"][resized_model]["stride_layer"]
    numbers = report[f"{resized_model}_stride{stride}"]["cross_attention_layers"]
    check_network(
        lambda: make(folders, recording, case),
        images,
        captions,
        theirs,
        layers=[numbers.index(layer) + 1 for layer in report[case]["gradcam_layers"]],
        more=lambda backbone: {"positional_embedding": positions(backbone)},
    )


def positions(backbone: Mplug) -> torch.Tensor:
    found: torch.Tensor = (
        backbone.network.visual_encoder.visual.embeddings.position_embedding.weight
    )
    return found


def test_position_embeddings(recording: Recording) -> None:
    theirs = recording.tensors("pos_embed")
    source = theirs.pop("source")
    for name, table in theirs.items():
        side = int(name.removeprefix("grid"))
        check_positions(source, (side, side), "bilinear", table)


def test_the_last_layer_gives_classes_no_gradient(
    recording: Recording, folders: dict[str, Path], case: str
) -> None:
    check_last_layer(make(folders, recording, case), recording)


def test_names_of_released_files(
    recording: Recording, folders: dict[str, Path], tmp_path: Path, model: str
) -> None:
    """Names with `fusion.`, `bert.` and `model.`, in an envelope, with everything that matching
    does not need.
    """
    state = load_file(folders[model] / "model.safetensors")
    added = {
        re_add(name): tensor
        for name, tensor in {
            **state,
            "text_decoder.bert.encoder.layer.0.crossattention.self.key.weight": torch.zeros(2),
        }.items()
    }
    added |= {f"model.{name}": torch.zeros(2) for name in recording.facts["keys_not_stored"][model]}
    added["model.text_encoder_m.bert.embeddings.LayerNorm.weight"] = torch.zeros(2)
    torch.save({"module": added}, tmp_path / "mplug.pth")
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(folders[model] / name, tmp_path / name)
    backbone = make(folders, recording, run_of(recording.facts, model))
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
