"""Write a study's results as recipes that extend the original.

Each changed value keeps the comment that the original has beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Item

from ovsskit.engine.stage import Wrapper
from ovsskit.files.names import safe_name
from ovsskit.recipe.addresses import address_of, all_stages
from ovsskit.recipe.describe import toml
from ovsskit.recipe.extends import find_recipe, name_base
from ovsskit.recipe.registry import find_stage
from ovsskit.recipe.toml_lines import Table
from ovsskit.recipe.vocabulary import describe_words
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trials import Row


def best_texts(state: StudyState) -> dict[str, str]:
    """Return `best.toml`, and with several objectives one recipe per trial of the Pareto front.

    `best.toml` is the unchanged recipe where that was kept. The recipes of the front lie in
    `front/`.
    """
    [best] = recipe_texts(state, [state.chosen], state.out)
    texts = {"best.toml": best}
    if len(state.plan.search.objectives) > 1:
        names = map(front_name, state.front)
        texts |= zip(names, recipe_texts(state, state.front, state.out / "front"), strict=True)
    return texts


def front_name(row: Row) -> str:
    """Return the file of a trial of the Pareto front, by its path in the study's folder."""
    return f"front/trial_{row.turn:04d}.toml"


def recipe_texts(state: StudyState, rows: Sequence[Row | None], folder: Path) -> list[str]:
    """Return recipes with the values of trials, to stand in a folder; unchanged for None."""
    search = state.plan.search
    words = describe_words(state.plan.vocabulary)
    if words == describe_words(search.candidate({}).plan.vocabulary):
        words = {}
    notes = comments_of(search.path)
    return [_recipe_text(state, row, folder, words, notes) for row in rows]


def _recipe_text(
    state: StudyState,
    row: Row | None,
    folder: Path,
    words: Mapping[str, Any],
    notes: Mapping[str, str],
) -> str:
    search = state.plan.search
    document = tomlkit.document()
    for line in _told(state, row):
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    document["name"] = safe_name(
        search.title, "-unchanged" if row is None else f"-trial-{row.turn}"
    )
    document["extends"] = name_base(search.path, folder)
    values = dict(search.fixed)
    removed = []
    for address, value in (row.params if row is not None else {}).items():
        if "." in address:
            values[address] = value
        elif value == "off":
            wrapped = _neutral(search.tables, address)
            values |= {f"{address}.{key}": one for key, one in wrapped.items()}
            removed += [] if wrapped else [address]
    if removed:
        document["remove"] = removed
    if words:
        document["vocabulary"] = tomlkit.item(words)
    changes = tomlkit.table()
    for address, value in values.items():
        item: Item = tomlkit.item(value)
        was = state.start.get(address)
        said = [
            f"{toml(was)} before" if was is not None and was != value else "as before",
            notes.get(address, ""),
        ]
        item.comment("; ".join(part for part in said if part))
        changes.add(address, item)
    if values:
        document["set"] = changes
    return document.as_string()


def _told(state: StudyState, row: Row | None) -> list[str]:
    """Return what the head of a recipe says: which trial it is, and why it was accepted or not."""
    title, acceptance = state.plan.search.title, state.acceptance
    reasons = acceptance.reasons if acceptance is not None and row is state.chosen else []
    if row is None:
        return [f"The study `{title}` of {state.total} trials.", *reasons]
    objectives, before = state.plan.search.objectives, state.default.get("values", [])
    if row.values is None:
        return [f"Trial {row.turn} of {state.total} of the study `{title}`: {row.state}."]
    scores = ", ".join(
        f"{one.name} {value:.4g} (the unchanged recipe: {was:.4g})"
        for one, value, was in zip(objectives, row.values, before, strict=True)
    )
    return [f"Trial {row.turn} of {state.total} of the study `{title}`: {scores}.", *reasons]


def comments_of(path: Path) -> dict[str, str]:
    """Return the comments behind a recipe's values, by address.

    The comments of a variant come before those of its base.
    """
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    base = document.get("extends")
    if isinstance(base, str):
        found |= comments_of(find_recipe(str(base), beside=path.parent))
    for stage in _stages(document.get("stage", [])):
        address = str(stage.get("name") or stage.get("use"))
        found |= {f"{address}.{key}": note for key in stage if (note := _comment(stage, key))}
    for section in ("backbone", "vocabulary"):
        found |= {
            f"{section}.{key}": note
            for key in document.get(section, {})
            if (note := _comment(document[section], key))
        }
    return found | {
        str(key): note
        for key in document.get("set", {})
        if (note := _comment(document["set"], key))
    }


def _stages(stages: Any) -> list[Any]:
    return [one for stage in stages for one in (stage, *_stages(stage.get("inner", [])))]


def _comment(table: Any, key: str) -> str:
    item = table.item(key) if hasattr(table, "item") else table[key]
    return item.trivia.comment.lstrip("# ").strip() if isinstance(item, Item) else ""


def _neutral(tables: Table, address: str) -> dict[str, Any]:
    """Return the settings at which a wrapper changes nothing; none for another stage."""
    for _, _, entry in all_stages(tables):
        cls = find_stage(str(entry.get("use")))
        if address_of(entry) == address and cls is not None and issubclass(cls, Wrapper):
            return cls.neutral
    return {}
