"""A star in a space stands for every class, whatever a class is called."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import ovsskit
from ovsskit.engine.notices import Silent
from ovsskit.engine.rendering import AS_USUAL
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadClasses, OvsskitError, Place
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.samples import sample_images
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.study.report.best import recipe_texts
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trials import Row
from ovsskit.study.spec.check_file import check_file
from ovsskit.study.spec.dimension import ALL, Dimension
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.plan import StudyPlan, make_plan
from ovsskit.study.spec.read_search import read_search
from ovsskit.study.spec.search import Search, starting_values
from ovsskit.study.spec.space import for_classes, present_value
from ovsskit.study.study import search

STAR = Dimension("threshold.at_class.*", "float", Place("here"), 0.1, 0.6, of_class=ALL)
NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=9),
    min_size=1,
    max_size=4,
    unique=True,
)


@cache
def quickstart() -> Search:
    return read_search(StudyOptions("quickstart"))


def vocabulary_of(names: Sequence[str]) -> Vocabulary:
    try:
        return make_vocabulary(names)
    except BadClasses:
        assume(False)
        raise


def write(folder: Path, space: str, head: str = "") -> Path:
    path = folder / "study.toml"
    path.write_text(f'recipe = "quickstart"\naccept = "best"\n{head}\n[space]\n{space}\n')
    return path


def plan_of(path: Path, classes: str | None = "dog, ice cream", **more: Any) -> StudyPlan:
    return make_plan(StudyOptions(str(path), classes=classes, limit=1, **more))


@settings(max_examples=20, deadline=None)
@given(NAMES)
@example(["ice cream", "St. Bernard", 'the 5" one', "*", "at", "a=b"])
def test_every_class_has_its_own_dimension_whatever_it_is_called(names: list[str]) -> None:
    vocabulary = vocabulary_of(names)
    found = for_classes([STAR], vocabulary, {})
    assert [one.of_class for one in found] == list(vocabulary.names)
    assert [one.address for one in found] == [f"threshold.at_class.{n}" for n in vocabulary.names]
    assert {one.owner for one in found} == {"threshold"}
    values = {one.address: 0.1 + 0.01 * index for index, one in enumerate(found)}
    recipe = quickstart().candidate(values)
    assert [present_value(recipe, one) for one in found] == list(values.values())


@settings(max_examples=10, deadline=None)
@given(names=NAMES)
@example(names=["ice cream", "St. Bernard", 'the 5" one', "*", "at", "a\\b"])
def test_the_best_recipe_holds_the_values_of_classes(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    vocabulary = vocabulary_of(names)
    folder = tmp_path_factory.mktemp("best")
    values = {one.address: 0.25 for one in for_classes([STAR], vocabulary, {})}
    plan = StudyPlan(quickstart(), (), (), False, vocabulary, None, AS_USUAL)
    state = StudyState(plan, 1, folder, default={"values": [0.5]})
    row = Row(0, 0, "done", values, [0.5], 0.0, 0.0)
    [text] = recipe_texts(state, [row], folder)
    (folder / "best.toml").write_text(text, encoding="utf-8")
    [stage] = [
        one for one in load_recipe(folder / "best.toml").plan.stages if one.address == "threshold"
    ]
    assert stage.at_class == dict.fromkeys(vocabulary.names, 0.25)  # type: ignore[attr-defined]


def test_one_class_may_be_set_by_an_option() -> None:
    for text, name in (
        ("threshold.at_class.ice cream=0.3", "ice cream"),
        ("threshold.at_class.St. Bernard=0.3", "St. Bernard"),
        ('threshold.at_class.the 5" one=0.3', 'the 5" one'),
        ("threshold.at_class={ 'a=b' = 0.3 }", "a=b"),
    ):
        [stage] = [
            one for one in load_recipe("quickstart", text).plan.stages if one.address == "threshold"
        ]
        assert stage.at_class == {name: 0.3}  # type: ignore[attr-defined]


def test_a_star_is_checked_without_classes() -> None:
    path = Path(__file__).parent / "broken" / "classes.toml"
    with pytest.raises(OvsskitError, match="at_class is .*1.5"):
        check_file(str(path))


def test_what_has_its_own_line_or_is_set_is_no_part_of_the_star(tmp_path: Path) -> None:
    space = """
"threshold.at_class.*"   = { low = 0.1, high = 0.9 }
"threshold.at_class.dog" = { low = 0.3, high = 0.4 }
"""
    path = write(tmp_path, space)
    plan = plan_of(
        path, "dog, ice cream, cat, cow", overrides=("threshold.at_class={ cow = 0.2 }",)
    )
    assert {one.of_class: (one.low, one.high) for one in plan.search.space} == {
        "dog": (0.3, 0.4),
        "ice cream": (0.1, 0.9),
        "cat": (0.1, 0.9),
    }
    assert starting_values(plan.search) == dict.fromkeys(
        (one.address for one in plan.search.space), 0.45
    )
    assert (
        plan.search.candidate({}).plan.stages
        == plan.search.candidate(starting_values(plan.search)).plan.stages
    )
    with pytest.raises(BadClasses, match="`dog`, which is not one of the classes"):
        plan_of(path, "cat")


def test_a_variant_inherits_a_star_with_its_stage_alone(tmp_path: Path) -> None:
    head = 'extends = "quickstart"\n[study.space]\n'
    star = '"threshold.at_class.*" = { low = 0.1, high = 0.9 }'
    (tmp_path / "base.toml").write_text(
        f'{head}"select_head.head" = {{ choices = [0, 1] }}\n{star}'
    )
    for name, more, count in (("kept", "", 2), ("gone", 'remove = ["threshold"]', 1)):
        path = tmp_path / f"{name}.toml"
        path.write_text(f'extends = "base.toml"\n{more}\n')
        assert len(read_search(StudyOptions(str(path))).space) == count


def test_a_space_in_bare_keys_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, "threshold.at_class.dog = { low = 0.3, high = 0.4 }")
    assert [one.address for one in plan_of(path).search.space] == ["threshold.at_class.dog"]


def test_a_recipe_that_names_no_class_of_the_run_is_refused(tmp_path: Path) -> None:
    options = StudyOptions(
        "quickstart", classes="dog", overrides=("threshold.at_class.dgo=0.3",), out=tmp_path
    )
    with pytest.raises(BadClasses) as caught:
        search(options, Silent())
    assert str(caught.value) == (
        "threshold.at_class  OV301  bad list of classes\n"
        "  It has a value for `dgo`, which is not one of the classes.\n"
        "  The classes are: dog\n"
        "  Did you mean `dog`?"
    )


def test_many_dimensions_are_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, '"threshold.at_class.*" = { low = 0.1, high = 0.9 }')
    plan_of(path, ", ".join(f"class{number}" for number in range(32)))
    assert not caplog.text
    plan_of(path, ", ".join(f"class{number}" for number in range(33)))
    assert "the space has 33 parameters" in caplog.text


def test_the_sampler_must_fit_all_classes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '"threshold.at_class.*" = { low = 0.1, high = 0.9, step = 0.1 }',
        'sampler = "grid"',
    )
    assert len(plan_of(path).search.space) == 2
    with pytest.raises(OvsskitError, match="The grid has 43,046,721 points"):
        plan_of(path, "a, b, c, d, e, f, g, h")
    path = write(
        tmp_path, '"threshold.at_class.*" = { low = 0.1, high = 0.9 }', 'sampler = "cmaes"'
    )
    assert len(plan_of(path).search.space) == 2
    with pytest.raises(OvsskitError, match="needs two parameters or more"):
        plan_of(path, "dog")


def test_words_are_chosen_among_synonyms(tmp_path: Path) -> None:
    space = '"encode_text.word_of.*" = { choices = "synonyms" }'
    path = write(tmp_path, space)
    path.write_text(path.read_text().replace("quickstart", "clip_baseline_tiny"))
    classes = json.dumps(["dog, puppy, hound", "cat", "cow, calf"])
    plan = plan_of(path, classes)
    assert {one.of_class: one.choices for one in plan.search.space} == {
        "dog": ("all", "first", "joined", "puppy", "hound"),
        "cow": ("all", "first", "joined", "calf"),
    }
    assert set(starting_values(plan.search).values()) == {"all"}
    with pytest.raises(OvsskitError, match="chooses among synonyms, but no class has any"):
        plan_of(path, "dog, cat")


def test_sentences_are_chosen_class_by_class_and_kept_in_the_best_recipe(tmp_path: Path) -> None:
    space = '"encode_text.sentences_of.*" = { choices = ["imagenet_80", ["a {}.", "the {}."]] }'
    path = write(tmp_path, space)
    path.write_text(path.read_text().replace("quickstart", "clip_baseline_tiny"))
    plan = plan_of(path, "dog, ice cream")
    assert [one.of_class for one in plan.search.space] == ["dog", "ice cream"]
    assert set(starting_values(plan.search).values()) == {"imagenet_80"}
    state = StudyState(plan, 1, tmp_path, default={"values": [0.5]})
    state.start = starting_values(plan.search)
    params = {"encode_text.sentences_of.ice cream": ["a {}.", "the {}."]}
    [text] = recipe_texts(state, [Row(0, 0, "done", params, [0.5], 0.0, 0.0)], tmp_path)
    assert '"encode_text.sentences_of.ice cream" = ["a {}.", "the {}."]' in text
    assert '"imagenet_80" before' in text
    (tmp_path / "best.toml").write_text(text)
    [stage] = [
        one
        for one in load_recipe(tmp_path / "best.toml").plan.stages
        if isinstance(one, EncodeText)
    ]
    assert stage.sentences_of == {"ice cream": ("a {}.", "the {}.")}


@pytest.mark.parametrize("classes", [None, '["bus, car", "sky", "ice cream"]'])
def test_the_best_recipe_looks_for_the_words_of_the_study(
    classes: str | None, tmp_path: Path
) -> None:
    plan = plan_of(Path("clip_baseline_tiny"), classes, settings={"accept": "best"})
    state = StudyState(plan, 1, tmp_path, default={"values": [0.5]})
    [text] = recipe_texts(state, [Row(0, 0, "done", {}, [0.5], 0.0, 0.0)], tmp_path)
    (tmp_path / "best.toml").write_text(text)
    found = load_recipe(tmp_path / "best.toml").plan.vocabulary
    assert found.queries == plan.vocabulary.queries
    assert found.queries[0] == (0, "grass" if classes else "sky")
    assert (found.ids, found.background) == (plan.vocabulary.ids, plan.vocabulary.background)
    assert ("[vocabulary]" in text) == (classes is not None)


def test_in_python_a_name_that_is_no_class_is_refused(tmp_path: Path) -> None:
    pipeline = ovsskit.load("quickstart", "threshold.at_class.dgo=0.3", device="cpu")
    with pytest.raises(BadClasses, match="`dgo`, which is not one of the classes"):
        pipeline(str(sample_images()[0]), "dog")


def test_a_study_of_thresholds_of_classes(tmp_path: Path) -> None:
    space = '"threshold.at_class.*" = { low = 0.05, high = 0.7 }'
    path = write(tmp_path, space, "trials = 3")
    images = tuple(map(str, sample_images()[:2]))
    options = StudyOptions(
        str(path),
        classes="butterfly, fire truck, bus",
        images=images,
        out=tmp_path / "out",
        device="cpu",
    )
    state = search(options, Silent())
    names = ("butterfly", "fire truck", "bus")
    addresses = [f"threshold.at_class.{name}" for name in names]
    assert state.start == dict.fromkeys(addresses, 0.45)
    first, *others = sorted(state.rows, key=lambda row: row.turn)
    assert first.values == state.default["values"]
    assert all(list(row.params) == addresses for row in others)
    best = tomllib.loads((tmp_path / "out" / "best.toml").read_text())
    assert list(best["set"]) == addresses
    assert load_recipe(tmp_path / "out" / "best.toml").plan.vocabulary.names == names
    again = search(options, Silent())
    assert [row.values for row in again.rows] == [row.values for row in state.rows]
