from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe import methods
from ovsskit.recipe.extends import base_of
from ovsskit.recipe.methods import shipped_methods


def test_every_shipped_recipe_is_in_one_method_with_those_of_its_source() -> None:
    found = shipped_methods()
    names = [recipe.path.stem for method in found for recipe in method.recipes]
    assert sorted(names) == sorted(path.stem for path in recipe_folder().rglob("*.toml"))
    for method in found:
        own = {recipe.path for recipe in method.recipes}
        assert {recipe.header.source for recipe in method.recipes} == {method.recipe.header.source}
        assert base_of(method.recipe.path) not in own
        assert all(base_of(recipe.path) in own for recipe in method.variants)


def test_a_method_that_extends_another_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, base, source in (
        ("first", "quickstart", "paper 1"),
        ("first_a", "first.toml", "paper 1"),
        ("a_first", "first_a.toml", "paper 1"),
        ("second", "first.toml", "paper 2"),
        ("second_b", "second.toml", "paper 2"),
    ):
        text = f'extends = "{base}"\nsource = "{source}"\n'
        (tmp_path / f"{name}.toml").write_text(text)
    monkeypatch.setattr(methods, "recipe_folder", lambda: tmp_path)
    found = {
        method.recipe.path.stem: [recipe.path.stem for recipe in method.variants]
        for method in shipped_methods()
    }
    assert found == {"first": ["a_first", "first_a"], "second": ["second_b"]}
