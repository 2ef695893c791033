"""Recipes hold published numbers, which belong to them alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.errors import Problems
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.published import PublishedNumber
from ovsskit.recipe.scaffold import write_starter

STAGE = '[[stage]]\nuse = "all_classes"\n'
ROW = '[[published]]\ndataset = "{}"\nvalue = 50\nsource = "README"\n'


def test_a_row_is_read_with_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STAGE + ROW.format("voc"))
    recipe = load_recipe(tmp_path / "mine.toml")
    assert recipe.published == (PublishedNumber(dataset="voc21", value=50, source="README"),)
    assert recipe.published[0].protocol == "mmsegmentation"
    assert "published" not in recipe.tables


def test_a_variant_has_its_own_numbers_alone(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(STAGE + ROW.format("voc21"))
    (tmp_path / "none.toml").write_text('extends = "base.toml"\n')
    (tmp_path / "other.toml").write_text('extends = "base.toml"\n' + ROW.format("ade20k"))
    assert load_recipe(tmp_path / "none.toml").published == ()
    assert [row.dataset for row in load_recipe(tmp_path / "other.toml").published] == ["ade20k"]


@pytest.mark.parametrize(
    ("own", "row", "fits"),
    [
        ("voc21", "voc20", True),
        ("coco_stuff171", "coco_stuff27", True),
        ("coco_stuff171", "coco_stuff10k", True),
        ("voc20", "ade20k", False),
        ("context59", "coco_object", False),
    ],
)
def test_a_number_is_for_the_recipes_own_classes(
    tmp_path: Path, own: str, row: str, fits: bool
) -> None:
    preset = {"coco_stuff171": "coco_stuff"}.get(own, own)
    words = f'[vocabulary]\npreset = "{preset}"\ndataset = "{own}"\n'
    (tmp_path / "mine.toml").write_text(words + STAGE + ROW.format(row))
    if fits:
        assert load_recipe(tmp_path / "mine.toml").published
        return
    with pytest.raises(Problems) as caught:
        load_recipe(tmp_path / "mine.toml")
    [problem] = caught.value.problems
    assert problem.what == f"The number is for {row}, but the recipe's classes are those of {own}."
    assert problem.where is not None
    assert problem.where.line == 7


@pytest.mark.parametrize("base", ["sclip", "itaclip"])
def test_a_copy_of_a_recipe_has_none_of_its_numbers(tmp_path: Path, base: str) -> None:
    assert load_recipe(base).published
    write_starter(tmp_path / "copy.toml", base, whole=True)
    assert load_recipe(tmp_path / "copy.toml").published == ()
