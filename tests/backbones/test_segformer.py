"""SegFormer as transformers has it, from the hub's files or from a student's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from damaged_weights import change_config
from safetensors.torch import load_file
from segformer_twin import write_segformer
from torch.nn.functional import interpolate

from ovsskit.backbones._segmenter import DEVIATION, MEAN, fit_size
from ovsskit.backbones.segformer._checkpoint import SEGFORMER, build
from ovsskit.backbones.segformer._sizes import SIZES
from ovsskit.backbones.segformer.segformer import Segformer
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import BadWeights

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


def test_an_encoder_of_another_size_is_refused(
    network: transformers.PreTrainedModel, tmp_path: Path
) -> None:
    with pytest.raises(BadWeights, match="have in another shape"):
        SEGFORMER.read_encoder(tmp_path, build(SIZES["segformer-b0"], 7))


def test_heads_share_the_width(tmp_path: Path) -> None:
    write_segformer(tmp_path, CLASSES)
    change_config(tmp_path, num_attention_heads=[3, 3, 3, 3])
    with pytest.raises(BadWeights, match="3 heads cannot share a width of 8"):
        Segformer(weights=str(tmp_path)).check_weights()


def test_the_shorter_side_has_the_length_that_is_asked_for() -> None:
    assert fit_size((100, 200), 64) == (64, 128)
    assert fit_size((300, 20), 64) == (960, 64)
    assert fit_size((2, 3), 8) == (32, 32), "too short for the last stage"
    assert Vocabulary.example().words == (("dog",), ("ice cream",), ("grass",))
