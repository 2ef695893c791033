"""Check a recipe or a study file as far as the file alone tells: nothing is fetched or run."""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit.engine.objections import check_names
from ovsskit.engine.stage import per_class, walk
from ovsskit.recipe.addresses import address_of, all_stages
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.extends import find_recipe, read_extended
from ovsskit.recipe.shapes import read_shaped
from ovsskit.run.options import see_own_images
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.read_search import is_study, read_search


def check_file(name: str, overrides: Sequence[str] = ()) -> None:
    """Check a recipe with the table `[study]` that it may have, or a study file.

    Raises:
        Problems: all that is wrong, with files and lines.
        MissingRecipe, BrokenToml, ExtendsCycle: a file cannot be read at all.
    """
    study = is_study(read_shaped(find_recipe(name)))
    recipe = None if study else load_recipe(name, overrides)
    if recipe is not None:
        see_own_images(recipe)
        _see_own_classes(recipe)
    if recipe is None or "study" in recipe.tables:
        read_search(StudyOptions(name, overrides=tuple(overrides)), set_is_settled=not study)


def _see_own_classes(recipe: Recipe) -> None:
    """See that what has a value of its own in a recipe is one of its classes, if it names any.

    A run looks again, since the command line may name others.

    Raises:
        BadClasses: something is not.
    """
    if not recipe.plan.vocabulary.names:
        return
    entries = {address_of(entry): entry for _, _, entry in all_stages(read_extended(recipe.path))}
    for stage in walk(recipe.plan.stages):
        for name in per_class(type(stage)):
            where = entries[stage.address].place_of(name)
            check_names(getattr(stage, name), recipe.plan.vocabulary, where)
