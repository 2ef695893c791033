"""The ways that shipped recipes take: one recipe for each, and few classes."""

from __future__ import annotations

from typing import Any

from ovsskit.engine.plan import Plan
from ovsskit.engine.stage import use_of, walk
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadClasses
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary

TEXTS = {"file", "templates", "templates_file", "texts"}
"""Fields of stages that are words, and decide no more than which texts there are."""


def steps_of(plan: Plan) -> tuple[Any, ...]:
    """Return what decides which way a recipe goes: its stages and models, and their settings that
    are words. Recipes that differ in numbers and classes go the same way.
    """
    stages = []
    for stage in walk(plan.stages):
        settings = stage.model_dump(exclude={"inner", "name", "reads", *TEXTS})
        words = [(key, value) for key, value in settings.items() if isinstance(value, str | bool)]
        stages.append((use_of(type(stage)), *words))
    return (*stages, *sorted((name, use_of(type(one))) for name, one in plan.models.items()))


RECIPES = sorted(recipe_folder().rglob("*.toml"))
EMBEDDED = [path for path in RECIPES if path.stem == "quickstart" or path.stem.endswith("_tiny")]
WAYS = {steps_of(load_recipe(path).plan): path for path in sorted(RECIPES, key=EMBEDDED.count)}
"""One recipe for each way, one with weights in the package if there is such a one."""


def few_of(plan: Plan) -> Vocabulary:
    """Return the first classes of a recipe's own, all if it is tuned for them, or two."""
    own = plan.vocabulary
    if not own.names:
        return make_vocabulary(["dog", "grass"])
    few = own.pick(range(1, min(3, len(own.names)) + 1))
    try:
        for model in plan.used.values():
            model.check_vocabulary(few)
    except BadClasses:
        return own
    return few
