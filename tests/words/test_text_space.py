from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.model import EncodesText
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.testing import ToyBackbone
from ovsskit.words.text_space import FEWEST, Pair, TextSpace

NAMES = ["cat, kitten", "dog", "bird"]
BEHIND = ["sky", "wall", "tree", "grass"]
WORDS = make_vocabulary(NAMES, background_words=BEHIND)
STAGE = EncodeText(templates=("a {}.", "{}"), words="first", sentences_of={"dog": "name"})


def by_hand(model: EncodesText) -> dict[tuple[str, str], float]:
    """Return the cosine of any two words after their mean is taken off."""
    unit = []
    for label, word in WORDS.queries:
        texts = [word] if label == 2 else [f"a {word}.", word]
        vectors = [model.encode_text([text])[0].double().numpy() for text in texts]
        mean = np.mean([one / np.linalg.norm(one) for one in vectors], axis=0)
        unit.append(mean / np.linalg.norm(mean))
    centred = np.array(unit) - np.mean(unit, axis=0)
    names = [word for _, word in WORDS.queries]
    return {
        (one, two): float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for one, a in zip(names, centred, strict=True)
        for two, b in zip(names, centred, strict=True)
    }


@pytest.mark.parametrize("model", [ToyBackbone(), Clip(weights="embedded")])
def test_pairs_are_of_classes_and_the_nearest_first(model: EncodesText) -> None:
    space = TextSpace.of(WORDS, STAGE, model)
    assert space is not None
    expected = by_hand(model)
    cosines = sorted(expected[one, two] for one, two in expected if one < two)
    nearest = {
        ("cat", "dog"): max((expected[one, "dog"], one) for one in ("cat", "kitten")),
        ("cat", "bird"): max((expected[one, "bird"], one) for one in ("cat", "kitten")),
        ("dog", "bird"): (expected["dog", "bird"], "dog"),
    }
    found = space.pairs({"cat", "kitten", "dog", "bird"})
    assert [(one.first, one.second) for one in found] == [
        (first, other) for (_, other), (_, first) in sorted(nearest.items(), key=lambda x: -x[1][0])
    ]
    for pair in found:
        cosine = expected[pair.first, pair.second]
        assert pair.cosine == pytest.approx(cosine, abs=1e-5)
        below = [one for one in cosines if one < cosine - 1e-6]
        assert pair.rank == pytest.approx(len(below) / len(cosines), abs=1.5 / len(cosines))
    assert {one.first for one in space.pairs({"kitten", "dog"})} == {"kitten"}


def test_near_duplicates_are_of_another_class() -> None:
    words = ("hedge", "cat", "kitten", "wolf", "dog", "hound")
    cosines = torch.eye(6)
    for one, two, cosine in ((0, 1, 0.6), (1, 2, 0.9), (3, 4, 0.8), (3, 5, 0.85), (3, 2, 0.95)):
        cosines[one, two] = cosines[two, one] = cosine
    space = TextSpace(words, (0, 1, 1, 1, 2, 2), cosines)
    assert (space.near("hedge"), space.near("kitten", 1), space.near("wolf", 1)) == (
        "",
        "",
        "hound",
    )
    assert TextSpace(words[:4], (0, 1, 1, 1), cosines[:4, :4]).near("wolf", 1) == ""


def test_few_words_are_not_compared() -> None:
    words = make_vocabulary(NAMES, background_words=BEHIND[: FEWEST - 5])
    assert TextSpace.of(words, STAGE, ToyBackbone()) is None


def test_near_is_from_a_threshold_on() -> None:
    assert Pair("sofa", "couch", 0.7, 1.0).is_near
    assert not Pair("sofa", "chair", 0.69, 1.0).is_near
