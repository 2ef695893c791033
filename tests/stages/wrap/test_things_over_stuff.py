from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Labels, Vocabulary
from ovsskit.errors import BadClasses
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.wrap.things_over_stuff import ThingsOverStuff
from ovsskit.testing import check_wrapper, example

WORDS = make_vocabulary(
    ["dog, puppy", "grass", "cat", "sky"], [12, 3, 7, 40], negatives=["road", "wall"]
)
SEEN: list[Vocabulary] = []


class Rows(Stage, writes="labels"):
    """Give the rows of an image the background and then the classes, in turn."""

    def run(self, vocabulary: Vocabulary) -> Labels:
        SEEN.append(vocabulary)
        return Labels(torch.tensor(vocabulary.ids)[:, None])


class Blocks(Stage, writes="labels"):
    """See the background above, and the first class below."""

    def run(self, vocabulary: Vocabulary) -> Labels:
        return Labels(torch.tensor([[0], [vocabulary.ids[1]]]))


def look(stuff: tuple[str, ...], inner: Stage | None = None, **fields: Any) -> list[int]:
    SEEN.clear()
    wrapper = ThingsOverStuff(stuff=stuff, inner=(inner or Rows(),), **fields)
    state = {"vocabulary": WORDS, "image": example(Image)}
    [found] = Driver({}, {}).run([wrapper], [state])
    return [int(one) for one in found["labels"].ids.flatten()]


def test_contract() -> None:
    check_wrapper(ThingsOverStuff(stuff=("grass",)))


def test_each_run_looks_for_its_own_classes() -> None:
    look(("sky", "grass"))
    things, stuff = SEEN
    assert (things.names, things.ids) == (("dog", "cat"), (0, 12, 7))
    assert things.synonyms == (("puppy",), ())
    assert (stuff.names, stuff.ids) == (("grass", "sky"), (0, 3, 40))
    assert things.colours == (WORDS.colours[0], WORDS.colours[1], WORDS.colours[3])


def test_things_are_the_negatives_of_the_stuff() -> None:
    look(("sky", "grass"))
    assert [one.negatives for one in SEEN] == [("road", "wall"), ("dog", "cat")]
    look(("sky", "grass"), words="joined")
    assert SEEN[1].negatives == ("dog, puppy", "cat")


def test_things_lie_over_stuff() -> None:
    assert look(("sky", "grass"), Blocks()) == [0, 12]
    assert look(("sky", "grass")) == [0, 12, 7]
    assert look(("dog", "cat", "sky"), Blocks()) == [0, 3]


@pytest.mark.parametrize("stuff", [(), WORDS.names])
def test_classes_of_one_kind_are_looked_for_together(stuff: tuple[str, ...]) -> None:
    assert look(stuff) == [0, 12, 3, 7, 40]
    assert SEEN[0].negatives == ("road", "wall")


def test_stuff_that_is_no_class_is_refused() -> None:
    wrapper = ThingsOverStuff(stuff=("gras",))
    with pytest.raises(BadClasses, match="`gras`, which is not one of the classes") as caught:
        wrapper.check_inputs(WORDS, [])
    assert "Did you mean `grass`?" in str(caught.value)
    assert "things_over_stuff.stuff" in str(caught.value)
