"""From options to a checked study: every problem is found, with its line, before trial one."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ovsskit.engine.rendering import Reading
from ovsskit.engine.values import Labels, Present, Value, Vocabulary
from ovsskit.errors import (
    BadImage,
    BadStudy,
    NoImages,
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
from ovsskit.recipe.vocabulary import replace_classes
from ovsskit.run.options import (
    HERE,
    ImageOptions,
    check_files,
    choose_classes,
    choose_images,
)
from ovsskit.study.spec.goals import (
    REFERENCE,
    SHOWN,
    choose_goals,
    says_what_is_present,
    unnamed_references,
)
from ovsskit.study.spec.objectives import objective_of
from ovsskit.study.spec.problems import problems_of_method, problems_of_sampler, problems_of_values
from ovsskit.study.spec.search import Search
from ovsskit.study.spec.space import (
    ALL,
    for_classes,
    read_space,
)
from ovsskit.study.spec.tables import (
    StudyTable,
    beside,
    merge,
    read_constraints,
    read_settings,
    section,
)
from ovsskit.study.spec.truth import Truth, read_truth

log = logging.getLogger(__name__)

MANY = 32
"""Parameters of a space, from its stars, above which a person hears of it."""
FEWEST_IMAGES, ADVISED_IMAGES = 12, 24
"""With fewer images the best of many candidates is the luckiest, and nothing can be proved."""


@dataclass(frozen=True)
class StudyOptions(ImageOptions):
    """Hold what a person asked of `ovsskit study`; a setting of None was not asked for."""

    objectives: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    storage: str = ""
    workers: int | None = None
    engine: str = HERE
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class StudyPlan:
    """Hold a checked study: what is searched, and on which images.

    Candidates are searched on the images of the indices `searched`; the others are held back.
    """

    search: Search
    images: tuple[Path, ...]
    searched: tuple[int, ...]
    samples: bool
    vocabulary: Vocabulary
    truth: Truth | None
    reading: Reading
    left_out: tuple[str, ...] = ()

    @property
    def held_back(self) -> tuple[int, ...]:
        """Return the indices of the images that no candidate is searched on."""
        return tuple(sorted({*range(len(self.images))} - {*self.searched}))


def make_plan(options: StudyOptions) -> StudyPlan:
    """Read and check a study, its recipe and its images.

    Raises:
        OvsskitError: anything is wrong; `Problems` hold all that a file alone tells.
    """
    search = read_search(options)
    recipe = search.candidate({})
    check_files(recipe.plan.stages)
    plain = replace(options, images=options.images or search.images)
    chosen = choose_images(plain, recipe)
    named, samples = chosen.images, chosen.samples
    images, left_out = _readable(named, options.reading)
    if search.settings.accept == "proved":
        _see_count(len(images))
    if search.classes and options.classes is None and not options.classes_file:
        vocabulary = replace_classes(search.classes, recipe.plan.vocabulary)
    else:
        vocabulary = choose_classes(plain, recipe, samples)
    search = _for_classes(search, vocabulary)
    truths = [
        read_truth(one, images, samples, vocabulary)
        for one in search.objectives
        if one.metric == "miou"
    ]
    return StudyPlan(
        search,
        tuple(images),
        searched_of(len(images), search.settings),
        samples,
        vocabulary,
        truths[0] if truths else None,
        options.reading,
        left_out,
    )


def _for_classes(search: Search, vocabulary: Vocabulary) -> Search:
    """Return the search with a dimension for each class where its space has a star.

    Raises:
        OvsskitError: a class of the space is not looked for, or the sampler cannot search so many.
    """
    space = for_classes(search.space, vocabulary, search.fixed)
    found = replace(search, space=space)
    where = next((one.place for one in search.space if one.of_class == ALL), None)
    if where is not None:
        with all_at_once():
            report(*problems_of_sampler(found, where))
        if len(space) > MANY:
            text = "%s: the space has %d parameters, many more than a study searches well"
            log.warning(text, where, len(space))
    return found


def _see_count(images: int) -> None:
    """Refuse too few images, and note few.

    Raises:
        BadStudy: nothing could be proved with so few.
    """
    if images < FEWEST_IMAGES:
        what = f"The study has {images} images; with fewer than {FEWEST_IMAGES} it proves nothing."
        fix = (
            f"Give {ADVISED_IMAGES} or more; they need no masks. Or take the best trial unproved: "
            '--accept best, or accept = "best".'
        )
        raise BadStudy(what, fix=fix)
    if images < ADVISED_IMAGES:
        text = "%d images are few to tell good settings by: %d or more are advised"
        log.warning(text, images, ADVISED_IMAGES)


def searched_of(images: int, settings: StudyTable) -> tuple[int, ...]:
    """Return the indices of the images to search on; the seed chooses those that are held back.

    None are where nothing has to be proved.
    """
    order = list(range(images))
    if settings.accept == "best":
        return tuple(order)
    random.Random(f"{settings.seed} held back").shuffle(order)
    return tuple(sorted(order[min(round(settings.hold_back * images), images - 1) :]))


def _readable(named: Sequence[Path], reading: Reading) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images that can be read, and why the others, which must stop no study, cannot.

    Raises:
        NoImages: none can be read.
    """
    from ovsskit.engine.images import allow_pixels, read_image

    allow_pixels(reading.max_pixels)
    images, left_out = [], []
    for path in named:
        try:
            read_image(path, reading)
        except BadImage as error:
            left_out.append(f"{path} is left out: {error.what}")
        else:
            images.append(path)
    for reason in left_out:
        log.warning("%s", reason)
    if not images:
        raise NoImages("No image can be read.", there="\n  ".join(left_out[:5]))
    return images, tuple(left_out)


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
            "The sampler `cmaes` keeps pickles with the trials, "
            "and whoever writes to a shared storage could have them run code."
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
