"""What a study searches in a recipe, and the recipes that its candidates are."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovsskit.engine.stage import Wrapper
from ovsskit.engine.values import Value
from ovsskit.errors import Place, all_at_once
from ovsskit.files.names import safe_name
from ovsskit.recipe.addresses import address_of, all_stages, set_value
from ovsskit.recipe.build import Recipe, build, load_recipe
from ovsskit.recipe.registry import find_stage
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.spec.dimension import Dimension
from ovsskit.study.spec.objectives import Objective
from ovsskit.study.spec.space import present_value
from ovsskit.study.spec.tables import ConstraintsTable, StudyTable


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
