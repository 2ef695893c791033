"""The facts of every data set fit together, and know the numbers that its files hold."""

from __future__ import annotations

import pytest

from ovsskit.datasets.colours import BLACK
from ovsskit.datasets.dataset import VOID
from ovsskit.datasets.facts import dataset_names, facts_of, palette_of
from ovsskit.datasets.numbering import numbering_of
from ovsskit.errors import NoDataset

COUNTS = {
    "ade20k": 150,
    "cityscapes": 19,
    "coco_object": 81,
    "coco_stuff10k": 171,
    "coco_stuff171": 171,
    "coco_stuff27": 27,
    "context59": 59,
    "context60": 60,
    "voc20": 20,
    "voc21": 21,
}


def number_of(name: str, layout: str, raw: int) -> int | str | None:
    """Return the name of the class that a number in a file stands for, VOID, or None."""
    facts = facts_of(name)
    [chosen] = [one for one in facts.layouts if one.name == layout]
    label = numbering_of(facts, chosen).classes.get(raw)
    return label if label in (None, VOID) else facts.classes[label]


def test_every_data_set_is_known() -> None:
    assert {name: len(facts_of(name).classes) for name in dataset_names()} == COUNTS


@pytest.mark.parametrize("name", COUNTS)
def test_facts_fit_together(name: str) -> None:
    facts = facts_of(name)
    count = COUNTS[name]
    assert len({*facts.classes}) == len(facts.palette) == count
    assert facts.numbers == () or len(facts.numbers) == count
    assert {*facts.own_words} <= {*facts.classes}
    assert (facts.background is None) == ("background" not in facts.classes)
    assert facts.background is None or facts.classes[facts.background] == "background"
    assert facts.evaluated.images > 0
    assert len({one.name for one in facts.splits}) == len(facts.splits)
    assert len({one.name for one in facts.layouts}) == len(facts.layouts)
    for layout in facts.layouts:
        labels = {*numbering_of(facts, layout).classes.values()} - {VOID}
        assert labels == {*range(count)}, layout.name
        assert (layout.reader == "masks") == bool(layout.masks)
        assert all(pattern.count("{id}") == 1 for pattern in (*layout.images, *layout.masks))


@pytest.mark.parametrize("name", COUNTS)
def test_a_palette_has_no_colour_twice_and_keeps_the_first_of_each(name: str) -> None:
    facts, palette = facts_of(name), palette_of(name)
    assert len({*palette}) == len(palette) == len(facts.classes)
    for index, (own, shown) in enumerate(zip(facts.palette, palette, strict=True)):
        is_first = facts.palette.index(own) == index
        assert (own == shown) == (is_first and (own != BLACK or index == facts.background))


@pytest.mark.parametrize(
    ("name", "layout", "raw", "expected"),
    [
        ("voc21", "devkit", 0, "background"),
        ("voc21", "devkit", 20, "tvmonitor"),
        ("voc21", "devkit", 255, VOID),
        ("voc21", "devkit", 21, None),
        ("voc20", "devkit", 0, VOID),
        ("voc20", "devkit", 1, "aeroplane"),
        ("voc20", "devkit", 255, VOID),
        ("ade20k", "challenge", 0, VOID),
        ("ade20k", "challenge", 1, "wall"),
        ("ade20k", "challenge", 150, "flag"),
        ("ade20k", "challenge", 254, None),
        ("ade20k", "challenge", 255, None),
        ("context60", "mmsegmentation", 0, "background"),
        ("context60", "mmsegmentation", 59, "wood"),
        ("context60", "release", 2, "aeroplane"),
        ("context60", "release", 1, "background"),
        ("context60", "release", 458, "wood"),
        ("context60", "detail", 1, None),
        ("context59", "mmsegmentation", 0, VOID),
        ("context59", "release", 1, VOID),
        ("context59", "detail", 458, "wood"),
        ("coco_object", "maps", 0, "person"),
        ("coco_object", "maps", 89, "toothbrush"),
        ("coco_object", "maps", 91, "background"),
        ("coco_object", "maps", 255, "background"),
        ("coco_object", "maps", 11, None),
        ("coco_object", "instances", 0, "background"),
        ("coco_object", "instances", 13, "stop sign"),
        ("coco_stuff171", "maps", 0, "person"),
        ("coco_stuff171", "maps", 181, "wood"),
        ("coco_stuff171", "maps", 255, VOID),
        ("coco_stuff171", "json", 183, VOID),
        ("coco_stuff10k", "release", 0, VOID),
        ("coco_stuff10k", "release", 1, "person"),
        ("coco_stuff10k", "mmsegmentation", 171, "wood"),
        ("coco_stuff27", "maps", 0, "person"),
        ("coco_stuff27", "curated", 181, "solid"),
        ("coco_stuff27", "maps", 255, VOID),
        ("cityscapes", "labels", 7, "road"),
        ("cityscapes", "labels", 33, "bicycle"),
        ("cityscapes", "labels", 29, VOID),
        ("cityscapes", "labels", 255, None),
        ("cityscapes", "train_ids", 18, "bicycle"),
        ("cityscapes", "train_ids", 255, VOID),
    ],
)
def test_numbers_in_files(name: str, layout: str, raw: int, expected: str | int | None) -> None:
    assert number_of(name, layout, raw) == expected


def test_names_that_people_give() -> None:
    assert facts_of("VOC").name == "voc21"
    assert facts_of("coco-stuff164k").name == "coco_stuff171"
    with pytest.raises(NoDataset, match="There is no data set `vok21`") as caught:
        facts_of("vok21")
    assert caught.value.fix == "Did you mean `voc21`?"
    assert "ade20k" in caught.value.there
