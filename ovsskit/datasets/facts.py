"""Read the facts of the data sets that the package knows."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ovsskit.datasets.colours import Colour, without_doubles
from ovsskit.datasets.dataset import Facts
from ovsskit.errors import NoDataset, did_you_mean, first_of

FOLDER = Path(__file__).with_name("facts")


def dataset_names() -> list[str]:
    """Return the names of the data sets whose facts are known."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def facts_of(name: str) -> Facts:
    """Return the facts of a data set by its name or by another that people give it.

    Raises:
        NoDataset: none has this name.
    """
    known = dataset_names()
    wanted = name.casefold().replace("-", "_")
    if wanted in known:
        return _read(wanted)
    for one in known:
        if wanted in _read(one).aliases:
            return _read(one)
    fix = did_you_mean(wanted, known)
    raise NoDataset(
        f"There is no data set `{name}`.", there=f"Available: {first_of(known)}", fix=fix
    )


@cache
def palette_of(name: str) -> tuple[Colour, ...]:
    """Return a colour for every class of a data set, in its order: its own where they differ.

    Published palettes give one colour to several classes; the later ones get another here, since a
    legend could not tell them apart.

    Raises:
        NoDataset: none has this name.
    """
    facts = facts_of(name)
    return without_doubles(facts.palette, facts.background)


@cache
def _read(name: str) -> Facts:
    plain = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = plain.pop("classes")
    numbers = [row.get("number") for row in rows]
    names = [row["name"] for row in rows]
    given = {
        "name": name,
        "classes": names,
        "palette": [bytes.fromhex(row["colour"].removeprefix("#")) for row in rows],
        "own_words": {row["name"]: row["words"] for row in rows if "words" in row},
        "numbers": numbers if any(one is not None for one in numbers) else [],
    }
    given["palette"] = [tuple(colour) for colour in given["palette"]]
    if "coarse_of" in plain:  # its masks are those of the other, read coarsely
        base = tomllib.loads((FOLDER / f"{plain['coarse_of']}.toml").read_text(encoding="utf-8"))
        plain["layouts"] = [*plain["layouts"], *base["layouts"]]
        given["own_words"] = _words_of_parts(names, plain["coarse"], base["classes"])
    return TypeAdapter(Facts).validate_python({**plain, **given})


def _words_of_parts(
    names: Sequence[str], coarse: Sequence[int], parts: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Return for each coarse class the names and words of the classes that it is made of."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for number, part in zip(coarse, parts, strict=True):
        found[names[number]] += [part["name"], *part.get("words", ())]
    return found
