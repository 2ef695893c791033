"""The contract of stages and wrappers, written once.

A stage is a frozen model: its fields are its parameters, and the signature of its one method `run` is its wiring. The
parameter names of `run` are the slots it reads and their annotations the kinds it asks for; `writes="..."` in the class
line and the return annotation are what it writes. A parameter annotated with a capability reads a model; one annotated
`Kind | None`, with the default None, reads a slot if there is one.

    class Threshold(Stage, writes="scores"):
        "Zero what lies under a fraction of each class's range."
        at: Annotated[float, Field(ge=0, le=1, description="fraction of the range")] = 0.15

        def run(self, scores: S) -> S: ...

A wrapper holds an inner chain, and its `run` is a generator: it yields a list of overrides, one per run of the inner
chain that it wants, receives what those runs wrote, and returns the merge:

        def run(self, image: Image) -> Wraps[S]:
            outs = yield [{"image": crop} for crop in crops]
            return mean(out["scores"] for out in outs)

Five rules let wrappers nest in any order: a wrapper overrides only slots that it reads; it writes a slot, of the same
kind, that its inner chain writes; what it reads under another name (`reads = { image = "resized" }`) has the wrapper's own
name inside; what it does not override passes through; what is written inside stays inside.
`neutral` holds parameters under which a wrapper equals its inner chain.

What a stage writes follows from its fields, its `version`, and what it reads. So a store can give back what a stage wrote
before: it does for stages with `network` (those that batch) and for those that say `cached` (slow ones without a network).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, TypeAlias, get_args, get_type_hints

from pydantic import BaseModel, Field, SerializeAsAny

from ovsskit.engine.values import S as S
from ovsskit.engine.values import V, Value, Vocabulary

Slots: TypeAlias = Mapping[str, Any]
Wraps: TypeAlias = Generator[list[dict[str, Value]], Sequence[Slots], V]


@dataclass(frozen=True)
class RecipePath:
    """Mark a field as a file; in a recipe it is relative to the recipe's file, and must be there.

    A shipped recipe may leave open one that is `needed`: the file is the person's, and nothing
    runs without it.
    """

    needed: bool = False


PathOfRecipe = Annotated[str, RecipePath()]
NeededPath = Annotated[str, RecipePath(needed=True)]


class Capability:
    """Mark what a backbone can do; a stage asks for a model by one of these."""


@dataclass(frozen=True)
class Wiring:
    """Say what a stage class reads (slot to kind), which models it needs, and the kind it writes.

    Slots in `optional` need not be there.
    """

    reads: dict[str, Any]
    models: dict[str, type[Capability]]
    writes: str
    kind: Any
    optional: frozenset[str] = frozenset()


class Stage(BaseModel, frozen=True, extra="forbid", strict=True):
    """Do one pure step. Parameters are fields; the signature of `run` is the wiring."""

    version: ClassVar[int] = 1
    network: ClassVar[bool] = False
    cached: ClassVar[bool] = False
    writes: ClassVar[str] = ""

    name: Annotated[
        str, Field(description="address in the recipe, if the stage is used more than once")
    ] = ""
    reads: Annotated[
        dict[str, str],
        Field(description="other slots or models to read than those of the same name"),
    ] = {}

    def __init_subclass__(cls, writes: str = "", **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if writes:
            cls.writes = writes

    @property
    def address(self) -> str:
        """Return the name by which overrides, studies and errors know this stage."""
        return self.name or use_of(type(self))

    def run(self, *values: Any, **slots: Any) -> Any:
        """Compute what this stage writes from what it reads, for one image."""
        raise NotImplementedError(f"{type(self).__name__} has no `run`")

    def run_many(self, many: Sequence[Slots]) -> list[Any]:
        """Run on several images; stages that batch override this, with the same results as one by one."""
        return [self.run(**slots) for slots in many]

    def settle(self, following: Sequence[Stage]) -> Stage:
        """Return this stage with parameters that are left to the stages after it filled in."""
        return self

    def check_inputs(self, vocabulary: Vocabulary, images: Sequence[Path]) -> None:
        """Refuse classes and images that this stage cannot serve; called before a run, and most serve any.

        Raises:
            OvsskitError: it cannot.
        """

    def objections(
        self, ahead: Sequence[tuple[Stage, Sequence[Any]]]
    ) -> Iterable[tuple[str, str, str, str]]:
        """Yield what cannot work: the address and parameter to blame, a sentence, and what there is.

        `ahead` holds the stages before this one with the models that each reads; nothing has been
        read of their weights.
        """
        return ()


class Wrapper(Stage):
    """Run an inner chain any number of times on changed inputs and merge what it writes.

    It writes the slot that it merges, or `merges` names another. A wrapper that `repeats` has no
    inner chain of its own: it runs the stages before it again.
    """

    neutral: ClassVar[dict[str, Any]] = {}
    merges: ClassVar[str] = ""
    repeats: ClassVar[bool] = False

    inner: Annotated[
        tuple[SerializeAsAny[Stage], ...], Field(description="the stages to run inside")
    ] = ()


def paths_of(cls: type[BaseModel]) -> dict[str, RecipePath]:
    """Return the marks of the fields that name a file, by field."""
    marked = [(name, one) for name, info in cls.model_fields.items() for one in info.metadata]
    return {name: mark for name, mark in marked if isinstance(mark, RecipePath)}


def use_of(cls: type) -> str:
    """Return the name of a stage or backbone class as recipes write it: words in lower case, joined by underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


@cache
def wiring(cls: type[Stage]) -> Wiring:
    """Read the wiring of a stage class off the signature of its `run`."""
    hints = get_type_hints(cls.run)
    returned = hints.pop("return")
    optional = frozenset(name for name, hint in hints.items() if NoneType in get_args(hint))
    hints = {name: get_args(hint)[0] if name in optional else hint for name, hint in hints.items()}
    kind = get_args(returned)[2] if issubclass(cls, Wrapper) else returned
    models = {
        name: hint
        for name, hint in hints.items()
        if isinstance(hint, type) and issubclass(hint, Capability)
    }
    return Wiring(
        {name: hint for name, hint in hints.items() if name not in models},
        models,
        cls.writes,
        kind,
        optional,
    )
