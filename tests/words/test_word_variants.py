from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ovsskit.engine.plan import Plan
from ovsskit.engine.stage import walk
from ovsskit.errors import BadClasses
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.samples import sample_images
from ovsskit.stages.maps.threshold import Threshold
from ovsskit.stages.presence.presence_by_matching import PresenceByMatching
from ovsskit.words.candidates import Candidates
from ovsskit.words.variants import NO_DISTRACTOR, NO_OTHER_WORD, ONE_WORD, make_variants, text_stage

IMAGES = sample_images()[:1]
NOTHING = Candidates(({}, {}, {}), ())
SOME = Candidates(({"tabby": "a", "bus": "b"}, {}, {"boat": "a"}), ("book", "cake"))


def plan_of(
    recipe: str, *overrides: str, names: Sequence[str] = ("cat, dog", "cow", "car")
) -> Plan:
    plan = load_recipe(recipe, overrides).plan
    return replace(plan, vocabulary=make_vocabulary(names, background_words=["sky"]))


def word_of(plan: Plan) -> dict[str, str]:
    stage = text_stage(plan.stages)
    assert stage is not None
    return stage.word_of


def test_words_of_a_text_stage_are_replaced_one_by_one() -> None:
    plan = plan_of("clearclip_tiny", 'encode_text.word_of={cow="bird"}')
    found = make_variants(plan, SOME, IMAGES)
    assert [word_of(one) for one in found.replaced] == [
        {"cow": "bird", "cat": "dog", "car": "boat"},
        {"cow": "bird", "cat": "tabby"},
        {"cow": "bird", "cat": "bus"},
    ]
    assert all(one.vocabulary is plan.vocabulary for one in found.replaced)
    assert found.together is not None
    assert found.together.vocabulary.synonyms == (("dog", "tabby", "bus"), (), ("boat",))
    assert word_of(found.together) == {"cow": "bird"}
    assert found.distracted is not None
    assert found.distracted.vocabulary.background_words == ("sky", "book", "cake")
    assert not found.as_classes
    assert (found.untold, len(found.plans)) == ({}, 6)


def test_what_has_all_words_already_runs_once() -> None:
    found = make_variants(plan_of("clearclip_tiny"), NOTHING, IMAGES)
    assert found.together is found.plain
    assert [word_of(one) for one in found.replaced] == [{"cat": "dog"}]
    assert found.untold == {"distractors": NO_DISTRACTOR}
    assert len(found.plans) == 2


def test_without_other_words_nothing_of_them_is_told() -> None:
    found = make_variants(plan_of("clearclip_tiny", names=["cat", "cow", "car"]), NOTHING, IMAGES)
    assert found.plans == [found.plain]
    told = {"words": NO_OTHER_WORD, "synonyms": NO_OTHER_WORD, "distractors": NO_DISTRACTOR}
    assert found.untold == told


def test_a_stage_that_reads_names_alone_is_told() -> None:
    found = make_variants(plan_of("clearclip_tiny", "encode_text.words=first"), SOME, IMAGES)
    assert found.together is None
    assert 'its `words` is "first"' in found.untold["words"]
    assert len(found.plans) == 5


def test_names_are_replaced_where_a_recipe_reads_no_others() -> None:
    tables = (
        "threshold.at_class={cat=0.3, cow=0.4}",
        "presence_by_matching.at_least_class.car=0.9",
    )
    plan = plan_of("quickstart", *tables, names=["cat", "cow", "car"])
    found = make_variants(plan, SOME, IMAGES)
    assert [one.vocabulary.names for one in found.replaced] == [
        ("tabby", "cow", "boat"),
        ("bus", "cow", "car"),
    ]
    first = found.replaced[0]
    thresholds = [one for one in walk(first.stages) if isinstance(one, Threshold)]
    assert [one.at_class for one in thresholds] == [{"tabby": 0.3, "cow": 0.4}] * len(thresholds)
    present = [one for one in walk(first.stages) if isinstance(one, PresenceByMatching)]
    assert [one.at_least_class for one in present] == [{"boat": 0.9}]
    assert found.together is None
    assert found.as_classes
    assert found.untold == {"words": ONE_WORD}


def test_distractors_are_classes_where_no_word_for_the_background_is_read() -> None:
    plan = plan_of("quickstart", names=["cat", "cow", "car"])
    plan = replace(plan, vocabulary=replace(plan.vocabulary, ids=(0, 7, 300, 2)))
    found = make_variants(plan, SOME, IMAGES).distracted
    assert found is not None
    assert found.vocabulary.names == ("cat", "cow", "car", "book", "cake")
    assert found.vocabulary.ids == (0, 7, 300, 2, 301, 302)
    assert len(found.vocabulary.colours) == 6


def test_a_model_that_refuses_other_words_is_told() -> None:
    plan = load_recipe("ifseg_tiny").plan
    count = len(plan.vocabulary.names)
    candidates = Candidates(({"kitten": "a"}, *[{}] * (count - 1)), ("fog",))
    found = make_variants(plan, candidates, IMAGES)
    assert found.plans == [plan]
    assert found.untold.keys() == {"words", "synonyms", "distractors"}
    assert "does not know the class `kitten`" in found.untold["synonyms"]
    assert "does not know the class `fog`" in found.untold["distractors"]


def test_words_that_a_text_model_cannot_tell_apart_are_refused() -> None:
    twins = Candidates(({"dög": "a"}, {"dog": "a"}, {}), ())
    with pytest.raises(BadClasses, match="cannot"):
        make_variants(plan_of("clearclip_tiny", names=["cat", "cow", "car"]), twins, IMAGES)
