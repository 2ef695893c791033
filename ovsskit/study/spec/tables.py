"""What a person may write about a study: a file, a recipe's table `[study]`, and options.

All three have the same keys. The file replaces what the recipe says, key by key, and options
replace both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ovsskit.errors import BadValue, Place, report
from ovsskit.files.names import FileName
from ovsskit.recipe.toml_lines import Table
from ovsskit.recipe.validate import validate

Sampler = Literal["tpe", "gp", "random", "grid", "cmaes", "annealing"]
Pruner = Literal["none", "wilcoxon", "halving"]

Accept = Literal["proved", "best"]

TABLES = ("objective", "confirm", "constraints", "models", "space", "set")
"""Keys that hold tables; they are read by what they are about."""

PRESETS: dict[str, dict[str, Any]] = {
    "pnp_ovss": {
        "sampler": "random",
        "groups": 3,
        "split": "select_head.layer",
        "trials": 102,
        "accept": "best",
    },
    "pnp_ovss_annealing": {
        "sampler": "annealing",
        "groups": 3,
        "split": "select_head.layer",
        "trials": 102,
        "accept": "best",
    },
}
"""The protocol of PnP-OVSS: three groups of layers, 34 trials each, best of three; its released
code anneals at random."""


class StudyTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """Say what to search, on which images, how, and how often."""

    recipe: Annotated[
        str,
        Field(description="the recipe to search: a file, relative to this one, or a shipped one"),
    ] = ""
    name: Annotated[
        FileName, Field(description="the study's name in its storage; the recipe's if left out")
    ] = ""
    images: Annotated[
        tuple[str, ...], Field(description="files, folders or globs, relative to this file")
    ] = ()
    classes: Annotated[
        tuple[str, ...], Field(description="the classes to look for; the recipe's if left out")
    ] = ()
    preset: Annotated[
        Literal["", "pnp_ovss", "pnp_ovss_annealing"],
        Field(description="a published protocol to start from"),
    ] = ""
    trials: Annotated[int, Field(ge=1, description="how many candidates to try")] = 100
    seed: Annotated[int, Field(ge=0, description="the same seed tries the same candidates")] = 0
    sampler: Annotated[Sampler, Field(description="how candidates are chosen")] = "tpe"
    pruner: Annotated[
        Pruner, Field(description="how hopeless candidates are left before the last image")
    ] = "none"
    as_it_is: Annotated[
        bool, Field(description="try the unchanged recipe first, if the space holds it")
    ] = True
    hold_back: Annotated[
        float,
        Field(
            ge=0,
            le=0.9,
            description="the part of the images that no candidate is searched on, and the best are "
            "proved on; none with `accept` at `best`",
        ),
    ] = 0.5
    accept: Annotated[
        Accept,
        Field(
            description="take the best candidate for the result only if it is proved better than "
            "the unchanged recipe, or whatever it is"
        ),
    ] = "proved"
    reference: Annotated[
        str,
        Field(
            description="a recipe on another model, at least as good and as fine, whose labels "
            "`reference_reward` compares with: a file, relative to this one, or a shipped one"
        ),
    ] = ""
    groups: Annotated[
        int,
        Field(ge=1, description="searches that know nothing of each other and share the trials"),
    ] = 1
    split: Annotated[
        str, Field(description="the address whose values are divided among the groups")
    ] = ""
    heartbeat: Annotated[
        int,
        Field(
            ge=1,
            description="seconds between signs of life on a shared storage; three missed mean dead",
        ),
    ] = 20


class ConstraintsTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """Say what a candidate may cost."""

    seconds_per_image: Annotated[
        float | None, Field(gt=0, description="the most seconds that an image may take")
    ] = None
    peak_megabytes: Annotated[
        float | None, Field(gt=0, description="the most memory that the stages may need")
    ] = None


def merge(recipe: Table | None, file: Table, options: Mapping[str, Any]) -> Table:
    """Return one table of what recipe, file and options say; errors name an option by its flag."""
    given = {key: value for key, value in options.items() if value is not None}
    flags = {key: Place(f"--{key}") for key in given}
    lower = recipe if recipe is not None else Table({}, file.place, {})
    preset = given.get("preset", file.get("preset", lower.get("preset", "")))
    chosen = PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    items = {**lower, **chosen, **file, **given}
    return Table(items, file.place, {**lower.places, **file.places, **flags})


def read_settings(table: Table) -> StudyTable:
    """Return the plain settings of a merged table."""
    plain = Table(
        {key: value for key, value in table.items() if key not in TABLES}, table.place, table.places
    )
    return validate(StudyTable, plain, "study", TABLES) or StudyTable()


def read_constraints(table: Table) -> ConstraintsTable:
    """Return what a candidate may cost."""
    entry = section(table, "constraints")
    return validate(ConstraintsTable, entry, "constraints") or ConstraintsTable()


def section(table: Table, key: str) -> Table:
    """Return the table under a key; an empty one, reported, where something else stands there."""
    entry = table.get(key, Table({}, table.place, {}))
    if isinstance(entry, Table):
        return entry
    report(BadValue(f"`{key}` is a table: write [{key}].", where=table.place_of(key)))
    return Table({}, table.place_of(key), {})


def beside(table: Table, key: str) -> Path:
    """Return the folder of paths under a key: the file's, or the present one for options."""
    place = table.place_of(key)
    return Path(place.file).parent if place.line else Path()
