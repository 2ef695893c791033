from __future__ import annotations

from pathlib import Path

import numpy
import pytest
from finished_runs import block_mask, finish_run

from ovsskit.compare.both_runs import BothRuns
from ovsskit.errors import BadFile, BadValue
from ovsskit.run.finished import FinishedRun

SAME, HALF, ALL = block_mask([1, 2]), block_mask([1, 1]), block_mask([3, 1])
FIRST = {"a": SAME, "b": SAME, "c": SAME, "d": SAME}


def pass_over() -> None:
    """Hear of a step."""


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    finish_run(tmp_path / "first", FIRST)
    return [tmp_path / "photos" / f"{name}.png" for name in "abcde"]


def both(folder: Path) -> BothRuns:
    return BothRuns(FinishedRun(folder / "first"), FinishedRun(folder / "second"))


def test_images_are_sorted_by_disagreement_and_all_pixels_are_counted(
    tmp_path: Path, photos: list[Path]
) -> None:
    masks = {"a": SAME, "b": HALF, "c": ALL}
    finish_run(tmp_path / "second", masks, images=photos[:3])
    runs, steps = both(tmp_path), list[int]()
    found = runs.count(lambda: steps.append(1))
    assert [(one.first.name, one.disagreement) for one in found.images] == [
        ("c", 1.0),
        ("b", 0.5),
        ("a", 0.0),
    ]
    assert len(steps) == 3
    assert sum(found.counts.values()) == 3 * SAME.size
    assert runs.only == (1, 0)
    assert runs.changed == 0
    assert found.miou is None


def test_numbers_of_the_runs_do_not_matter_but_names_do(tmp_path: Path, photos: list[Path]) -> None:
    swapped = numpy.where(SAME == 1, 2, 1)
    images = photos[:1]
    finish_run(tmp_path / "second", {"a": swapped}, ["cat", "dog", "tree"], images=images)
    runs = both(tmp_path)
    assert runs.count(pass_over).images[0].disagreement == 0
    assert runs.classes.only == (("grass",), ("tree",))


def test_a_changed_image_is_left_out_and_counted(tmp_path: Path, photos: list[Path]) -> None:
    finish_run(tmp_path / "second", {"a": SAME, "b": HALF}, images=photos[:2])
    photos[1].write_bytes(photos[1].read_bytes() + b"\0")
    runs = both(tmp_path)
    assert [one.first.name for one in runs.pairs] == ["a"]
    assert runs.changed == 1
    assert runs.only == (2, 0)


def test_runs_of_other_images_cannot_be_compared(tmp_path: Path, photos: list[Path]) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(photos[0].read_bytes())
    finish_run(tmp_path / "second", {"other": SAME}, images=[other])
    with pytest.raises(BadValue) as caught:
        both(tmp_path)
    assert caught.value.there == ("In both: 0, all changed or gone. Only in A: 4, only in B: 1.")


def test_a_mask_that_the_run_did_not_write_is_refused(tmp_path: Path, photos: list[Path]) -> None:
    finish_run(tmp_path / "second", {"a": SAME}, images=photos[:1])
    (tmp_path / "second" / "masks" / "a.png").unlink()
    with pytest.raises(BadFile, match="cannot be read"):
        both(tmp_path).count(pass_over)


def test_runs_of_one_name_are_told_apart_by_their_folders(
    tmp_path: Path, photos: list[Path]
) -> None:
    finish_run(tmp_path / "second", {"a": SAME}, images=photos[:1])
    assert both(tmp_path).titles == ("first", "second")
    runs = BothRuns(*2 * [FinishedRun(tmp_path / "first")])
    assert runs.titles == (str(tmp_path / "first"),) * 2
