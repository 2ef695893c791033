"""`ovsskit datasets` lists what is known, and shows one with every class and file."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ovsskit.cli.app import app
from ovsskit.datasets.facts import dataset_names, facts_of
from ovsskit.errors import NoDataset


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["datasets", *arguments], env={"COLUMNS": "200"})
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_all_are_listed() -> None:
    rows = {line.split()[0]: line for line in shown().splitlines()[1:]}
    assert list(rows) == dataset_names()
    assert "21 with background" in rows["voc21"]
    assert "maps, mmsegmentation, instances" in rows["coco_object"]
    assert "2,000" in rows["ade20k"]


@pytest.mark.parametrize("name", dataset_names())
def test_one_is_shown_with_every_class_split_and_file(name: str) -> None:
    text, facts = shown(name), facts_of(name)
    assert facts.title in text
    assert facts.licence in text
    assert all(one in text for one in facts.classes)
    assert all(one.name in text and f"{one.images:,}" in text for one in facts.splits)
    patterns = [one for layout in facts.layouts for group in layout.patterns for one in group]
    assert all(one in text for one in patterns)


def test_other_words_and_what_coarse_classes_are_made_of() -> None:
    assert "building, edifice" not in shown("ade20k")
    assert any("pavement" in line for line in shown("ade20k").splitlines() if "sidewalk" in line)
    assert "wall-brick, wall-concrete" in " ".join(shown("coco_stuff27").split())


def test_json() -> None:
    one = json.loads(shown("voc", "--json"))
    assert (one["name"], len(one["classes"]), one["splits"][0]["images"]) == ("voc21", 21, 1449)
    assert [one["name"] for one in json.loads(shown("--json"))] == dataset_names()


def test_an_unknown_name() -> None:
    with pytest.raises(NoDataset, match="There is no data set `ade20`"):
        shown("ade20")
