"""Recipes extend recipes, and are changed by address."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.engine.stage import Wrapper
from ovsskit.errors import MissingRecipe, Problems
from ovsskit.recipe.addresses import parse_override
from ovsskit.recipe.build import Recipe, load_recipe

WHOLE = Path(__file__).parents[1] / "broken" / "base" / "whole.toml"


def load(folder: Path, text: str, *overrides: str, name: str = "mine.toml") -> Recipe:
    path = folder / name
    path.write_text(f'extends = "{WHOLE}"\n{text}' if "extends" not in text else text)
    return load_recipe(path, overrides)


def addresses(recipe: Recipe) -> list[str]:
    return [stage.address for stage in recipe.plan.stages]


def test_values_are_changed_by_address(tmp_path: Path) -> None:
    recipe = load(
        tmp_path, '[set]\n"threshold.at" = 0.4\n"write_captions.prompt" = "A photo of "\n'
    )
    values = {stage.address: stage for stage in recipe.plan.stages}
    assert (values["threshold"].at, values["write_captions"].prompt) == (0.4, "A photo of ")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "[set]\nthreshold.at = 0.4\nbackbone.revision = 'x'\n",
        "[set.threshold]\nat = 0.4\n[set.backbone]\nrevision = 'x'\n",
        "[set]\nthreshold = { at = 0.4 }\n\"backbone.revision\" = 'x'\n",
    ],
)
def test_addresses_need_no_quotes(tmp_path: Path, text: str) -> None:
    recipe = load(tmp_path, text)
    values = {stage.address: stage for stage in recipe.plan.stages}
    assert values["threshold"].at == 0.4  # type: ignore[attr-defined]
    assert recipe.plan.models["backbone"].revision == "x"  # type: ignore[attr-defined]


def test_a_wrong_address_without_quotes_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        load(tmp_path, "[set]\nthreshold.at = 0.4\nthreshold.att = 0.4\n")
    [problem] = caught.value.problems
    assert (problem.where.line, problem.what) == (4, "`threshold` has no key `att`.")  # type: ignore[union-attr]


def test_of_many_addresses_the_first_are_listed(tmp_path: Path) -> None:
    many = "".join(f'[[stage]]\nuse = "threshold"\nname = "t{n}"\n' for n in range(20))
    (tmp_path / "many.toml").write_text(many)
    listed = ", ".join(f"t{n}" for n in range(12))
    for wrong in ('[set]\n"none.at" = 1\n', 'remove = ["none"]\n'):
        with pytest.raises(Problems) as caught:
            load(tmp_path, f'extends = "many.toml"\n{wrong}')
        there = [one.there for one in caught.value.problems if one.code == "OV116"]
        assert there == [f"Available: {listed} and others (`ovsskit plan RECIPE` lists all)"]


def test_stages_are_removed_added_and_replaced(tmp_path: Path) -> None:
    text = """
remove = ["all_classes"]
[[stage]]
use = "presence_by_matching"
before = "write_captions"
[[stage]]
use = "softmax"
after = "upsample"
[[stage]]
use = "min_max"
replaces = "threshold"
"""
    assert addresses(load(tmp_path, text)) == [
        "presence_by_matching", "write_captions", "cross_attend", "attention_maps", "merge_tokens",
        "min_max", "upsample", "softmax", "label_map",
    ]  # fmt: skip


def test_backbones_are_merged_key_by_key_unless_another_is_used(tmp_path: Path) -> None:
    assert (
        load(tmp_path, "[backbone]\nimage_size = 768\n").plan.models["backbone"].weights  # type: ignore[attr-defined]
        == "embedded"
    )
    base = tmp_path / "base.toml"
    base.write_text(WHOLE.read_text().replace("blip_itm", "another"))
    with pytest.raises(Problems, match="lacks the key `weights`"):
        load(tmp_path, f'extends = "{base}"\n[backbone]\nuse = "blip_itm"\n', name="changed.toml")


def test_variants_of_variants(tmp_path: Path) -> None:
    load(tmp_path, 'name = "first"\n[set]\n"threshold.at" = 0.4\n', name="first.toml")
    recipe = load(tmp_path, 'extends = "first.toml"\n[set]\n"write_captions.prompt" = ""\n')
    assert recipe.header.name == ""
    assert recipe.plan.stages[5].at == 0.4  # type: ignore[attr-defined]


def test_overrides_come_last_and_reach_into_wrappers() -> None:
    recipe = load_recipe(
        "pnp_blip", ["threshold.at=0.33", "select_head.layer=3", "backbone.weights=embedded"]
    )
    dropout = next(stage for stage in recipe.plan.stages if isinstance(stage, Wrapper))
    assert recipe.tables["backbone"]["weights"] == "embedded"
    assert [stage.layers for stage in dropout.inner if stage.address == "cross_attend"] == [(3,)]  # type: ignore[attr-defined]


def test_paths_are_relative_to_the_recipe_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    text = (
        '[[stage]]\nuse = "presence_from_file"\nfile = "present.json"\nreplaces = "all_classes"\n'
    )
    (tmp_path / "sub" / "present.json").write_text("{}")
    recipe = load(tmp_path, text, name="sub/mine.toml")
    assert recipe.plan.stages[0].file == str(tmp_path / "sub" / "present.json")  # type: ignore[attr-defined]


def test_a_stage_at_a_misspelt_address_is_checked_too(tmp_path: Path) -> None:
    text = '[[stage]]\nuse = "threshold"\nname = "second"\nat = 3\nafter = "upsmaple"\n'
    with pytest.raises(Problems) as caught:
        load(tmp_path, text)
    assert "has no stage `upsmaple`" in str(caught.value)
    assert "second.at is 3" in str(caught.value)


def test_a_shipped_recipe_is_found_by_name_and_a_misspelt_one_guessed() -> None:
    assert load_recipe("pnp_blip").header.name == load_recipe("pnp_blip.toml").header.name
    with pytest.raises(MissingRecipe, match="Did you mean `pnp_blip`"):
        load_recipe("pnp_blib")


@given(st.from_regex(r"[a-z_]+(\.[a-z_]+){1,2}", fullmatch=True), st.text(max_size=20))
def test_any_text_can_be_an_override(address: str, value: str) -> None:
    found, parsed = parse_override(f"{address}={value}")
    assert found == address
    assert not isinstance(parsed, str) or parsed == value.strip() or value.strip()[:1] in "\"'"
