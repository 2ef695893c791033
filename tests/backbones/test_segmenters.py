"""What holds of every network that segments a fixed list of classes, as `distil` leaves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from damaged_weights import change_config, pickle_code, shorten, take_names
from deeplab_twin import write_deeplab
from safetensors.torch import load_file, save_file
from segformer_twin import write_segformer
from vit_twin import write_vit

from ovsskit.backbones._segmenter import Segmenter
from ovsskit.backbones._segmenter_family import Family
from ovsskit.backbones.deeplab._checkpoint import DEEPLAB
from ovsskit.backbones.deeplab.deeplab import Deeplab
from ovsskit.backbones.segformer._checkpoint import SEGFORMER
from ovsskit.backbones.segformer.segformer import Segformer
from ovsskit.backbones.vit._checkpoint import VIT
from ovsskit.backbones.vit.vit_linear import VitLinear
from ovsskit.errors import BadClasses, BadWeights
from ovsskit.recipe.vocabulary import make_vocabulary

CLASSES = ("background", "dog", "grass", "sky")


@dataclass(frozen=True)
class Kind:
    """Hold a network, how its checkpoints are read, and how a small one is written."""

    backbone: type[Segmenter]
    family: Family[Any]
    write: Callable[[Path, Sequence[str]], Any]
    last: str
    """A tensor of the head."""
    other: dict[str, Any]
    """A shape of the configuration that the tensors have not."""
    large: dict[str, Any]
    """A shape that no network has."""
    unread: dict[str, Any]
    """What no configuration says."""


DEPTHS = {"large": {"depths": [1, 1, 1, 10**9]}, "unread": {"depths": [1, 1]}}
KINDS = {
    "deeplab": Kind(
        Deeplab, DEEPLAB, write_deeplab, "classifier.texts", {"head_width": 5}, **DEPTHS
    ),
    "segformer": Kind(
        Segformer,
        SEGFORMER,
        write_segformer,
        "decode_head.classifier.weight",
        {"decoder_hidden_size": 5},
        **DEPTHS,
    ),
    "vit_linear": Kind(
        VitLinear,
        VIT,
        write_vit,
        "classifier.weight",
        {"width": 20},
        {"layers": 10**9},
        {"activation": "relu"},
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def test_a_student_starts_from_an_encoder_alone(kind: Kind, tmp_path: Path) -> None:
    network, family = kind.write(tmp_path, CLASSES), kind.family
    stored = load_file(tmp_path / "model.safetensors")
    encoder = {
        name.removeprefix(family.encoder): one
        for name, one in stored.items()
        if name.startswith(family.encoder)
    }
    save_file(encoder, tmp_path / "model.safetensors")
    fresh = family.build(family.read_configuration(tmp_path), 7)
    started = family.read_encoder(tmp_path, fresh)
    state, expected = fresh.state_dict(), network.state_dict()
    assert started
    assert all(name.startswith(family.encoder) for name in started)
    assert all(torch.equal(state[name], expected[name]) for name in started)


def test_other_classes_are_refused(kind: Kind, tmp_path: Path) -> None:
    kind.write(tmp_path, CLASSES)
    backbone = kind.backbone(weights=str(tmp_path))
    backbone.check_vocabulary(make_vocabulary(["Sky", "puppy, dog"]))
    for word, guess in (("zebra", ""), ("gras", "  Did you mean `grass`?")):
        with pytest.raises(BadClasses) as caught:
            backbone.check_vocabulary(make_vocabulary(["sky", word]))
        assert f"The model was not trained for `{word}`." in str(caught.value)
        assert "It knows background, dog, grass, sky." in str(caught.value)
        assert guess in str(caught.value)


def spoil_configuration(folder: Path) -> None:
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (take_names, "not those of a "),
        (pickle_code, "more than tensors"),
        (lambda folder: (folder / "config.json").unlink(), "configuration cannot be read"),
        (spoil_configuration, "configuration cannot be read"),
        (partial(change_config, id2label={}), "names no classes"),
    ],
)
def test_spoilt_folders_are_refused(
    kind: Kind, tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    kind.write(tmp_path, CLASSES)
    spoil(tmp_path)
    with pytest.raises(BadWeights, match=told):
        kind.backbone(weights=str(tmp_path)).check_weights()


def test_configurations_of_other_networks_are_refused(kind: Kind, tmp_path: Path) -> None:
    [(size, _)] = kind.large.items()
    for number, (spoil, told) in enumerate(
        (
            (partial(change_config, **kind.other), "have in another shape"),
            (partial(change_config, **kind.large), f"{size} = "),
            (partial(change_config, **kind.unread), "configuration cannot be read"),
            (partial(shorten, name=kind.last), f"have in another shape: {kind.last}"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        kind.write(folder, CLASSES)
        spoil(folder)
        with pytest.raises(BadWeights, match=told):
            kind.backbone(weights=str(folder)).check_weights()
