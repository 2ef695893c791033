"""The objectives of a study and what confirms its result, ready to stand behind its recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ovsskit.engine.stage import wiring
from ovsskit.engine.values import Value
from ovsskit.errors import BadStudy, OvsskitError
from ovsskit.recipe.addresses import address_of, all_stages
from ovsskit.recipe.build import Recipe
from ovsskit.recipe.registry import find_stage
from ovsskit.recipe.toml_lines import Table
from ovsskit.study.spec.dimension import Dimension
from ovsskit.study.spec.objectives import Objective, read_objective, read_objectives
from ovsskit.study.spec.rules import default_confirmation, default_objective
from ovsskit.study.spec.tables import StudyTable

REFERENCE = "reference"
"""The slot of the labels that the reference finds."""
SHOWN = "shown"
"""The slot of the classes that the unchanged recipe finds, for rewards that ask what is present."""


def choose_goals(
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


def unnamed_references(goals: Sequence[Objective]) -> Iterator[OvsskitError]:
    """Refuse stages that read the labels of a reference where none is named."""
    for stage in (stage for goal in goals for stage in goal.stages):
        cls = find_stage(stage["use"])
        if cls is not None and REFERENCE in wiring(cls).reads and not stage.get("reads"):
            what = f"`{stage['name']}` compares with a reference, but none is named."
            fix = 'Name a recipe: reference = "..." in the study, or --reference RECIPE.'
            yield BadStudy(what, fix=fix, where=stage.place)


def says_what_is_present(recipe: Recipe, space: Sequence[Dimension]) -> bool:
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
