from __future__ import annotations

from collections.abc import Sequence

import torch

from ovsskit.engine.values import Image, TextFeatures, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.stages.network.classify import Classify
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.testing import ToyBackbone, example


class Colours(ToyBackbone):
    """Encode an image by its mean colour, and a text by the colour that it names."""

    def encode_image(self, images: Sequence[Image]) -> torch.Tensor:
        return torch.stack([image.data.mean((1, 2)) for image in images])

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        words = ("red", "green", "blue")
        return torch.tensor([[float(word in text) for word in words] for text in texts])


def paint(*colour: float) -> Image:
    return Image(torch.tensor(colour).float()[:, None, None].expand(3, 5, 4).clone())


def test_scores_are_cosines_whatever_the_length_of_the_image_vector() -> None:
    texts = TextFeatures(torch.tensor([[1.0, 0, 0], [0, 0.5, 0], [0, 0, 1]]), (1, 1, 0))
    for brightness in (0.1, 1.0):
        found = Classify().run(paint(0.6 * brightness, 0.8 * brightness, 0), texts, Colours())
        assert found.data.shape == (3, 1, 1)
        assert found.labels == (1, 1, 0)
        torch.testing.assert_close(found.data.flatten(), torch.tensor([0.6, 0.4, 0.0]))


def test_every_image_of_a_batch_has_its_own_texts() -> None:
    red, blue = (TextFeatures(torch.eye(3)[[index]], (1,)) for index in (0, 2))
    first, second = Classify().run_batch([paint(1, 0, 0), paint(0, 0, 1)], [red, blue], Colours())
    assert float(first.data) == float(second.data) == 1


def test_one_label_covers_an_image_of_one_thing() -> None:
    vocabulary: Vocabulary = make_vocabulary(["red", "green", "blue"])
    stages = [EncodeText(templates="name"), Classify(), LabelMap()]
    pipeline = Pipeline.of(stages, {"backbone": Colours()}, device="cpu")
    for label, colour in enumerate(((1, 0.2, 0), (0, 1, 0.3), (0.1, 0, 0.9)), 1):
        [slots] = pipeline.run_many([paint(*colour)], vocabulary)
        assert slots["labels"].ids.shape == (5, 4)
        assert set(slots["labels"].ids.flatten().tolist()) == {label}


def test_the_example_image_has_a_score_for_every_text() -> None:
    texts = example(TextFeatures)
    toy = ToyBackbone()
    found = Classify().run(example(Image), texts, toy)
    vector = toy.encode_image([example(Image)])[0]
    expected = texts.data @ (vector / vector.norm())
    torch.testing.assert_close(found.data.flatten(), expected)
