"""A vision transformer with a linear head starts as the CLIP or DINO that it is made of, and is
read as `distil` leaves it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from clip_twin import clip_twin
from damaged_weights import change_config
from deeplab_twin import deeplab_twin
from deit_twin import deit_twin
from dino_twin import dino_twin
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate
from vit_twin import write_vit

from ovsskit.backbones._segmenter import fit_size, normalise
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.dino.deit import Deit
from ovsskit.backbones.dino.dino import Dino
from ovsskit.backbones.vit._checkpoint import VitShape, build
from ovsskit.backbones.vit.vit_linear import VitLinear
from ovsskit.engine.values import Image
from ovsskit.errors import BadWeights, MissingWeights

CLASSES = ("background", "dog", "grass", "sky")


def test_maps_are_those_of_the_network(tmp_path: Path) -> None:
    network = write_vit(tmp_path, CLASSES)
    image = Image.example()
    [maps] = VitLinear(weights=str(tmp_path), image_size=64).segment_classes([image])
    size = fit_size(image.size, 64)
    pixels = normalise(interpolate(image.data[None], size, mode="bilinear", antialias=True))
    with torch.no_grad():
        torch.testing.assert_close(maps, network(pixels)[0])
    assert maps.shape == (4, *(side // 8 for side in size))


def test_images_of_any_size_are_resized_to_whole_patches(tmp_path: Path) -> None:
    network = write_vit(tmp_path, CLASSES)
    image = torch.rand(1, 3, 45, 37)
    with torch.no_grad():
        expected = network(interpolate(image, (40, 32), mode="bilinear"))
        torch.testing.assert_close(network(image), expected)
        assert network(torch.rand(1, 3, 5, 9)).shape == (1, 4, 1, 1)


@pytest.mark.parametrize(
    "model",
    [
        Clip(weights="embedded"),
        Clip(weights=clip_twin()),
        Dino(weights=dino_twin()),
        Deit(weights=deit_twin()),
    ],
    ids=["packaged clip", "clip", "dino with registers", "deit"],
)
def test_a_student_starts_with_the_patches_of_its_start(model: Clip | Dino) -> None:
    """Colours are normalised otherwise there, and the class token has a place of its own."""
    shape = VitLinear.shape_for(VitShape(image_size=64), model.weights)
    network = build(shape, 3).eval()
    started = VitLinear.read_encoder(model.weights, network)
    assert set(started) == {f"encoder.{name}" for name in network.encoder.state_dict()}
    assert shape.image_size == 64
    rows, columns = 3, 5  # not the grid of the training
    data = torch.rand(3, rows * shape.patch, columns * shape.patch)
    with torch.no_grad():
        tokens = network.encoder.forward_features(normalise(data)[None])[0]
    found = tokens[network.encoder.num_prefix_tokens :].T.unflatten(1, (rows, columns))
    [expected] = like_timm(model).guide([Image(data)], "token")
    torch.testing.assert_close(found, expected.data, atol=2e-4, rtol=1e-3)


def like_timm(model: Clip | Dino) -> Clip | Dino:
    """Return a model that resizes places as timm does."""
    return model.model_copy(update={"positions": "size_antialias"})


def test_a_student_starts_from_another(tmp_path: Path) -> None:
    network = write_vit(tmp_path, CLASSES)
    fresh = build(VitLinear.shape_for(VitShape(), str(tmp_path)), 7)
    started = VitLinear.read_encoder(str(tmp_path), fresh)
    state, expected = fresh.state_dict(), network.state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in started)
    assert set(state) - set(started) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    "start", [deeplab_twin(), "embedded:ofa", "embedded:scenes"], ids=["deeplab", "ofa", "none"]
)
def test_what_is_no_vision_transformer_cannot_be_started_from(start: str) -> None:
    with pytest.raises(BadWeights, match="A vision transformer cannot start from these weights"):
        VitLinear.shape_for(VitShape(), start)


def test_a_start_that_is_nowhere_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights):
        VitLinear.shape_for(VitShape(), str(tmp_path / "nowhere"))


def lose_a_tensor(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    del stored["encoder.blocks.1.mlp.fc1.weight"]
    save_file(stored, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "holds none of"),
        (lose_a_tensor, r"lack: encoder\.blocks\.1\.mlp\.fc1\.weight"),
        (lambda folder: change_config(folder, registers=2), "another shape: encoder.reg_token"),
        (lambda folder: change_config(folder, heads=3), "3 heads cannot share a width of 16"),
        (lambda folder: change_config(folder, trained_side=36), "do not fill a side of 36"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    write_vit(tmp_path, CLASSES)
    damage(tmp_path)
    with pytest.raises(BadWeights, match=told):
        VitLinear(weights=str(tmp_path)).check_weights()
