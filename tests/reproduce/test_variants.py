"""Which recipes are the variants of another for further data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.errors import Problems
from ovsskit.recipe.build import load_recipe
from ovsskit.reproduce.variants import variants_of

STAGE = '[[stage]]\nuse = "all_classes"\n'
ROW = '[[published]]\ndataset = "{}"\nvalue = 50\nsource = "README"\n'


def names(recipe: str | Path) -> list[str]:
    return [one.path.stem for one in variants_of(load_recipe(recipe))]


def test_shipped_recipes_have_those_of_their_data_sets() -> None:
    assert names("maskclip") == ["maskclip_coco_stuff", "maskclip_context59"]
    assert names("ifseg") == ["ifseg_ade150", "ifseg_coco_stuff171"]
    assert len(names("naclip")) == 7
    assert names("clip_baseline") == []  # SCLIP extends it, and is another method on the same data
    assert "maskclip_reduced" not in names("clearclip")
    assert names("pnp_blip") == []
    assert names("car") == ["car_ade20k", "car_coco_object", "car_context60"]


def test_only_neighbours_that_extend_it_for_other_data_count(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(STAGE + ROW.format("voc21"))
    extends = 'extends = "base.toml"\n'
    (tmp_path / "ade.toml").write_text(extends + ROW.format("ade20k"))
    (tmp_path / "same.toml").write_text(extends + ROW.format("voc21"))
    (tmp_path / "silent.toml").write_text(extends)
    (tmp_path / "grandchild.toml").write_text('extends = "ade.toml"\n' + ROW.format("cityscapes"))
    (tmp_path / "alone.toml").write_text(STAGE + ROW.format("ade20k"))
    (tmp_path / "lost.toml").write_text('extends = "nowhere.toml"\n')
    (tmp_path / "broken.toml").write_text("no TOML")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.toml").mkdir()
    assert names(tmp_path / "base.toml") == ["ade"]


def test_a_variant_of_a_variant_counts_if_it_follows_the_same_source(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('source = "a paper"\n' + STAGE + ROW.format("voc21"))
    (tmp_path / "ade.toml").write_text('extends = "base.toml"\n' + ROW.format("ade20k"))
    further = 'extends = "ade.toml"\n'
    (tmp_path / "further.toml").write_text(further + ROW.format("cityscapes"))
    other = 'source = "another paper"\n' + further
    (tmp_path / "other.toml").write_text(other + ROW.format("context59"))
    (tmp_path / "last.toml").write_text('extends = "other.toml"\n' + ROW.format("voc20"))
    assert names(tmp_path / "base.toml") == ["ade", "further", "other"]


def test_a_variant_with_a_problem_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(STAGE + ROW.format("voc21"))
    (tmp_path / "ade.toml").write_text('extends = "base.toml"\nremove = ["none"]\n')
    with pytest.raises(Problems, match="no stage `none`"):
        names(tmp_path / "base.toml")
