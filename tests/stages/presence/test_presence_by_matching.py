from __future__ import annotations

import pytest
import torch

from ovsskit.stages.presence.presence_by_matching import PresenceByMatching
from ovsskit.testing import ToyBackbone
from ovsskit.values import Image
from ovsskit.vocabulary import make_vocabulary

IMAGE = Image(torch.zeros(3, 4, 4), "a")


class Matcher(ToyBackbone):
    def match(self, images, captions):  # type: ignore[no-untyped-def]
        return [
            torch.tensor([int(caption.text.split()[-1]) / 10 for caption in mine])
            for mine in captions
        ]


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"at_least": 0.5}, (1, 3, 4)),
        ({"at_least": 0.5, "at_most": 2}, (1, 4)),
        ({"at_least": 1.0}, (4,)),
    ],
)
def test_classes_that_match(fields: dict[str, float], labels: tuple[int, ...]) -> None:
    words = make_vocabulary(["7", "1", "5", "9"])
    assert PresenceByMatching(**fields).run(IMAGE, words, Matcher()).labels == labels
