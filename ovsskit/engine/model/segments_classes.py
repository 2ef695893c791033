"""The capability to segment the classes that a model was trained for, its laws, and a toy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import NAMES, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import BadClasses, did_you_mean, first_of


class SegmentsClasses(Capability):
    """Give maps of a fixed list of classes: such a model reads no words."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of the maps."""

    @abstractmethod
    def segment_classes(
        self, images: Sequence[Image]
    ) -> list[Float[torch.Tensor, "class rows cols"]]:
        """Return, for every image, a map of logits for each of the classes, edges on edges."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that every class gets a map, and that images are independent."""
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        for image, maps in zip(images, model.segment_classes(images), strict=True):
            assert maps.shape[0] == len(model.class_names)
            assert not maps.requires_grad
            [alone] = model.segment_classes([image])
            torch.testing.assert_close(alone, maps, atol=1e-4, rtol=1e-4)

    @classmethod
    def toy(cls) -> Any:
        """Return a model that knows the example classes and a background."""
        return ToySegmentsClasses()


class ToySegmentsClasses(SegmentsClasses):
    """Score classes by the brightness of patches."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the background and the example classes."""
        return ("background", *NAMES)

    def segment_classes(
        self, images: Sequence[Image]
    ) -> list[Float[torch.Tensor, "class rows cols"]]:
        """Give every class a wave of the brightness."""
        found = []
        for image in images:
            waves = torch.arange(1.0, len(self.class_names) + 1).to(image.data)
            found.append((waves[:, None, None] * brightness(image.data) * 5).sin())
        return found


def rows_of(vocabulary: Vocabulary, names: Sequence[str]) -> dict[int, int]:
    """Return which of a model's classes each label is, the background's first if there is one.

    A class is known by its name, or by one of its other words; case does not count.

    Raises:
        BadClasses: the model was not trained for a class.
    """
    known = {name.casefold(): row for row, name in reversed(list(enumerate(names)))}
    background = known.get(vocabulary.background.casefold())
    rows = {} if background is None else {0: background}
    for label, words in enumerate(vocabulary.words, 1):
        found = next((known[word.casefold()] for word in words if word.casefold() in known), None)
        if found is None:
            raise BadClasses(
                f"The model was not trained for `{words[0]}`.",
                there=f"It knows {first_of(names)}.",
                fix=did_you_mean(words[0], names)
                or "Teach a student for these words: "
                'ovsskit distil RECIPE --images DIR --classes "...".',
            )
        rows[label] = found
    return rows
