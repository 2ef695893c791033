"""From options to a checked study: every problem is found, with its line, before trial one."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ovsskit.engine.stage import Wrapper, wiring
from ovsskit.engine.values import Labels, Present, Value, Vocabulary
from ovsskit.errors import (
    BadImage,
    BadSpace,
    BadStudy,
    MissingExtra,
    NoImages,
    OvsskitError,
    Place,
    Problems,
    UnfilledSlot,
    UnknownAddress,
    all_at_once,
    collecting,
    did_you_mean,
    report,
)
from ovsskit.files.names import safe_name
from ovsskit.recipe.addresses import address_of, all_stages, parse_override, set_value
from ovsskit.recipe.build import Recipe, build, load_recipe
from ovsskit.recipe.extends import find_recipe, read_extended
from ovsskit.recipe.registry import find_stage
from ovsskit.recipe.shapes import read_shaped
from ovsskit.recipe.toml_lines import Table
from ovsskit.recipe.vocabulary import replace_classes
from ovsskit.run.options import ImageOptions, check_files, choose_classes, choose_images
from ovsskit.study.spec.objectives import (
    Objective,
    objective_of,
    read_objective,
    read_objectives,
)
from ovsskit.study.spec.rules import default_confirmation, default_objective
from ovsskit.study.spec.space import (
    ALL,
    Dimension,
    for_classes,
    grid_size,
    present_value,
    read_space,
)
from ovsskit.study.spec.tables import (
    PRESETS,
    ConstraintsTable,
    StudyTable,
    beside,
    merge,
    read_constraints,
    read_settings,
    section,
)
from ovsskit.study.spec.truth import Truth, read_truth

log = logging.getLogger(__name__)

LARGEST_GRID = 1_000_000
MANY = 32
"""Parameters of a space, from its stars, above which a person hears of it."""
FEWEST_IMAGES, ADVISED_IMAGES = 12, 24
"""With fewer images the best of many candidates is the luckiest, and nothing can be proved."""
REFERENCE = "reference"
"""The slot of the labels that the reference finds."""
SHOWN = "shown"
"""The slot of the classes that the unchanged recipe finds, for rewards that ask what is present."""


@dataclass(frozen=True)
class StudyOptions(ImageOptions):
    """Hold what a person asked of `ovsskit study`; a setting of None was not asked for."""

    objectives: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    storage: str = ""
    workers: int = 1
    plugins: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Search:
    """Hold what of a study concerns its recipe alone: what is searched, how, and for what."""

    path: Path
    tables: Table
    fixed: Mapping[str, Any]
    settings: StudyTable
    objectives: tuple[Objective, ...]
    confirm: Objective | None
    reference: Path | None
    constraints: ConstraintsTable
    space: tuple[Dimension, ...]
    images: tuple[str, ...]
    classes: tuple[str, ...]
    given: Mapping[str, type[Value]] = field(default_factory=dict)
    _built: list[tuple[str, Recipe]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker in another process gets: not the recipe that was built last."""
        return {**vars(self), "_built": []}

    @property
    def goals(self) -> tuple[Objective, ...]:
        """Return all that the study judges by: the objectives, and what confirms the result."""
        return (*self.objectives, *([self.confirm] if self.confirm is not None else []))

    def candidate(
        self, values: Mapping[str, Any], goals: Sequence[Objective] | None = None
    ) -> Recipe:
        """Return the recipe with these values at their addresses, judged by the objectives.

        Other goals, or none, may be given. What was built last is not built again: a trial looks at
        its recipe first, and then runs it.

        Raises:
            Problems: they do not fit together.
        """
        chosen = self.objectives if goals is None else tuple(goals)
        key = repr((sorted(values.items()), [stage for one in chosen for stage in one.stages]))
        last = self._built[:]
        if last and last[0][0] == key:
            return last[0][1]
        with all_at_once():
            recipe = build(self.change(values, chosen), self.given)
        self._built[:] = [(key, recipe)]
        return recipe

    def recipes(self) -> list[Recipe]:
        """Return all recipes that the study runs: its own, judged by all goals, and the reference.

        Raises:
            Problems: one of them does not fit together.
        """
        own = self.candidate({}, self.goals)
        return [own] if self.reference is None else [own, load_recipe(self.reference)]

    def change(self, values: Mapping[str, Any], goals: Sequence[Objective] | None = None) -> Table:
        """Return the recipe's tables with values at their addresses; `off` leaves a stage out."""
        table = copy.deepcopy(self.tables)
        chosen = self.objectives if goals is None else goals
        table["stage"] = [*table.get("stage", []), *(one for goal in chosen for one in goal.stages)]
        places = {one.address: one.place for one in self.space}
        for address, value in values.items():
            where = places.get(address, Place(address))
            if "." in address:
                set_value(table, address, value, where)
            elif value == "off":
                switch_off(table, address)
        return table

    @property
    def title(self) -> str:
        """Return the study's name: its own, or the recipe's."""
        name = self.tables.get("name")
        own = self.settings.name or (name if isinstance(name, str) else "")
        return own or safe_name(self.path.stem) or "recipe"


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
    max_pixels: int
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
    named, samples = choose_images(plain, recipe)
    images, left_out = _readable(named, options.max_pixels)
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
        options.max_pixels,
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
            report(*_problems_of_sampler(found, where))
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


def _readable(named: Sequence[Path], max_pixels: int) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images that can be read, and why the others, which must stop no study, cannot.

    Raises:
        NoImages: none can be read.
    """
    from ovsskit.engine.images import allow_pixels, read_image

    allow_pixels(max_pixels)
    images, left_out = [], []
    for path in named:
        try:
            read_image(path, max_pixels=max_pixels)
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


def _read_search(options: StudyOptions, set_is_settled: bool) -> Search:
    path = find_recipe(options.recipe)
    file = read_shaped(path)
    if _is_study(file):
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


def check_file(name: str, overrides: Sequence[str] = ()) -> None:
    """Check a recipe with the table `[study]` that it may have, or a study file.

    Raises:
        Problems: all that is wrong, with files and lines.
        MissingRecipe, BrokenToml, ExtendsCycle: a file cannot be read at all.
    """
    is_study = _is_study(read_shaped(find_recipe(name)))
    if is_study or "study" in load_recipe(name, overrides).tables:
        read_search(StudyOptions(name, overrides=tuple(overrides)), set_is_settled=not is_study)


def _is_study(file: Table) -> bool:
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
    if not _says_what_is_present(recipe, space):
        given[SHOWN] = Present
    objectives, confirm = _goals(table, settings, tables, given)
    unnamed = (
        [] if reference else list(_unnamed_references((*objectives, *filter(None, [confirm]))))
    )
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
            report(*_problems_of_values(search), *_problems_of_method(search, table))
    return search


def _goals(
    table: Table, settings: StudyTable, tables: Table, given: Mapping[str, type[Value]]
) -> tuple[tuple[Objective, ...], Objective | None]:
    """Return the objectives and what confirms the result, named by a person or chosen by rule.

    Their stages get addresses of their own, and read which classes are shown where the recipe does
    not say it.
    """
    reference = REFERENCE in given
    if "objective" not in table:
        judge, place = "judge" in tables.get("models", {}), table.place_of("objective")
        table["objective"] = default_objective(reference=reference, judge=judge, place=place)
    objectives, confirm = read_objectives(table), []
    if settings.accept == "proved" and objectives and objectives[0].stages:
        place = table.place_of("confirm")
        entry = table.get("confirm") or default_confirmation(
            objectives[0], reference=reference, place=place
        )
        confirm = read_objective(entry)
    taken = {address_of(entry) for _, _, entry in all_stages(tables)}
    goals: list[Objective] = []
    for one in (*objectives, *confirm):
        apart = one.apart(taken)
        taken |= {*apart.addresses}
        goals.append(_told_what_is_shown(apart) if SHOWN in given else apart)
    count = len(objectives)
    return tuple(goals[:count]), goals[count] if confirm else None


def _unnamed_references(goals: Sequence[Objective]) -> Iterator[OvsskitError]:
    """Refuse stages that read the labels of a reference where none is named."""
    for stage in (stage for goal in goals for stage in goal.stages):
        cls = find_stage(stage["use"])
        if cls is not None and REFERENCE in wiring(cls).reads and not stage.get("reads"):
            what = f"`{stage['name']}` compares with a reference, and none is named."
            fix = 'Name a recipe: reference = "..." in the study, or --reference RECIPE.'
            yield BadStudy(what, fix=fix, where=stage.place)


def _says_what_is_present(recipe: Recipe, space: Sequence[Dimension]) -> bool:
    """Say whether the recipe says which classes an image shows, the same for every candidate.

    A candidate that chose the classes would choose what it is judged by.
    """
    writers = {stage.address for stage in recipe.plan.stages if stage.writes == "present"}
    return bool(writers) and not writers & {one.owner for one in space}


def _told_what_is_shown(goal: Objective) -> Objective:
    """Let stages that ask which classes are present read those that the unchanged recipe shows."""
    stages = []
    for stage in goal.stages:
        cls = find_stage(stage["use"])
        reads = stage.get("reads", {})
        if cls is not None and "present" in wiring(cls).reads and "present" not in reads:
            own = {**stage, "reads": {**reads, "present": SHOWN}}
            stage = Table(own, stage.place, stage.places)
        stages.append(stage)
    return replace(goal, stages=tuple(stages))


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


def _problems_of_values(search: Search) -> Iterable[OvsskitError]:
    """Build the recipe with the ends of every range, every choice, and every switch off."""
    found: dict[str, OvsskitError] = {}
    stages = [address_of(entry) for _, _, entry in all_stages(search.tables)]
    for one in search.space:
        if one.kind == "switch" and one.address not in stages:
            what, there = f"The recipe has no stage `{one.address}`.", ", ".join(stages)
            fix = did_you_mean(one.address, stages)
            found[one.address] = UnknownAddress(
                what, there=f"There are: {there}", fix=fix, where=one.place
            )
            continue
        for value in one.ends:
            with collecting() as problems:
                build(search.change({one.address: value}), search.given)
            if one.kind == "switch" and problems and value == "off":
                what = f"Without `{one.address}` the recipe does not fit together:"
                problems = [BadSpace(f"{what} {problems[0].reason}", where=one.place)]
            for problem in problems:
                found.setdefault(f"{one.address} {problem.what}", problem)
    return found.values()


def _problems_of_method(search: Search, table: Table) -> Iterator[OvsskitError]:
    """Check that sampler, pruner, groups and objectives fit the space and each other."""
    yield from _problems_of_sampler(search, table.place_of("sampler"))
    yield from _problems_of_groups(search, table)
    pruner, where, count = search.settings.pruner, table.place_of("pruner"), len(search.objectives)
    fix = 'pruner = "none", or --pruner none.'
    if pruner != "none" and count > 1:
        what = f"The pruner `{pruner}` compares one number, and there are {count} objectives."
        yield BadStudy(what, fix=fix, where=where)
    costs = {"seconds", "megabytes"} & {one.metric for one in search.objectives}
    if pruner != "none" and costs:
        what = f"The pruner `{pruner}` compares images, and `{min(costs)}` is one number for all."
        yield BadStudy(what, fix=fix, where=where)
    if pruner == "wilcoxon":
        yield from _missing("scipy", "The pruner `wilcoxon`", where)
    places = {one.address: one.place for one in search.space}
    for one in sorted(places.keys() & search.fixed.keys()):
        yield BadSpace(f"`{one}` is searched and set.", fix="Keep one of them.", where=places[one])


def _problems_of_sampler(search: Search, where: Place) -> Iterator[OvsskitError]:
    sampler, space = search.settings.sampler, search.space
    name, tpe, count = f"The sampler `{sampler}`", 'sampler = "tpe".', len(search.objectives)
    worded = [one.address for one in space if one.choices]
    switched = {one.address for one in space if one.kind == "switch"}
    depending = [one.address for one in space if one.kind != "switch" and one.owner in switched]
    endless = [one.address for one in space if one.values() is None]
    if sampler == "grid" and endless:
        what = f"{name} needs steps, and these are continuous: {', '.join(endless)}."
        yield BadStudy(what, fix=f"Give `step` or `choices`, or take {tpe}", where=where)
    elif sampler == "grid" and (size := grid_size(space) or 0) > LARGEST_GRID:
        fix = "Take larger steps, or another sampler."
        yield BadStudy(f"The grid has {size:,} points.", fix=fix, where=where)
    elif sampler == "cmaes" and worded:
        what = f"{name} searches numbers, and these are choices: {', '.join(worded)}."
        yield BadStudy(what, fix=f"Give ranges, or take {tpe}", where=where)
    elif sampler == "cmaes" and len(space) < 2 and all(one.of_class != ALL for one in space):
        yield BadStudy(f"{name} needs two parameters or more.", fix=tpe, where=where)
    elif sampler == "gp" and depending:
        left_out = f"switches leave these out: {', '.join(depending)}"
        what = f"{name} needs every parameter in every trial, and {left_out}."
        yield BadStudy(what, fix=tpe, where=where)
    elif sampler in ("cmaes", "annealing") and count > 1:
        what = f"{name} makes one number better, and there are {count} objectives."
        yield BadStudy(what, fix=tpe, where=where)
    elif needed := {"cmaes": "cmaes", "gp": "scipy"}.get(sampler):
        yield from _missing(needed, name, where)


def _problems_of_groups(search: Search, table: Table) -> Iterator[OvsskitError]:
    settings = search.settings
    where = table.place_of("groups" if "groups" in table.places else "preset")
    divided = next((one for one in search.space if one.address == settings.split), None)
    values = None if divided is None else divided.values()
    if settings.groups == 1:
        return
    if settings.sampler not in ("random", "annealing"):
        what = f"The sampler `{settings.sampler}` cannot search in groups."
        yield BadStudy(what, fix='sampler = "random" or "annealing".', where=where)
    elif settings.trials < settings.groups:
        what = f"{settings.trials} trials are too few for {settings.groups} groups."
        yield BadStudy(what, where=where)
    elif settings.split and values is None:
        known = [one.address for one in search.space if one.values() is not None]
        preset = PRESETS.get(settings.preset, {}).get("split") == settings.split
        who = f"The preset `{settings.preset}`" if preset else "The study"
        divides = f"{who} divides `{settings.split}` among the groups"
        there = f"There are: {', '.join(known)}"
        yield BadStudy(
            f"{divides}, and the space has no values of it.",
            there=there if known else "It has no parameter with steps or choices.",
            where=where,
        )
    elif values is not None and len(values) < settings.groups:
        what = f"`{settings.split}` has fewer values than there are groups."
        yield BadStudy(what, where=where)


def _missing(module: str, who: str, where: Place) -> Iterator[OvsskitError]:
    from importlib.util import find_spec

    if not find_spec(module):
        what, fix = f"{who} needs the package {module}.", 'pip install "ovsskit[study]".'
        yield MissingExtra(what, fix=fix, where=where)


def switch_off(table: Table, address: str) -> None:
    """Leave a stage out of a recipe's tables; a wrapper gets its neutral settings."""
    for entries, index, entry in all_stages(table):
        if address_of(entry) == address:
            cls = find_stage(str(entry.get("use")))
            if cls is not None and issubclass(cls, Wrapper):
                entry.update(cls.neutral)
            else:
                del entries[index]
            return


def starting_values(search: Search) -> dict[str, Any]:
    """Return what the recipe has at the addresses that are searched."""
    recipe = search.candidate({})
    return {one.address: present_value(recipe, one) for one in search.space}
