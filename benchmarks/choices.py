"""What a choice changes in a recipe, and the recipe's text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tomlkit


@dataclass(frozen=True)
class Change:
    """Hold what a choice changes in the recipe: stages taken away and added, values, models."""

    stages: tuple[dict[str, Any], ...] = ()
    remove: tuple[str, ...] = ()
    set: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)

    def plus(self, other: Change) -> Change:
        """Return both changes; where both set a value, the other's."""
        return Change(
            (*self.stages, *other.stages),
            (*self.remove, *other.remove),
            self.set | other.set,
            self.models | other.models,
        )

    def text(self, base: str) -> str:
        """Return a recipe that changes a shipped one."""
        gone = {*self.remove}
        values = {key: one for key, one in self.set.items() if key.split(".")[0] not in gone}
        table: dict[str, Any] = {
            "extends": base,
            "remove": list(self.remove),
            "set": values,
            "models": self.models,
            "stage": list(self.stages),
        }
        return tomlkit.dumps({key: value for key, value in table.items() if value})


@dataclass(frozen=True)
class Start:
    """Name what choices begin with: a shipped recipe, and how it is changed before the first.

    In the end shipped recipes are scored beside what was chosen.
    """

    name: str
    recipe: str
    change: Change = Change()
    beside: tuple[str, ...] = ()


def stage(use: str, after: str, **settings: Any) -> dict[str, Any]:
    """Return the table of a stage that stands after another."""
    return {"use": use, "after": after, **settings}


Part = dict[str, Change]
"""The choices of one part, by what they are called."""
