from __future__ import annotations

import torch

from ovsskit.engine.values import Image, Logits
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.network.decode_patches import DecodePatches
from ovsskit.testing import ToyBackbone, example


def test_one_map_for_each_class_as_the_model_gives_them() -> None:
    image, words = example(Image), make_vocabulary(["dog", "grass"], ids=[7, 3])
    found = DecodePatches().run(image, words, ToyBackbone())
    assert isinstance(found, Logits)
    assert found.labels == (1, 2)
    assert torch.equal(found.data, ToyBackbone().decode_patches([image], [("dog", "grass")])[0])


def test_images_may_have_other_classes() -> None:
    images = [example(Image, seed) for seed in (0, 7)]
    words = [make_vocabulary(["dog"]), make_vocabulary(["dog", "grass"])]
    found = DecodePatches().run_batch(images, words, ToyBackbone())
    assert [len(one.data) for one in found] == [1, 2]
