"""What has another name now is read under its old one, and said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ovsskit.errors import Place
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.registry import stage_names
from ovsskit.recipe.renamed import STAGES, renew_value
from ovsskit.recipe.shapes import read_shaped
from ovsskit.study.spec.check_file import check_file


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.toml"
    path.write_text(
        'extends = "pnp_blip"\n'
        'remove = ["dense_crf"]\n'
        "[set]\n"
        '"caption.prompt" = "A photo of "\n'
        "cross_attention.pad_to = 9\n"
        "[[stage]]\n"
        'use = "pamr"\n'
        'at = "picture"\n'
        'after = "min_max"\n'
        "[[stage]]\n"
        'use = "text_features"\n'
        'replaces = "caption"\n'
    )
    return path


def test_the_new_names_are_stages_and_the_old_ones_are_not() -> None:
    assert set(STAGES.values()) <= set(stage_names())
    assert not set(STAGES) & set(stage_names())


def test_every_place_of_an_old_name_is_read_and_said(
    old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ovsskit"):
        table = read_shaped(old)
    assert list(table["set"]) == ["write_captions.prompt", "cross_attend.pad_to"]
    assert [entry["use"] for entry in table["stage"]] == ["pamr", "encode_text"]
    assert table["stage"][0]["at"] == "image"
    assert table["stage"][1]["replaces"] == "write_captions"
    assert f"{old}:4: `caption` is now called `write_captions`" in caplog.text
    assert f"{old}:8: `picture` is now called `image`" in caplog.text


def test_an_old_address_is_read_on_the_command_line(caplog: pytest.LogCaptureFixture) -> None:
    recipe = load_recipe("pnp_blip", ["caption.prompt=A photo of "])
    found = {stage.address: stage for stage in recipe.plan.stages}
    assert found["write_captions"].prompt == "A photo of"  # type: ignore[attr-defined]
    assert "`caption` is now called `write_captions`" in caplog.text


def test_a_stage_that_bears_an_old_name_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'extends = "quickstart"\nremove = ["hidden"]\n'
        '[[stage]]\nuse = "min_max"\nname = "hidden"\nafter = "min_max"\n'
    )
    assert read_shaped(path)["remove"] == ["hidden"]


def test_values_of_other_stages_stay() -> None:
    assert renew_value("upsample.at", "picture", Place("x")) == "picture"
    assert renew_value("pamr.at", ["picture"], Place("x")) == ["picture"]


def test_the_old_key_of_a_constraint_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        'recipe = "quickstart"\nobjective = { use = "clip_reward" }\n'
        "[constraints]\nseconds_per_picture = 2.0\n[space]\n"
        "threshold.at = { low = 0.1, high = 0.5 }\n"
    )
    assert dict(read_shaped(path)["constraints"]) == {"seconds_per_image": 2.0}
    check_file(str(path))
