"""One searched parameter of a study: its address, and its range or its choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ovsskit.errors import Place
from ovsskit.recipe.describe import toml

if TYPE_CHECKING:
    import optuna

MOST_VALUES = 1_000_000

SWITCH = ("on", "off")

ALL = "*"
"""What stands for every class at the end of an address."""

Kind = Literal["float", "int", "choice", "switch"]


@dataclass(frozen=True)
class Dimension:
    """Hold one searched parameter: its address, and its range or its choices.

    `of_class` is the class whose value it is, if the parameter has one for each, or a star for all
    classes; with `synonyms` the words of the class are choices, too.
    """

    address: str
    kind: Kind
    place: Place
    low: int | float = 0
    high: int | float = 0
    step: int | float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    of_class: str = ""
    synonyms: bool = False

    @property
    def parameter(self) -> str:
        """Return the address of the parameter, which may hold a value for each class."""
        return self.address.removesuffix(f".{self.of_class}") if self.of_class else self.address

    @property
    def key(self) -> str:
        """Return the name of the parameter at its owner."""
        return self.parameter.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """Return the address of what has the parameter, or of the stage that is switched."""
        return self.address if self.kind == "switch" else self.parameter.rpartition(".")[0]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Return values that stand for all in a check: both ends of a range, or every choice."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: optuna.Trial) -> Any:
        """Return the value that a trial shall have."""
        if self.kind == "float":
            return self.value_of(
                trial.suggest_float(self.address, self.low, self.high, log=self.log, step=self.step)
            )
        if self.kind == "int":
            return trial.suggest_int(
                self.address, int(self.low), int(self.high), log=self.log, step=int(self.step or 1)
            )
        return self.value_of(
            trial.suggest_categorical(self.address, list(map(self.hold, self.choices)))
        )

    @staticmethod
    def hold(value: Any) -> Any:
        """Return a value as Optuna holds it: lists as TOML text."""
        return toml(value) if isinstance(value, list | tuple) else value

    def value_of(self, held: Any) -> Any:
        """Return the value that Optuna holds; steps of a range add up to numbers a little off."""
        if self.kind == "float" and self.step is not None:
            return round(held, 12)
        return next((choice for choice in self.choices if self.hold(choice) == held), held)

    def holds(self, value: Any) -> bool:
        """Say whether a value is among those that are searched."""
        values = self.values()
        if values is not None:
            return toml(value) in map(toml, values)
        return is_number(value) and self.low <= value <= self.high

    def values(self) -> list[Any] | None:
        """List all values, or None where a range is continuous or has more than can be listed."""
        if self.choices:
            return list(self.choices)
        if self.step is None and self.kind == "float":
            return None
        step = self.step or 1
        count = int((self.high - self.low) / step + 1e-9) + 1
        if count > MOST_VALUES:
            return None
        found = [self.low + index * step for index in range(count)]
        return (
            [int(value) for value in found]
            if self.kind == "int"
            else [round(value, 12) for value in found]
        )

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(toml, self.choices))
        step = f" in steps of {self.step:g}" if self.step else ""
        return f"{self.low:g} to {self.high:g}{step}{', logarithmic' if self.log else ''}"


def is_number(value: Any) -> bool:
    """Say whether a value is a number, and neither true nor false nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
