"""Any folder of images with masks is a data set, if a file says what the masks hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy
import PIL.Image
import pytest
from scenes import scene

from miniatures import save_grey, save_photo
from ovsskit.datasets.dataset import VOID
from ovsskit.datasets.folder import open_folder
from ovsskit.errors import BadClasses, BadFile, NoImages

IMAGE, LABELS = scene(0, 1, 2)
COLOURS = numpy.array([(0, 0, 0), (255, 0, 0), (0, 128, 255), (224, 224, 192)], "uint8")
IN_COLOUR = "background #000000\ndog, puppy #ff0000\ncat #0080ff\nvoid #e0e0c0\n"


def write(root: Path, names: list[str], numbers: numpy.ndarray, classes: str) -> Path:
    for name in names:
        save_photo(root / "images" / f"{name}.jpg", IMAGE)
        save_grey(root / "masks" / f"{name}.png", numbers)
    path = root / "classes.txt"
    path.write_text(classes, encoding="utf-8")
    return path


def raw(*numbers: int) -> numpy.ndarray:
    """Return the mask with these numbers for its labels; VOID is 255."""
    return numpy.array([*numbers, 255])[LABELS]


@pytest.mark.parametrize(
    ("classes", "numbers", "background"),
    [
        ("0 background\n7 dog\n3 cat\n", (0, 7, 3), 0),
        ("# mine\n\n4: grass\n7: dog\n3: cat\n", (4, 7, 3), None),
        ("background\ndog, puppy\ncat\n", (0, 1, 2), 0),
        ("dog\ncat\n", (0, 1, 2), 0),
    ],
)
def test_numbers_of_a_text(
    tmp_path: Path, classes: str, numbers: tuple[int, ...], background: int | None
) -> None:
    path = write(tmp_path, ["b", "a"], raw(*numbers), classes)
    dataset = open_folder(tmp_path / "images", tmp_path / "masks", path)
    assert [item.name for item in dataset.items] == ["a", "b"]
    assert numpy.array_equal(dataset.items[0].read_truth(), LABELS)
    assert dataset.facts.background == background
    assert dataset.facts.classes[1:] == ("dog", "cat")


def test_classes_as_runs_write_them(tmp_path: Path) -> None:
    rows = [
        {"number": 0, "name": "background", "colour": "#000000", "words": ["wall"]},
        {"number": 12, "name": "dog", "colour": "#ff0000", "words": []},
        {"number": 5, "name": "cat", "colour": "#00ff00", "words": ["kitten"]},
    ]
    path = write(tmp_path, ["a"], raw(0, 12, 5), json.dumps(rows))
    dataset = open_folder(tmp_path / "images", tmp_path / "masks", path)
    assert numpy.array_equal(dataset.items[0].read_truth(), LABELS)
    assert dataset.facts.palette == ((0, 0, 0), (255, 0, 0), (0, 255, 0))
    assert dataset.facts.own_words == {"background": ("wall",), "cat": ("kitten",)}


@pytest.mark.parametrize(
    "classes",
    [IN_COLOUR, "background 0 0 0\ndog, puppy 255 0 0\ncat 0, 128, 255\nvoid 224 224 192\n"],
)
def test_colours_are_decoded_strictly(tmp_path: Path, classes: str) -> None:
    path = write(tmp_path, ["a"], LABELS, classes)
    mask = tmp_path / "masks" / "a.png"
    coloured = PIL.Image.fromarray(COLOURS[LABELS])
    coloured.save(mask)
    [item] = open_folder(tmp_path / "images", tmp_path / "masks", path).items
    assert numpy.array_equal(item.read_truth(), LABELS)
    coloured.quantize(4).save(mask)
    assert numpy.array_equal(item.read_truth(), LABELS)
    coloured.putpixel((3, 2), (254, 0, 0))
    coloured.save(mask)
    with pytest.raises(BadFile, match="colours of no class: #fe0000") as caught:
        item.read_truth()
    assert "#0080ff" in caught.value.there


def test_folders_inside_and_other_endings(tmp_path: Path) -> None:
    path = write(tmp_path, ["x/a", "y/a"], raw(0, 1, 2), "background\ndog\ncat\n")
    PIL.Image.fromarray(IMAGE).save(tmp_path / "images" / "c.bmp")
    save_grey(tmp_path / "masks" / "c.png", raw(0, 1, 2))
    dataset = open_folder(tmp_path / "images", tmp_path / "masks", path)
    assert [item.name for item in dataset.items] == ["c", "x/a", "y/a"]
    assert [Path(item.where).name for item in dataset.items] == ["c.bmp", "a.jpg", "a.jpg"]


def test_masks_inside_the_folder_of_images_are_not_images(tmp_path: Path) -> None:
    path = write(tmp_path, ["a"], raw(0, 1, 2), "background\ndog\ncat\n")
    (tmp_path / "masks").rename(tmp_path / "images" / "masks")
    assert len(open_folder(tmp_path / "images", tmp_path / "images" / "masks", path).items) == 1
    (tmp_path / "images" / "masks" / "a.png").rename(tmp_path / "images" / "a.png")
    assert len(open_folder(tmp_path / "images", tmp_path / "images", path).items) == 1


def test_ignored_numbers_count_nowhere_unless_a_class_has_them(tmp_path: Path) -> None:
    path = write(tmp_path, ["a"], raw(9, 1, 2), "1 dog\n2 cat\n")
    [item] = open_folder(tmp_path / "images", tmp_path / "masks", path, ignore=(9, 255)).items
    assert numpy.array_equal(item.read_truth(), numpy.where(LABELS > 0, LABELS - 1, VOID))
    [item] = open_folder(tmp_path / "images", tmp_path / "masks", path).items
    with pytest.raises(BadFile, match="numbers of no class: 9"):
        item.read_truth()
    path.write_text("9 grass\n1 dog\n2 cat\n255 sky\n")
    [item] = open_folder(tmp_path / "images", tmp_path / "masks", path).items
    assert int(item.read_truth()[0, 0]) == 3


def test_images_without_mask_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, ["a", "b"], raw(0, 1, 2), "background\ndog\ncat\n")
    (tmp_path / "masks" / "b.png").rename(tmp_path / "masks" / "b_gt.png")
    assert len(open_folder(tmp_path / "images", tmp_path / "masks", path).items) == 1
    assert "1 of 2 images have no mask and are left out, such as b" in caplog.text
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "a_gt.png")
    with pytest.raises(BadFile, match="None of the 2 images has a mask, such as a.png") as caught:
        open_folder(tmp_path / "images", tmp_path / "masks", path)
    assert caught.value.fix == "Did you mean `a_gt.png`?"


def test_images_that_would_share_a_mask(tmp_path: Path) -> None:
    path = write(tmp_path, ["a"], raw(0, 1, 2), "background\ndog\ncat\n")
    PIL.Image.fromarray(IMAGE).save(tmp_path / "images" / "a.bmp")
    with pytest.raises(BadFile, match=r"a\.bmp and .*a\.jpg would share the mask a\.png"):
        open_folder(tmp_path / "images", tmp_path / "masks", path)


def test_missing_folders_and_a_missing_class_file(tmp_path: Path) -> None:
    path = write(tmp_path, ["a"], raw(0, 1, 2), "background\ndog\ncat\n")
    with pytest.raises(BadClasses, match="Nothing says which classes") as caught:
        open_folder(tmp_path / "images", tmp_path / "masks", None)
    assert "a number and a name on each line" in caught.value.fix
    with pytest.raises(NoImages, match="There is no such file or folder"):
        open_folder(tmp_path / "none", tmp_path / "masks", path)
    with pytest.raises(BadFile, match="no such folder of masks"):
        open_folder(tmp_path / "images", tmp_path / "none", path)
    with pytest.raises(BadClasses, match="The file of classes cannot be read: No such file"):
        open_folder(tmp_path / "images", tmp_path / "masks", tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "names no class"),
        ("void #ff0000\n", "names no class"),
        ("1 dog\n1 cat\n", "number 1 is given to two classes"),
        ("1 dog\n2 Dog\n", "name dog is given to two classes"),
        ("dog #ff0000\ncat #FF0000\n", "colour #ff0000 is given to two classes"),
        ("dog #ff0000\ncat\n", "`cat` has a different form from `dog #ff0000`"),
        ("dog\n2 cat\n", "`dog` has a different form from `2 cat`"),
        ("dog 1 2 256\ncat 1 2 3\n", "`dog 1 2 256` has a different form from `cat 1 2 3`"),
        ('[{"number": -1, "name": "dog"}]', "at `0.number`"),
        ('[{"number": 1, "name": "dog", "colour": "red"}]', "at `0.colour`"),
        ('{"dog": 1}', "cannot be read"),
        ('[{"number": 1, "name": "do', "cannot be read"),
    ],
)
def test_class_files_that_are_wrong(tmp_path: Path, text: str, what: str) -> None:
    path = write(tmp_path, ["a"], raw(0, 1, 2), text)
    with pytest.raises(BadClasses, match=what):
        open_folder(tmp_path / "images", tmp_path / "masks", path)


def test_the_forms_on_the_page_are_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "datasets.md"
    forms = re.findall(r"```text title=.*?\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(forms) == 3
    for form in forms:
        path = write(tmp_path, ["a"], raw(0, 1, 2), form)
        facts = open_folder(tmp_path / "images", tmp_path / "masks", path).facts
        assert facts.classes == ("background", "dog", "cat")
        assert facts.own_words == {"dog": ("puppy",)}
