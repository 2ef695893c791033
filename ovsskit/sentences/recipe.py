"""Write chosen sentences as a recipe that extends the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Array

from ovsskit.engine.stage import paths_of, walk
from ovsskit.engine.values import Vocabulary
from ovsskit.files.names import safe_name
from ovsskit.recipe.addresses import parse_override
from ovsskit.recipe.build import Recipe
from ovsskit.recipe.extends import name_base
from ovsskit.recipe.vocabulary import describe_words
from ovsskit.sentences.sureness import Expert


@dataclass(frozen=True)
class Choice:
    """Hold the sentences that were tried, the surest of each class, and on how many images."""

    tried: tuple[str, ...]
    experts: Mapping[str, Sequence[Expert]]
    images: int
    address: str

    @property
    def chosen(self) -> dict[str, Sequence[Expert]]:
        """Return the surest sentences of the classes that any sentence finds."""
        return {name: found for name, found in self.experts.items() if found}

    @property
    def without(self) -> tuple[str, ...]:
        """Return the classes that no sentence finds in any image."""
        return tuple(name for name, found in self.experts.items() if not found)


def recipe_text(
    recipe: Recipe, vocabulary: Vocabulary, overrides: Sequence[str], choice: Choice, folder: Path
) -> str:
    """Return the recipe with the chosen sentences, to stand in a folder.

    What was set on the command line stands in it too, and the classes where they are not its own.
    """
    document = tomlkit.document()
    for line in _told(choice):
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    document["name"] = safe_name(recipe.title, "-sentences")
    document["extends"] = name_base(recipe.path, folder)
    values = _settled(recipe, overrides)
    words = describe_words(vocabulary)
    if words != describe_words(recipe.plan.vocabulary):
        document["vocabulary"] = tomlkit.item(words)
        values = {key: one for key, one in values.items() if not key.startswith("vocabulary.")}
    values |= {
        f"{choice.address}.sentences_of.{name}": _array(choice.tried, found)
        for name, found in choice.chosen.items()
    }
    changes = tomlkit.table()
    for address, value in values.items():
        changes.add(address, tomlkit.item(value))
    document["set"] = changes
    return document.as_string()


def _told(choice: Choice) -> list[str]:
    """Return what the head of the recipe says."""
    told = [
        f"Sentences for each class, chosen without labels among {len(choice.tried)} by "
        f"{choice.images} images:",
        "those that are the surest of the class where they alone find it (mean entropy, in nats).",
    ]
    if choice.without:
        told.append(f"No sentence finds: {', '.join(choice.without)}. They keep their sentences.")
    return told


def _array(tried: Sequence[str], found: Sequence[Expert]) -> Array:
    array = tomlkit.array()
    for one in found:
        comment = f"entropy {one.entropy:.4g} at {one.places:,} places"
        array.add_line(tried[one.sentence], comment=comment)
    array.add_line(indent="")
    return array


def _settled(recipe: Recipe, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what was set, by address; files by their whole paths, wherever the recipe stands."""
    values = dict(map(parse_override, overrides))
    for stage in walk(recipe.plan.stages):
        for name in paths_of(type(stage)):
            if f"{stage.address}.{name}" in values:
                values[f"{stage.address}.{name}"] = getattr(stage, name)
    return values
