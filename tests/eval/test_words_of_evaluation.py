"""Which words an evaluation looks for: the recipe's own where they stand for all classes."""

from __future__ import annotations

import pytest

from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.facts import facts_of
from ovsskit.eval.options import EvalOptions, choose_words
from ovsskit.recipe.build import load_recipe


@pytest.mark.parametrize(
    ("recipe", "dataset", "own"),
    [
        ("sclip_ade20k", "ade20k", True),
        ("pnp_blip_released_coco_stuff", "coco_stuff171", True),  # trafficlight, wallbrick
        ("sclip_ade20k", "cityscapes", False),
        ("pnp_blip", "voc21", False),
    ],
)
def test_a_recipes_own_words_are_kept(recipe: str, dataset: str, own: bool) -> None:
    loaded = load_recipe(recipe)
    facts = facts_of(dataset)
    words, _ = choose_words(EvalOptions(recipe), loaded, Dataset(facts, "", "", ()))
    assert (words == loaded.plan.vocabulary) is own
    assert own or words.names == facts.classes[facts.background is not None :]
