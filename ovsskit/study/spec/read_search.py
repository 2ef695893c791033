"""Read and check what a study searches, without its images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.engine.values import Labels, Present, Value
from ovsskit.errors import (
    BadStudy,
    Place,
    Problems,
    UnfilledSlot,
    all_at_once,
    collecting,
    report,
)
from ovsskit.recipe.addresses import parse_override, set_value
from ovsskit.recipe.build import Recipe, build
from ovsskit.recipe.extends import find_recipe, read_extended
from ovsskit.recipe.shapes import read_shaped
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.spec.goals import (
    REFERENCE,
    SHOWN,
    choose_goals,
    says_what_is_present,
    unnamed_references,
)
from ovsskit.study.spec.objectives import objective_of
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.problems import problems_of_method, problems_of_values
from ovsskit.study.spec.read_space import read_space
from ovsskit.study.spec.search import Search
from ovsskit.study.spec.tables import (
    StudyTable,
    beside,
    merge,
    read_constraints,
    read_settings,
    section,
)


def read_search(options: StudyOptions, *, set_is_settled: bool = False) -> Search:
    """Read and check a study without its images.

    With `set_is_settled` what is set is no problem where it is searched, but is not searched.

    Raises:
        Problems: all that is wrong, with files and lines.
        MissingRecipe, BrokenToml, ExtendsCycle: a file cannot be read at all.
    """
    with all_at_once():
        return _read_search(options, set_is_settled)


def recipes_of_study(recipe: str, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Return all recipes that a study of a recipe runs, without its images: the reference, too.

    Raises:
        Problems: all that is wrong, with files and lines.
        MissingRecipe, BrokenToml, ExtendsCycle: a file cannot be read at all.
    """
    options = StudyOptions(recipe, overrides=tuple(overrides))
    return read_search(options, set_is_settled=True).recipes()


def _read_search(options: StudyOptions, set_is_settled: bool) -> Search:
    path = find_recipe(options.recipe)
    file = read_shaped(path)
    if is_study(file):
        recipe_path = _recipe_of(file, path)
    else:
        recipe_path, file = path, Table({}, Place(str(path)), {})
    tables = read_extended(recipe_path)
    fixed: dict[str, Any] = {}
    for text in options.overrides:
        address, value = parse_override(text)
        set_value(tables, address, value, Place(f"--set {text}"))
        fixed[address] = value
    own = tables.get("study")
    given = dict(options.settings)
    if options.objectives:
        given["objective"] = [objective_of(word) for word in options.objectives]
    table = merge(own if isinstance(own, Table) else None, file, given)
    search = _check(table, tables, fixed, recipe_path, set_is_settled)
    if search.settings.sampler == "cmaes" and options.storage:
        what = (
            "The sampler `cmaes` stores pickles with the trials, "
            "so anyone who can write to a shared storage could make them run code."
        )
        fix = "Leave out --storage: then the study's own folder keeps the trials."
        report(BadStudy(what, fix=fix, where=table.place_of("sampler")))
    return search


def is_study(file: Table) -> bool:
    """Say whether a file is a study, which names a recipe, and not a recipe itself."""
    return bool({"recipe", "space", "objective"} & set(file))


def _recipe_of(file: Table, path: Path) -> Path:
    named = file.get("recipe")
    if not isinstance(named, str) or not named:
        what, fix = (
            "The study names no recipe.",
            'Add recipe = "pnp_blip", or the file of one of your own.',
        )
        raise Problems([BadStudy(what, fix=fix, where=file.place_of("recipe"))])
    return find_recipe(named, beside=path.parent, where=file.place_of("recipe"))


def _check(
    table: Table,
    tables: Table,
    fixed: dict[str, Any],
    path: Path,
    set_is_settled: bool,
) -> Search:
    settings = read_settings(table)
    constraints = read_constraints(table)
    for address, value in section(table, "set").items():
        set_value(tables, address, value, table["set"].place_of(address))
        fixed[address] = value
    _add_models(tables, section(table, "models"))
    with collecting() as broken:
        recipe = build(tables)
    report(*broken)
    if not {stage.writes for stage in recipe.plan.stages} & {"labels"} and not broken:
        what = "No stage writes `labels`, so there is nothing to judge."
        fix = 'End the recipe with use = "label_map".'
        report(UnfilledSlot(what, fix=fix, where=Place(str(path))))
    images = tuple(str(beside(table, "images") / text) for text in settings.images)
    space = read_space(section(table, "space"), recipe)
    space = tuple(one for one in space if not (set_is_settled and one.address in fixed))
    reference = _reference(settings, table)
    given: dict[str, type[Value]] = {} if reference is None else {REFERENCE: Labels}
    if not says_what_is_present(recipe, space):
        given[SHOWN] = Present
    objectives, confirm = choose_goals(table, settings, tables, given)
    unnamed = [] if reference else list(unnamed_references((*objectives, *filter(None, [confirm]))))
    report(*unnamed)
    search = Search(
        path,
        tables,
        fixed,
        settings,
        objectives,
        confirm,
        reference,
        constraints,
        space,
        images,
        settings.classes,
        given,
    )
    if not broken and not unnamed:
        with collecting() as problems:
            build(search.change({}, search.goals), given)
        report(*problems)
        if not problems:
            report(*problems_of_values(search), *problems_of_method(search, table))
    return search


def _reference(settings: StudyTable, table: Table) -> Path | None:
    """Return the file of the reference, whose problems are reported; None if there is none."""
    if not settings.reference:
        return None
    where = table.place_of("reference")
    path = find_recipe(settings.reference, beside=beside(table, "reference"), where=where)
    with collecting() as problems:
        recipe = build(read_extended(path))
    report(*problems)
    if not problems and not {stage.writes for stage in recipe.plan.stages} & {"labels"}:
        what = f"No stage of the reference `{settings.reference}` writes `labels`."
        report(UnfilledSlot(what, fix="Name a recipe that segments.", where=where))
    return path


def _add_models(tables: Table, models: Table) -> None:
    if models:
        tables["models"] = Table({**tables.get("models", {}), **models}, models.place, {})
