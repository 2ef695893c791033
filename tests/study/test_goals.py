"""Products of rewards, what a study chooses where nobody does, and the slots that it fills."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ovsskit.engine.values import Labels, Vocabulary
from ovsskit.errors import BadStudy, Place, Problems
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.search.given import shown
from ovsskit.study.search.state import StudyState
from ovsskit.study.spec.objectives import Objective, objective_of
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.read_search import read_search

Search = Callable[..., StudyState]
Write = Callable[..., Path]
TOY = Path(__file__).parent / "toy.toml"
PRODUCT = '[objective]\nproduct = [{ use = "toy_goal" }, { use = "toy_small" }]\n'


def goals_of(recipe: str, text: str = "", tmp_path: Path | None = None, **settings: Any) -> Any:
    """Return the addresses of a study's objective, and of what confirms it."""
    path = recipe
    if tmp_path is not None:
        (tmp_path / "study.toml").write_text(f'recipe = "{recipe}"\n{text}')
        path = str(tmp_path / "study.toml")
    search = read_search(StudyOptions(path, settings=settings))
    confirm = None if search.confirm is None else search.confirm.addresses
    return search.objectives[0].addresses, confirm


def test_a_product_multiplies_what_single_images_give(search: Search, study_file: Write) -> None:
    whole = search(study_file(tables=PRODUCT), trials=4)
    parts = [
        search(study_file(tables=f'[objective]\nuse = "{one}"\n'), out=one, trials=4)
        for one in ("toy_goal", "toy_small")
    ]
    product, *factors = (state.default["images"] for state in (whole, *parts))
    assert product.keys() == factors[0].keys()
    for index, value in product.items():
        assert value == pytest.approx(factors[0][index] * factors[1][index])
    assert whole.default["values"] == [pytest.approx(sum(product.values()) / 6)]
    assert whole.plan.search.objectives[0].name == "toy_goal*toy_small"


def test_a_factor_below_zero_is_refused() -> None:
    tables = [Table({"use": one, "name": one}, Place("s"), {}) for one in ("a", "b")]
    product = Objective("a*b", "maximize", Place("study.toml", 3), tuple(tables))
    assert product.reward({"a": 0.5, "b": 0.25}) == 0.125
    assert math.isnan(product.reward({"a": math.nan, "b": 0.25}))
    with pytest.raises(BadStudy, match=r"`b` gives -0.2, but a factor must not be negative"):
        product.reward({"a": 0.5, "b": -0.2})
    alone = Objective("b", "maximize", Place("study.toml"), tuple(tables[1:]))
    assert alone.reward({"b": -0.2}) == -0.2


def test_an_option_names_a_product_by_stars() -> None:
    table = objective_of("region_reward * edge_reward")
    assert [one["use"] for one in table["product"]] == ["region_reward", "edge_reward"]
    assert objective_of("miou") == {"metric": "miou"}
    assert objective_of("clip_reward") == {"use": "clip_reward"}


def test_without_an_objective_the_study_chooses_and_confirms_by_another_kind(
    tmp_path: Path,
) -> None:
    judged, confirm = goals_of("clearclip")
    assert judged == ("clip_reward", "region_reward", "edge_reward")
    assert confirm == ("agreement_reward",)
    compared, confirm = goals_of("clearclip", reference="quickstart")
    assert compared == ("reference_reward", "clip_reward")
    assert confirm == ("region_reward", "edge_reward")
    own = '[objective]\nuse = "clip_reward"\n'
    assert goals_of("clearclip", own, tmp_path)[1] == ("region_reward", "edge_reward")
    assert goals_of("clearclip", own, tmp_path, reference="quickstart")[1] == ("reference_reward",)
    assert goals_of("clearclip", own, tmp_path, accept="best")[1] is None
    masks = '[objective]\nmetric = "miou"\n'
    assert goals_of("quickstart", masks, tmp_path)[1] is None
    told = '[confirm]\nuse = "entropy_reward"\n'
    assert goals_of("quickstart", told, tmp_path)[1] == ("entropy_reward",)


def test_stages_of_the_same_kind_get_addresses_of_their_own(tmp_path: Path) -> None:
    twice = """
[objective]
product = [{ use = "clip_reward" }, { use = "clip_reward", form = "share" }]
[confirm]
use = "clip_reward"
"""
    found, confirm = goals_of("clearclip", twice, tmp_path)
    assert found == ("clip_reward", "clip_reward_of_study")
    assert confirm == ("clip_reward_of_study_2",)


def test_rewards_take_the_classes_that_the_unchanged_recipe_shows() -> None:
    def present_of(recipe: str, *overrides: str) -> list[str]:
        plan = read_search(StudyOptions(recipe, overrides=overrides))
        return [
            stage.reads.get("present", "present")
            for stage in plan.candidate({}).plan.stages
            if stage.address == "clip_reward"
        ]

    assert present_of("clearclip") == ["shown"]  # it has no presence stage
    assert present_of("quickstart") == ["shown"]  # its presence stage is searched
    assert present_of("pnp_blip_released") == ["present"]


def test_a_class_is_shown_from_a_hundredth_of_the_image_on() -> None:
    words = Vocabulary(("one", "two", "three"), (0, 7, 3, 9), ((0, 0, 0),) * 4)
    ids = torch.zeros(20, 10, dtype=torch.int64)
    ids[0, :2] = 9
    ids[1, :1] = 7
    assert shown(Labels(ids), words).labels == (3,)
    ids[2, :2] = 7
    assert shown(Labels(ids), words).labels == (1, 3)


REFERENCE = """
name    = "reference"
extends = {toy}

[set]
"toy_cut.at" = {at}
"""


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "reference.toml"
    path.write_text(REFERENCE.format(toy=json.dumps(str(TOY)), at=0.6))
    return path


def test_a_reference_segments_every_image_once(
    search: Search, study_file: Write, reference: Path
) -> None:
    tables = '[objective]\nuse = "reference_reward"\n'
    study = study_file('reference = "reference.toml"', tables)
    state = search(study, trials=12)
    assert state.best is not None
    assert (state.best.values or [0.0])[0] > state.default["values"][0] + 0.2
    layers = {row.params["toy_shade.layer"] for row in state.rows} | {1}
    # The reference's layer is among them; its first image was looked at before any candidate.
    assert state.calls["calls"] == 6 * len(layers) - 1


def test_a_reference_that_is_not_named_or_finds_nothing_is_refused(
    search: Search, study_file: Write, reference: Path
) -> None:
    tables = '[objective]\nuse = "reference_reward"\n'
    with pytest.raises(Problems) as caught:
        read_search(StudyOptions(str(study_file(tables=tables))))
    assert str(caught.value).splitlines()[1:] == [
        "  `reference_reward` compares with a reference, but none is named.",
        '  Name a recipe: reference = "..." in the study, or --reference RECIPE.',
    ]
    reference.write_text(REFERENCE.format(toy=json.dumps(str(TOY)), at=1.0))
    with pytest.raises(BadStudy, match="finds none of the classes in any image"):
        search(study_file('reference = "reference.toml"', tables), trials=2)


def test_another_reference_is_another_study(
    search: Search, study_file: Write, reference: Path
) -> None:
    tables = '[objective]\nuse = "reference_reward"\n'
    study = study_file('reference = "reference.toml"', tables)
    search(study, trials=2)
    reference.write_text(REFERENCE.format(toy=json.dumps(str(TOY)), at=0.5))
    with pytest.raises(Exception, match="another study"):
        search(study, trials=3)
