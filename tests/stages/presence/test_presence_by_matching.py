from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Image
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.presence.presence_by_matching import PresenceByMatching
from ovsskit.testing import ToyBackbone

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


def test_a_class_has_its_own_least_match() -> None:
    words = make_vocabulary(["7", "1", "5", "9"])
    stage = PresenceByMatching(at_least=0.6, at_least_class={"1": 0.1, "9": 0.95})
    assert stage.run(IMAGE, words, Matcher()).labels == (1, 2)


@pytest.mark.parametrize(
    ("names", "fields", "labels", "note"),
    [
        (["7", "1"], {"none_below": 0.71}, (), "none of the classes is seen: the best match is"),
        (["7", "1"], {"none_below": 0.69}, (1,), ""),
        (["3", "4"], {}, (2,), "no class is seen clearly: the best match is `4` with 0.40"),
        (["3", "4"], {"none_below": 0.4}, (2,), "no class is seen clearly"),
    ],
)
def test_an_image_may_show_none_and_what_was_seen_is_kept(
    names: list[str], fields: dict[str, float], labels: tuple[int, ...], note: str
) -> None:
    present = PresenceByMatching(**fields).run(IMAGE, make_vocabulary(names), Matcher())
    assert present.labels == labels
    assert present.scores == tuple(int(name) / 10 for name in names)
    assert present.note.startswith(note)
    assert bool(present.note) == bool(note)
