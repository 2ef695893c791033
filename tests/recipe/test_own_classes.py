"""What has a value of its own in a recipe is one of the recipe's classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.errors import BadClasses
from ovsskit.study.spec.check_file import check_file

RECIPE = 'extends = "quickstart"\n[vocabulary]\nnames = ["dog", "cat"]\n[set]\n{} = 0.3\n'


def test_a_class_that_there_is_not_is_found_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.format('"threshold.at_class.dgo"'))
    with pytest.raises(BadClasses) as caught:
        check_file(str(path))
    assert str(caught.value.where) == f"{path}:5"
    assert caught.value.what == "It has a value for `dgo`, which is not one of the classes."
    assert caught.value.fix == "Did you mean `dog`?"


def test_classes_of_its_own_may_have_values(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.format('"threshold.at_class.dog"'))
    check_file(str(path))
    with pytest.raises(BadClasses, match="hrose"):
        check_file(str(path), ["threshold.at_class.hrose=0.2"])


def test_a_recipe_that_names_no_classes_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "pnp_blip"\n[set]\n"threshold.at_class.dgo" = 0.3\n')
    check_file(str(path))
