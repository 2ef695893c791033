"""True masks are read in every form that leaves no doubt; any other is refused with the file and
what would fix it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import torch

from ovsskit.errors import BadFile, Place
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.study.spec.objectives import Objective
from ovsskit.study.spec.truth import Truth, miou_of, read_truth

WORDS = make_vocabulary(["dog", "cat", "cow"])
PLACE = Place("study.toml", 5)
NUMBERS = numpy.zeros((30, 40), "uint8")
NUMBERS[:15, :20], NUMBERS[15:, 20:], NUMBERS[0] = 1, 3, 255
Draw = Callable[[Any], PIL.Image.Image]


def indexed(numbers: Any) -> PIL.Image.Image:
    made = PIL.Image.frombytes("P", numbers.shape[::-1], numbers.tobytes())
    made.putpalette([7 * index % 256 for index in range(768)])
    return made


def truth(folder: Path, draw: Draw, count: int = 3, words: Any = WORDS) -> Truth:
    """Write images and masks, each mask drawn from the numbers, and read them."""
    (folder / "masks").mkdir()
    photos = [folder / f"p{index}.jpg" for index in range(count)]
    for path in photos:
        PIL.Image.new("RGB", (40, 30)).save(path)
        draw(NUMBERS).save(folder / "masks" / f"{path.stem}.png")
    objective = Objective("miou", "maximize", PLACE, masks=folder / "masks")
    return read_truth(objective, photos, False, words)


@pytest.mark.parametrize(
    "draw",
    [
        PIL.Image.fromarray,
        indexed,
        lambda numbers: PIL.Image.fromarray(numbers.astype("uint16")),
        lambda numbers: PIL.Image.fromarray(numbers).convert("RGB"),
        lambda numbers: PIL.Image.fromarray(numbers).convert("RGBA"),
        lambda numbers: PIL.Image.fromarray(numbers).convert("LA"),
    ],
    ids=["grey", "indexed", "16 bits", "grey as RGB", "grey as RGBA", "grey with alpha"],
)
def test_masks_that_hold_the_numbers(tmp_path: Path, draw: Draw) -> None:
    known = truth(tmp_path, draw)
    found = torch.from_numpy(numpy.where(NUMBERS == 255, 2, NUMBERS).astype("int64"))
    matrices = [known.confusion(path, found) for path in known.masks]
    assert miou_of(matrices) == 1
    assert int(torch.stack(matrices).sum()) == 3 * int((NUMBERS != 255).sum())


@pytest.mark.parametrize(
    ("draw", "what", "facts", "fix"),
    [
        (lambda n: indexed(n).convert("RGB"), "3 of 3 masks are coloured", "mode is RGB", "PNG"),
        (
            lambda n: PIL.Image.fromarray(n.T.copy()),
            "3 of 3 masks are transposed",
            "This one is 30 x 40 pixels, but p0.jpg 40 x 30",
            "EXIF",
        ),
        (
            lambda n: PIL.Image.fromarray(n[::2, ::2].copy()),
            "3 of 3 masks have another size than their images",
            "This one is 20 x 15 pixels",
            "nearest neighbour",
        ),
        (
            lambda n: PIL.Image.fromarray(numpy.where(n == 3, 40, n)),
            "3 of 3 masks hold numbers of no class",
            "This one holds 40; the numbers of the classes are 1, 2, 3",
            "ids = ",
        ),
        (
            lambda n: PIL.Image.fromarray(numpy.where(n, 255, 0).astype("uint8")),
            "None of the 3 masks shows one of the classes",
            "They hold 0, 255",
            "255 for what does not count",
        ),
        (
            lambda n: PIL.Image.fromarray(n > 0),
            "None of the 3 masks shows one of the classes",
            "They hold 0, 255",
            "0 for the background",
        ),
        (
            lambda n: PIL.Image.fromarray(n * 0),
            "None of the 3 masks shows one of the classes",
            "They hold 0;",
            "0 for the background",
        ),
    ],
)
def test_masks_that_cannot_be_right(
    tmp_path: Path, draw: Draw, what: str, facts: str, fix: str
) -> None:
    with pytest.raises(BadFile) as caught:
        truth(tmp_path, draw)
    assert what in caught.value.what
    assert facts in caught.value.there
    assert fix in caught.value.fix
    assert caught.value.where is not None
    assert str(tmp_path / "masks") in str(caught.value.where)


def test_one_wrong_mask_among_good_ones_is_named(tmp_path: Path) -> None:
    drawn = iter([NUMBERS, NUMBERS + 1, NUMBERS])
    with pytest.raises(BadFile, match="1 of 3 masks hold numbers") as caught:
        truth(tmp_path, lambda _: PIL.Image.fromarray(next(drawn) % 255))
    assert "p1.png" in str(caught.value.where)


def test_a_mask_that_is_broken_or_of_a_lossy_format_is_named(tmp_path: Path) -> None:
    truth(tmp_path, PIL.Image.fromarray)
    mask, photo = tmp_path / "masks" / "p1.png", tmp_path / "p1.jpg"
    objective = Objective("miou", "maximize", PLACE, masks=tmp_path / "masks")
    PIL.Image.fromarray(NUMBERS).save(mask, "JPEG")
    with pytest.raises(BadFile, match="The mask cannot be read"):
        read_truth(objective, [photo], False, WORDS)
    mask.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BadFile, match="The mask cannot be read"):
        read_truth(objective, [photo], False, WORDS)


def test_masks_without_a_class_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = iter([NUMBERS * 0, NUMBERS, NUMBERS * 0])
    truth(tmp_path, lambda _: PIL.Image.fromarray(next(drawn)))
    assert "2 of 3 masks show none of the classes, such as p0.png" in caplog.text


def test_255_may_be_a_class(tmp_path: Path) -> None:
    words = make_vocabulary(["dog", "cow", "cat"], ids=[1, 3, 255])
    known = truth(tmp_path, PIL.Image.fromarray, words=words)
    found = torch.from_numpy(NUMBERS.astype("int64"))
    matrix = known.confusion(next(iter(known.masks)), found)
    assert int(matrix.sum()) == NUMBERS.size


def test_images_that_would_share_a_mask_are_named(tmp_path: Path) -> None:
    truth(tmp_path, PIL.Image.fromarray)
    (tmp_path / "more").mkdir()
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "more" / "p1.jpg")
    objective = Objective("miou", "maximize", PLACE, masks=tmp_path / "masks")
    photos = [tmp_path / "p1.jpg", tmp_path / "more" / "p1.jpg"]
    with pytest.raises(BadFile, match=r"p1\.jpg and .*more.*p1\.jpg would share the mask p1\.png"):
        read_truth(objective, photos, False, WORDS)


def test_a_missing_mask_is_named_with_what_there_is(tmp_path: Path) -> None:
    truth(tmp_path, PIL.Image.fromarray)
    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "P2.jpg")
    (tmp_path / "masks" / "p2.png").rename(tmp_path / "masks" / "p2_gt.png")
    objective = Objective("miou", "maximize", PLACE, masks=tmp_path / "masks")
    with pytest.raises(BadFile, match=r"1 of 2 images have no mask, such as p2\.png") as caught:
        read_truth(objective, [tmp_path / "p1.jpg", tmp_path / "p2.jpg"], False, WORDS)
    assert "Did you mean `p2_gt.png`?" in caught.value.fix
    assert "The folder holds: p0.png, p1.png, p2_gt.png" in caught.value.there
    assert caught.value.where == PLACE


def test_a_mask_follows_the_exif_tag_of_its_image(tmp_path: Path) -> None:
    turned = PIL.Image.new("RGB", (30, 40))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "masks").mkdir()
    PIL.Image.fromarray(NUMBERS).save(tmp_path / "masks" / "a.png")
    objective = Objective("miou", "maximize", PLACE, masks=tmp_path / "masks")
    assert read_truth(objective, [tmp_path / "a.jpg"], False, WORDS)
    PIL.Image.fromarray(NUMBERS.T.copy()).save(tmp_path / "masks" / "a.png")
    with pytest.raises(BadFile, match="transposed"):
        read_truth(objective, [tmp_path / "a.jpg"], False, WORDS)
