"""DeepLab as `distil` leaves it, and under the names of MaskCLIP+'s release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from damaged_weights import change_config
from deeplab_twin import write_deeplab
from safetensors.torch import load_file
from torch.nn.functional import conv2d, interpolate

from ovsskit._lazy import timm
from ovsskit.backbones._segmenter import fit_size, normalise
from ovsskit.backbones.deeplab._checkpoint import DEEPLAB, build
from ovsskit.backbones.deeplab._network import SummedBranches, TextClassifier
from ovsskit.backbones.deeplab._sizes import SIZES
from ovsskit.backbones.deeplab.deeplab import Deeplab
from ovsskit.engine.values import Image
from ovsskit.errors import BadClasses, BadWeights
from ovsskit.recipe.vocabulary import make_vocabulary

CLASSES = ("background", "dog", "grass", "sky")


def released_name(name: str) -> str:
    """Return what MaskCLIP+'s release (mmsegmentation) calls a tensor of the network."""
    for ours, theirs in (
        ("encoder.conv1.", "backbone.stem."),
        ("encoder.bn1.", "backbone.stem.7."),
        ("encoder.", "backbone."),
        ("head.branches.", "decode_head.decode_module.aspp_modules."),
        ("classifier.texts", "decode_head.text_embeddings"),
    ):
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def test_maps_are_those_of_the_network(tmp_path: Path) -> None:
    network = write_deeplab(tmp_path, CLASSES)
    image = Image.example()
    [maps] = Deeplab(weights=str(tmp_path), image_size=64).segment_classes([image])
    size = fit_size(image.size, 64)
    pixels = normalise(interpolate(image.data[None], size, mode="bilinear", antialias=True))
    with torch.no_grad():
        torch.testing.assert_close(maps, network(pixels)[0])
    assert maps.shape == (4, *(-(-side // 8) for side in size))


def test_the_release_has_other_names_for_the_same_tensors(tmp_path: Path) -> None:
    """Its classes have no background, and the teacher's tensors are passed over."""
    network = write_deeplab(tmp_path, CLASSES[1:], background=False)
    image = Image.example()
    backbone = Deeplab(weights=str(tmp_path), image_size=64)
    [before] = backbone.segment_classes([image])
    stored = load_file(tmp_path / "model.safetensors")
    released = {released_name(name): one for name, one in stored.items()}
    assert {DEEPLAB.rename(name) for name in released} == set(network.state_dict())
    released["decode_head.proj.weight"] = torch.zeros(2)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"state_dict": released, "meta": {}}, tmp_path / "pytorch_model.bin")
    assert Deeplab.recognise(released) == "DeepLab"
    [after] = Deeplab(weights=str(tmp_path), image_size=64).segment_classes([image])
    torch.testing.assert_close(after, before)
    (tmp_path / "converted").mkdir()
    Deeplab(weights=str(tmp_path)).convert_weights(tmp_path / "converted" / "model.safetensors")
    converted = Deeplab(weights=str(tmp_path / "converted"), image_size=64)
    torch.testing.assert_close(converted.segment_classes([image])[0], before)


def test_sizes_are_those_of_the_release() -> None:
    with torch.device("meta"):
        network: Any = build(SIZES["maskclip_plus"], 20)
        larger: Any = build(SIZES["maskclip_plus-r101"], 20)
    encoder = network.encoder
    blocks = [
        layer[-1] for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
    ]
    assert [block.conv2.dilation[0] for block in blocks] == [1, 1, 2, 4]
    assert [branch.conv.dilation[0] for branch in network.head.branches] == [6, 12, 18, 24]
    # He et al. 2016, table 1: 50 and 101 layers, of which the last classifies images.
    for one, layers in ((network, 50), (larger, 101)):
        depths = [len(getattr(one.encoder, f"layer{number}")) for number in range(1, 5)]
        assert 3 * sum(depths) + 2 == layers


def test_branches_are_summed_after_they_are_cut_off() -> None:
    torch.manual_seed(0)
    head, data = SummedBranches(5, 3, [1, 2]).eval(), torch.randn(2, 5, 6, 6)
    parts = []
    for branch, dilation in zip(head.branches, (1, 2), strict=True):
        weight: Any = branch.conv.weight  # type: ignore[union-attr]
        raw = conv2d(data, weight, padding=dilation, dilation=dilation)
        parts.append((raw / (1 + 1e-5) ** 0.5).relu())
    torch.testing.assert_close(head(data), parts[0] + parts[1])


def test_vectors_are_multiplied_with_texts_as_they_are() -> None:
    classifier = TextClassifier(3, 4, background=True)
    classifier.texts.copy_(torch.eye(4)[:2])
    data = torch.arange(1.0, 5)[None, :, None, None]
    torch.testing.assert_close(classifier(data).flatten(), torch.tensor([0.0, 1, 2]))
    assert [name for name, _ in classifier.named_parameters()] == ["background"]


def test_the_encoder_is_a_resnet_of_timm() -> None:
    with torch.device("meta"):
        theirs = timm.create_model("resnet50c").state_dict()
        mine = set(build(SIZES["maskclip_plus"], 3).state_dict())
    assert {f"encoder.{name}" for name in theirs if not name.startswith("fc.")} == {
        name for name in mine if name.startswith("encoder.")
    }


def test_other_classes_are_refused(tmp_path: Path) -> None:
    write_deeplab(tmp_path, CLASSES)
    with pytest.raises(BadClasses) as caught:
        Deeplab(weights=str(tmp_path)).check_vocabulary(make_vocabulary(["sky", "zebra"]))
    assert str(caught.value) == (
        "OV301  bad list of classes\n"
        "  The model was not trained for `zebra`.\n"
        "  It knows background, dog, grass, sky.\n"
        "  Teach a student for these words: ovsskit distil RECIPE --images DIR "
        '--classes "...".'
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"texts": False}, "lack: classifier.bias"),
        ({"stride": 7}, "configuration cannot be read"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    write_deeplab(tmp_path, CLASSES)
    change_config(tmp_path, **changes)
    with pytest.raises(BadWeights, match=told):
        Deeplab(weights=str(tmp_path)).check_weights()
