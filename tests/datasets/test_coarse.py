"""A data set is read in coarser classes: by one that is known, or by a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest

from ovsskit._lazy import Int
from ovsskit.datasets.coarse import coarsen
from ovsskit.datasets.dataset import VOID, Dataset, Facts, Item
from ovsskit.datasets.facts import facts_of
from ovsskit.datasets.matching import match_classes
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.values import Image
from ovsskit.errors import BadClasses
from ovsskit.recipe.vocabulary import make_vocabulary

RED = (255, 0, 0)
ZOO = Facts(
    *("zoo", "Zoo", ("background", "dog", "cat", "car", "bus", "sign"), (RED,) * 6, 0),
    own_words={"car": ("auto",)},
)
FILE = """
# what moves
animal: dog, Cat
vehicle: bus, car
void: sign
"""


@dataclass(frozen=True)
class Given(Item):
    """Hold a true mask that is given."""

    truth: Int[numpy.ndarray, "h w"]
    name = where = "one"

    def read_image(self, reading: Reading = AS_USUAL) -> Image:
        return Image.example()

    def read_truth(self) -> Int[numpy.ndarray, "h w"]:
        return self.truth


def dataset_of(facts: Facts, *truth: int) -> Dataset:
    return Dataset(facts, "val", "files", [Given(numpy.array([truth]))])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "kinds.txt").write_text(FILE)
    return tmp_path / "kinds.txt"


def test_masks_are_read_in_the_classes_of_a_file(path: Path) -> None:
    found = coarsen(dataset_of(ZOO, 0, 1, 2, 3, 4, 5, VOID), str(path))
    assert found.facts.classes == ("animal", "vehicle", "background")
    assert found.facts.background == 2
    assert found.items[0].read_truth().tolist() == [[2, 0, 0, 1, 1, VOID, VOID]]
    assert found.items[0].name == "one"
    assert found.items[0].read_image().size == Image.example().size
    assert (found.facts.name, found.split, found.files) == ("zoo-kinds", "val", (str(path),))
    assert len(set(found.facts.palette)) == 3


def test_fine_classes_that_are_looked_for_stand_for_coarse_ones(path: Path) -> None:
    facts = coarsen(dataset_of(ZOO), str(path)).facts
    by_word = match_classes(make_vocabulary(["cat", "auto", "sign", "animal"]), facts)
    assert (by_word.numbers, by_word.others) == ({0: 2, 1: 0, 2: 1, 4: 0}, ("sign",))
    by_order = match_classes(make_vocabulary(["a", "b", "c", "d", "e"]), facts, ZOO)
    assert by_order.numbers == {0: 2, 1: 0, 2: 0, 3: 1, 4: 1}
    assert by_order.others == ("sign",)


def test_coco_stuff_has_a_mapping_of_its_own() -> None:
    stuff, coarse = facts_of("coco_stuff171"), facts_of("coco_stuff27")
    dog, sky = stuff.classes.index("dog"), stuff.classes.index("sky-other")
    for name in ("coco_stuff27", "CocoStuff27"):
        found = coarsen(dataset_of(stuff, dog, sky, VOID), name)
        assert found.facts == coarse
        truth = found.items[0].read_truth()[0].tolist()
        assert truth == [coarse.classes.index("animal"), coarse.classes.index("sky"), VOID]


def test_fine_words_are_known_to_coarse_classes_that_come_with_the_package() -> None:
    words = make_vocabulary(["dog", "motorbike", "kitchen", "spaceship"])
    found = match_classes(words, facts_of("coco_stuff27"))
    names = [facts_of("coco_stuff27").classes[number] for number in found.numbers.values()]
    assert (names, found.others) == (["animal", "vehicle", "kitchen"], ("spaceship",))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("animal: dog, wolf", "Zoo has no class `wolf`."),
        ("animal: dog\nanimal: cat", "`animal` is on two lines."),
        ("animal: dog\npet: dog", "`dog` belongs to two classes."),
        ("animal dog", "`animal dog` does not say what a class is made of."),
        ("dog: cat", "`dog` is both a class of its own and a coarse one."),
        ("", "The file of coarse classes groups no classes."),
    ],
)
def test_what_is_wrong_with_a_file_is_said(path: Path, text: str, what: str) -> None:
    path.write_text(text)
    with pytest.raises(BadClasses, match=what.replace("?", r"\?")) as error:
        coarsen(dataset_of(ZOO), str(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_file_that_is_no_text_and_a_name_that_nothing_has_are_refused(
    path: Path, content: bytes | None
) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(BadClasses):
        coarsen(dataset_of(ZOO), str(path))
    with pytest.raises(BadClasses, match="neither a file nor a mapping") as error:
        coarsen(dataset_of(facts_of("coco_stuff171")), "coco_stuf27")
    assert "coco_stuff27" in str(error.value)
