from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest

from ovsskit.embedded import NOUNS, STUFFS, sample_scenes
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.masks import mask_image
from ovsskit.run.samples import sample_score


def copies(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Write the true masks of three scenes in the numbers of another vocabulary."""
    vocabulary = make_vocabulary(names)
    table = numpy.array(
        [0, *(vocabulary.labels.index(noun) if noun in names else 0 for noun in NOUNS)]
    )
    paths = []
    for scene in sample_scenes()[:3]:
        paths.append(folder / f"{scene.name}.png")
        labels = table[numpy.asarray(PIL.Image.open(scene.mask))]
        mask_image(labels, vocabulary).save(paths[-1])
    return paths


@pytest.mark.parametrize("names", [NOUNS, NOUNS[::-1], ("bus", "dog")])
def test_true_masks_are_perfect_whatever_the_order_of_names(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    assert sample_score(copies(tmp_path, names), make_vocabulary(names)) == 1.0


def test_things_and_stuffs_together(tmp_path: Path) -> None:
    """What is looked for is found wherever it is; what is not looked for does not count, whatever
    is said of it.
    """
    names = ("night", "grass", "bus", "cow")
    vocabulary = make_vocabulary(names)
    paths = []
    for scene in sample_scenes()[:3]:
        things, stuffs = (
            numpy.asarray(PIL.Image.open(path)) for path in (scene.mask, scene.stuff_mask)
        )
        labels = numpy.full(things.shape, names.index("bus") + 1)
        labels[things == NOUNS.index("cow") + 1] = names.index("cow") + 1
        for stuff in ("night", "grass"):
            labels[stuffs == STUFFS.index(stuff) + 1] = names.index(stuff) + 1
        paths.append(tmp_path / f"{scene.name}.png")
        mask_image(labels, vocabulary).save(paths[-1])
    assert sample_score(paths, vocabulary) == 1.0
    without_night = numpy.where(labels == names.index("night") + 1, 0, labels)
    mask_image(without_night, vocabulary).save(paths[2])
    score = sample_score(paths, vocabulary)
    assert score is not None
    assert 0.6 < score < 0.9


def test_nothing_but_background_is_poor(tmp_path: Path) -> None:
    paths = copies(tmp_path, NOUNS)
    for path in paths:
        nothing = numpy.zeros(numpy.asarray(PIL.Image.open(path)).shape, "int64")
        mask_image(nothing, make_vocabulary(NOUNS)).save(path)
    score = sample_score(paths, make_vocabulary(NOUNS))
    assert score is not None
    assert score < 0.2


def test_without_truth_there_is_no_score(tmp_path: Path) -> None:
    paths = copies(tmp_path, NOUNS)
    assert sample_score(paths, make_vocabulary(["unicorn"])) is None
    assert sample_score([tmp_path / "photo.png"], make_vocabulary(["dog"])) is None
    assert sample_score([], make_vocabulary(["dog"])) is None
