"""SegFormer as transformers has it, from the hub's files or from a student's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from segformer_twin import write_segformer
from torch.nn.functional import interpolate

from ovsskit.backbones._segmenter import DEVIATION, MEAN, fit_size
from ovsskit.backbones.segformer._checkpoint import SEGFORMER, build
from ovsskit.backbones.segformer._sizes import SIZES
from ovsskit.backbones.segformer.segformer import Segformer
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import BadClasses, BadWeights
from ovsskit.recipe.vocabulary import make_vocabulary

CLASSES = ("background", "dog", "grass", "sky")


@pytest.fixture
def network(tmp_path: Path) -> transformers.PreTrainedModel:
    return write_segformer(tmp_path, CLASSES)


def test_maps_are_those_of_transformers(
    network: transformers.PreTrainedModel, tmp_path: Path
) -> None:
    image = Image.example()
    [maps] = Segformer(weights=str(tmp_path), image_size=64).segment_classes([image])
    pixels = interpolate(
        image.data[None], fit_size(image.size, 64), mode="bilinear", antialias=True
    )
    mean, deviation = (torch.tensor(one)[:, None, None] for one in (MEAN, DEVIATION))
    with torch.no_grad():
        expected = network((pixels - mean) / deviation).logits[0]
    torch.testing.assert_close(maps, expected)


def test_the_hub_has_other_names_for_the_same_tensors(
    network: transformers.PreTrainedModel, tmp_path: Path
) -> None:
    stored = load_file(tmp_path / "model.safetensors")
    assert any(name.startswith("segformer.encoder.block.") for name in stored)
    assert {SEGFORMER.rename(name) for name in stored} == set(network.state_dict())
    converted = tmp_path / "converted"
    converted.mkdir()
    Segformer(weights=str(tmp_path)).convert_weights(converted / "model.safetensors")
    [before], [after] = (
        Segformer(weights=str(folder), image_size=64).segment_classes([Image.example()])
        for folder in (tmp_path, converted)
    )
    torch.testing.assert_close(before, after, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("size", "millions"), [("b0", 3.8), ("b1", 13.7), ("b2", 27.5), ("b3", 47.3), ("b5", 84.7)]
)
def test_sizes_have_the_published_number_of_parameters(size: str, millions: float) -> None:
    """Source: Xie et al. 2021, table 1, for the 150 classes of ADE20K."""
    with torch.device("meta"):
        network = build(SIZES[f"segformer-{size}"], 150)
    count = sum(one.numel() for one in network.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.06)


def test_a_student_starts_from_an_encoder_alone(
    network: transformers.PreTrainedModel, tmp_path: Path
) -> None:
    config: Any = Segformer(weights=str(tmp_path)).configuration
    stored = load_file(tmp_path / "model.safetensors")
    encoder = {
        name.removeprefix("segformer."): one for name, one in stored.items() if "encoder" in name
    }
    save_file(encoder, tmp_path / "model.safetensors")
    fresh = build(config, 7)
    started = SEGFORMER.read_encoder(tmp_path, fresh)
    assert started == sorted(name for name in fresh.state_dict() if name.startswith("segformer."))
    expected = network.state_dict()
    assert all(torch.equal(fresh.state_dict()[name], expected[name]) for name in started)
    with pytest.raises(BadWeights, match="have in another shape"):
        SEGFORMER.read_encoder(tmp_path, build(SIZES["segformer-b0"], 7))


def test_classes_are_known_by_name(tmp_path: Path) -> None:
    write_segformer(tmp_path, CLASSES)
    backbone = Segformer(weights=str(tmp_path))
    backbone.check_vocabulary(make_vocabulary(["Sky", "puppy, dog"]))
    with pytest.raises(BadClasses) as caught:
        backbone.check_vocabulary(make_vocabulary(["sky", "gras"]))
    assert "was not trained for `gras`" in str(caught.value)
    assert "It knows background, dog, grass, sky." in str(caught.value)
    assert "Did you mean `grass`?" in str(caught.value)


def damage_names(folder: Path) -> None:
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")


def damage_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["decode_head.classifier.weight"] = tensors["decode_head.classifier.weight"][:2]
    save_file(tensors, folder / "model.safetensors")


def damage_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(print, folder / "pytorch_model.bin")


def change_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (damage_names, "not those of a SegFormer"),
        (damage_shape, "have in another shape: decode_head.classifier.weight"),
        (damage_pickle, "more than tensors"),
        (lambda folder: (folder / "config.json").unlink(), "configuration cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), "configuration cannot be read"),
        (lambda folder: change_config(folder, depths=[1, 1]), "configuration cannot be read"),
        (lambda folder: change_config(folder, id2label={}), "names no classes"),
        (
            lambda folder: change_config(folder, num_attention_heads=[3, 3, 3, 3]),
            "3 heads cannot share a width of 8",
        ),
        (lambda folder: change_config(folder, depths=[1, 1, 1, 10**9]), "depths = "),
        (
            lambda folder: change_config(folder, decoder_hidden_size=10**9),
            "decoder_hidden_size = 1000000000",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, damage: object, told: str) -> None:
    write_segformer(tmp_path, CLASSES)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(BadWeights, match=told):
        Segformer(weights=str(tmp_path)).check_weights()


def test_the_shorter_side_has_the_length_that_is_asked_for() -> None:
    assert fit_size((100, 200), 64) == (64, 128)
    assert fit_size((300, 20), 64) == (960, 64)
    assert fit_size((2, 3), 8) == (32, 32), "too short for the last stage"
    assert Vocabulary.example().words == (("dog",), ("ice cream",), ("grass",))
