"""What does not fit together in a study: values, sampler, pruner and groups, before trial one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ovsskit.errors import (
    BadSpace,
    BadStudy,
    MissingExtra,
    OvsskitError,
    Place,
    UnknownAddress,
    collecting,
    did_you_mean,
)
from ovsskit.recipe.addresses import address_of, all_stages
from ovsskit.recipe.build import build
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.spec.dimension import ALL
from ovsskit.study.spec.search import Search
from ovsskit.study.spec.space import grid_size
from ovsskit.study.spec.tables import PRESETS

LARGEST_GRID = 1_000_000


def problems_of_values(search: Search) -> Iterable[OvsskitError]:
    """Build the recipe with the ends of every range, every choice, and every switch off."""
    found: dict[str, OvsskitError] = {}
    stages = [address_of(entry) for _, _, entry in all_stages(search.tables)]
    for one in search.space:
        if one.kind == "switch" and one.address not in stages:
            what, there = f"The recipe has no stage `{one.address}`.", ", ".join(stages)
            fix = did_you_mean(one.address, stages)
            found[one.address] = UnknownAddress(
                what, there=f"Available: {there}", fix=fix, where=one.place
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


def problems_of_method(search: Search, table: Table) -> Iterator[OvsskitError]:
    """Check that sampler, pruner, groups and objectives fit the space and each other."""
    yield from problems_of_sampler(search, table.place_of("sampler"))
    yield from _problems_of_groups(search, table)
    pruner, where, count = search.settings.pruner, table.place_of("pruner"), len(search.objectives)
    fix = 'pruner = "none", or --pruner none.'
    if pruner != "none" and count > 1:
        what = f"The pruner `{pruner}` compares one number, but there are {count} objectives."
        yield BadStudy(what, fix=fix, where=where)
    costs = {"seconds", "megabytes"} & {one.metric for one in search.objectives}
    if pruner != "none" and costs:
        what = f"The pruner `{pruner}` compares images, but `{min(costs)}` is one number for all."
        yield BadStudy(what, fix=fix, where=where)
    if pruner == "wilcoxon":
        yield from _missing("scipy", "The pruner `wilcoxon`", where)
    places = {one.address: one.place for one in search.space}
    for one in sorted(places.keys() & search.fixed.keys()):
        what = f"`{one}` is both searched and set."
        yield BadSpace(what, fix="Keep one of them.", where=places[one])


def problems_of_sampler(search: Search, where: Place) -> Iterator[OvsskitError]:
    """Check that the sampler can search the space for these objectives."""
    sampler, space = search.settings.sampler, search.space
    name, tpe, count = f"The sampler `{sampler}`", 'sampler = "tpe".', len(search.objectives)
    worded = [one.address for one in space if one.choices]
    switched = {one.address for one in space if one.kind == "switch"}
    owned = {one.address: one.owner for one in space if one.kind != "switch"}
    depending = [address for address, owner in owned.items() if owner in switched]
    endless = [one.address for one in space if one.values() is None]
    if sampler == "grid" and endless:
        what = f"{name} needs steps, but these are continuous: {', '.join(endless)}."
        yield BadStudy(what, fix=f"Give `step` or `choices`, or use {tpe}", where=where)
    elif sampler == "grid" and (size := grid_size(space) or 0) > LARGEST_GRID:
        fix = "Use larger steps, or another sampler."
        yield BadStudy(f"The grid has {size:,} points.", fix=fix, where=where)
    elif sampler == "cmaes" and worded:
        what = f"{name} searches numbers, but these are choices: {', '.join(worded)}."
        yield BadStudy(what, fix=f"Give ranges, or use {tpe}", where=where)
    elif sampler == "cmaes" and len(space) < 2 and all(one.of_class != ALL for one in space):
        yield BadStudy(f"{name} needs two parameters or more.", fix=tpe, where=where)
    elif sampler == "gp" and depending:
        left_out = f"switches leave these out: {', '.join(depending)}"
        what = f"{name} needs every parameter in every trial, but {left_out}."
        yield BadStudy(what, fix=tpe, where=where)
    elif sampler in ("cmaes", "annealing") and count > 1:
        what = f"{name} improves one number, but there are {count} objectives."
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
        there = f"Available: {', '.join(known)}"
        yield BadStudy(
            f"{divides}, but the space has no values for it.",
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
