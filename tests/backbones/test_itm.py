"""What all matching backbones promise beyond the contract, on small models with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from twins import TWINS

from ovsskit.backbones.matching._itm import ItmBackbone
from ovsskit.engine.values import Caption, Captions, Image, Present
from ovsskit.errors import BadValue, Problems
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.registry import find_backbone
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.text.write_captions import WriteCaptions as WriteCaption
from ovsskit.testing import example

NAMES = [name for name in TWINS if issubclass(find_backbone(name) or object, ItmBackbone)]
IMAGES = [example(Image, seed) for seed in (0, 7)]
CLOSE = {"atol": 2e-6, "rtol": 1e-4}


def make(name: str, **fields: Any) -> ItmBackbone:
    cls: Any = find_backbone(name)
    backbone = cls(**{**TWINS[name], **fields})
    assert isinstance(backbone, ItmBackbone)
    return backbone


@pytest.fixture(scope="module", params=NAMES)
def backbone(request: pytest.FixtureRequest) -> ItmBackbone:
    return make(request.param)


def captions(*texts: str) -> Captions:
    return Captions(tuple(Caption(text, ()) for text in texts))


def attend(
    backbone: ItmBackbone,
    images: list[Image],
    texts: list[Captions],
    layers: Any = None,
    **options: Any,
) -> Any:
    return backbone.cross_attention(
        images, texts, layers=layers, **{"objective": "match_logit", "pad_to": 0, **options}
    )


def test_batches_of_unlike_captions_equal_one_by_one(backbone: ItmBackbone) -> None:
    texts = [
        captions("a dog", "a very long image of a cat and a cow"),
        captions("a picture of grass"),
    ]
    for together, image, text in zip(attend(backbone, IMAGES, texts), IMAGES, texts, strict=True):
        [alone] = attend(backbone, [image], [text])
        torch.testing.assert_close(together.probability, alone.probability, **CLOSE)
        torch.testing.assert_close(together.gradient, alone.gradient, **CLOSE)
        assert together.lengths == alone.lengths
    matches = backbone.match(IMAGES, [text.captions for text in texts])
    for match, image, text in zip(matches, IMAGES, texts, strict=True):
        torch.testing.assert_close(match, backbone.match([image], [text.captions])[0], **CLOSE)


def test_the_number_of_pairs_in_a_pass_changes_nothing(
    backbone: ItmBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        captions(*(f"a picture of dog {number}" for number in range(count))) for count in (5, 2)
    ]
    found = []
    for pairs in (1, 4, 256):
        monkeypatch.setattr(type(backbone), "pairs_at_once", pairs)
        match = backbone.match(IMAGES, [text.captions for text in texts])
        found.append((match, attend(backbone, IMAGES, texts)))
    for match, attention in found[1:]:
        for mine, first in zip(match, found[0][0], strict=True):
            torch.testing.assert_close(mine, first, **CLOSE)
        for mine, first in zip(attention, found[0][1], strict=True):
            torch.testing.assert_close(mine.probability, first.probability, **CLOSE)
            torch.testing.assert_close(mine.gradient, first.gradient, **CLOSE)
            assert mine.lengths == first.lengths


def test_some_layers_are_those_of_all(backbone: ItmBackbone) -> None:
    texts = [captions("a picture of dog")]
    [every] = attend(backbone, IMAGES[:1], texts)
    for layers in [(2,), (1, backbone.layer_count - 1)]:
        [some] = attend(backbone, IMAGES[:1], texts, layers)
        expected = every.pick(layers, every.heads)
        assert some.layers == layers
        torch.testing.assert_close(some.probability, expected.probability, **CLOSE)
        torch.testing.assert_close(some.gradient, expected.gradient, **CLOSE)


def test_no_layer_that_the_network_lacks(backbone: ItmBackbone) -> None:
    with pytest.raises(BadValue, match=f"the model has 1 to {backbone.layer_count}"):
        attend(backbone, IMAGES[:1], [captions("a dog")], [backbone.layer_count + 1])


@pytest.mark.parametrize("name", NAMES)
def test_rectangles(name: str) -> None:
    patch = make(name).patch_size
    tall = make(name, image_size=(patch * 5, patch * 3))
    assert tall.grid == (5, 3)
    [found] = attend(tall, IMAGES[:1], [captions("a dog")], [1])
    assert found.probability.shape[-1] == 16
    hidden = torch.zeros(5, 3, dtype=torch.bool)
    hidden[4, 1] = True
    seen = tall.pixels(IMAGES[0].hide(hidden))
    assert not seen[:, 4 * patch :, patch : 2 * patch].any()
    with pytest.raises(BadValue, match=f"multiple of {patch}"):
        make(name, image_size=patch * 3 + 1).load()


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.15), ("fp16", 0.03)])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision(name: str, precision: str, tolerance: float) -> None:
    texts = [captions("a picture of dog")]
    [low], [full] = (
        attend(make(name, **fields), IMAGES[:1], texts, [2])
        for fields in ({"precision": precision}, {})
    )
    assert low.gradient.dtype == torch.float32
    assert float((low.gradient - full.gradient).abs().max() / full.gradient.abs().max()) < tolerance


@pytest.mark.parametrize(
    "names", [["ice cream", "wall-brick", "dog"], ["Öl für Café", "猫 cat", "o'clock (tower)"]]
)
def test_every_class_has_its_tokens(backbone: ItmBackbone, names: list[str]) -> None:
    present = Present(tuple(range(1, len(names) + 1)))
    [caption] = WriteCaption().run(make_vocabulary(names), present, backbone).captions
    tokens = backbone.reader.read(caption)
    marks = [mark for mark in tokens.positions if mark >= 0]
    assert sorted(marks) == marks
    assert set(marks) == set(range(len(names)))
    assert len(tokens.ids) == len(tokens.positions) == backbone.count_tokens(caption.text)


def test_nothing_below_the_lowest_wanted_layer_has_a_graph(backbone: ItmBackbone) -> None:
    rows = [[backbone.reader.read(Caption("a picture of dog", ()))]]
    with torch.enable_grad():
        logits, [attention] = backbone.fuse_text(backbone.encode(IMAGES[:1]), rows, [2])
        assert logits.requires_grad
        leaves = leaves_of(attention.grad_fn)
    assert (
        len(leaves) == 1
    )  # the state of the text that enters the layer; weights and image are no leaves


def leaves_of(function: Any) -> set[Any]:
    """Return what a gradient would be accumulated into."""
    if function is None:
        return set()
    if hasattr(function, "variable"):
        return {function}
    return {leaf for parent, _ in function.next_functions for leaf in leaves_of(parent)}


@pytest.mark.parametrize("name", NAMES)
def test_the_last_layer_gives_classes_no_gradient_and_this_is_known_without_reading_weights(
    name: str,
) -> None:
    backbone = make(name)
    useful = backbone.layers_with_gradient()
    assert "network" not in backbone.__dict__
    assert backbone.known_layer_count() == backbone.layer_count
    [found] = attend(backbone, IMAGES[:1], [captions("a picture of dog")])
    largest = found.gradient[:, :, 1:].abs().amax((1, 2, 3))
    assert (
        tuple(
            layer for layer, value in zip(found.layers, largest.tolist(), strict=True) if value > 0
        )
        == useful
    )
    assert useful == tuple(range(1, backbone.layer_count))


def test_the_same_of_the_packaged_blip() -> None:
    backbone = make("blip_itm", weights="embedded", image_size=112)
    [found] = attend(backbone, IMAGES[:1], [captions("a picture of dog")])
    largest = found.gradient[:, :, 1:].abs().amax((1, 2, 3))
    assert tuple(
        layer for layer, value in zip(found.layers, largest.tolist(), strict=True) if value > 0
    ) == (1, 2, 3)
    assert backbone.layers_with_gradient() == (1, 2, 3)


@pytest.mark.parametrize(
    ("name", "fields", "count"),
    [
        ("blip_itm", {}, 12),
        ("bridgetower", {}, 6),
        ("albef", {}, 6),
        ("mplug", {}, 6),
        ("mplug", {"weights": "mplug_base.pth"}, 5),
        ("mplug", {"stride": 2}, 4),
    ],
)
def test_layers_of_models_that_are_not_here(name: str, fields: dict[str, Any], count: int) -> None:
    assert make(name, **{"weights": "some/where", **fields}).known_layer_count() == count


def test_layers_of_a_file_that_only_reading_would_tell(tmp_path: Path) -> None:
    (tmp_path / "mplug.pth").write_bytes(b"")
    assert make("mplug", weights=str(tmp_path / "mplug.pth")).layers_with_gradient() is None
    assert make("mplug", weights=str(tmp_path / "mplug.pth"), stride=6).layers_with_gradient() == (
        1,
        2,
        3,
        4,
        5,
    )
    (tmp_path / "broken.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0nothing")
    assert make("albef", weights=str(tmp_path / "broken.safetensors")).known_layer_count() == 6


def test_attention_without_a_gradient_may_come_from_the_last_layer(tmp_path: Path) -> None:
    with pytest.raises(Problems, match="reads only the first token"):
        load_recipe("pnp_albef", ["select_head.layer=6"])
    recipe = tmp_path / "plain.toml"
    recipe.write_text(
        'extends = "pnp_albef.toml"\n[set]\n"select_head.layer" = 6\n[[stage]]\n'
        'use = "attention_maps"\nreplaces = "grad_cam"\n'
    )
    assert load_recipe(recipe).plan.models["backbone"].weights == "mscoco.pth"  # type: ignore[attr-defined]
