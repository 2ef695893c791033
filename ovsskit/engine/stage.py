"""The contract of stages and wrappers, written once.

A stage is a frozen model: its fields are its parameters, and the signature of its one method
`run` is its wiring. The parameter names of `run` are the slots it reads and their annotations the
kinds it asks for; `writes="..."` in the class line and the return annotation are what it writes. A
parameter annotated with a capability reads a model; one annotated `Kind | None`, with the default
None, reads a slot if there is one. A recipe may name other slots, by `reads` and `writes`.

    class Threshold(Stage, writes="scores"):
        "Zero what lies under a fraction of each class's range."
        at: Annotated[float, Field(ge=0, le=1, description="fraction of the range")] = 0.15

        def run(self, scores: S) -> S: ...

A stage that runs a network does so for many images at once. It defines `run_batch` in place of
`run`: every slot is a list with one value for each image, a model is one model, and `run` follows.

        def run_batch(self, image: Batch[Image], backbone: EncodesPatches) -> Batch[Hidden]: ...

A wrapper holds an inner chain, and its `run` is a generator: it yields a list of overrides, one
per run of the inner chain that it wants, receives what those runs wrote, and returns the merge:

        def run(self, image: Image) -> Wraps[S]:
            outs = yield [{"image": crop} for crop in crops]
            return mean(out["scores"] for out in outs)

Five rules let wrappers nest in any order: a wrapper overrides only slots that it reads; it writes a
slot, of the same kind, that its inner chain writes; what it reads under another name
(`reads = { image = "resized" }`) or writes under another has the wrapper's own name inside; what it
does not override passes through; what is written inside stays inside.
What it receives is the slot that it writes, and those that its class line names beside it:
`class FilterTexts(Wrapper, writes="scores", sees={"present": Present})`.
`neutral` holds parameters under which a wrapper equals its inner chain. A `Rerun` has no inner
own chain: it runs the stages before it again.
A wrapper that looks at parts of the image yields a `Window` in place of overrides: of every slot
that its inner chain reads, and that lies over the image, the chain sees what the window shows. Its
class says so, `places = "cut"`; one that moves what an image shows says `"moved"`, and its inner
chain may read nothing else that lies over the image.

What a stage asks of a slot beyond its kind stands beside the kind:
`Annotated[CrossAttention, TakesLayers("layer")]`.
A field that may differ by class has a table of classes beside it:
`at_class: Annotated[dict[str, float], PerClass("at")]`.

What a stage writes follows from its fields, its `version`, and what it reads. So a store can give
back what a stage wrote before, and does for stages that batch.
"""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from pathlib import Path
from types import NoneType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, Field, GetCoreSchemaHandler, SerializeAsAny
from pydantic_core import CoreSchema, core_schema

from ovsskit.engine.values import S as S
from ovsskit.engine.values import V, Value, Vocabulary, Window

T = TypeVar("T")
Batch: TypeAlias = Sequence[T]
"""What a stage that batches reads from a slot, or writes to it: one value for each image."""
Slots: TypeAlias = Mapping[str, Any]
Wraps: TypeAlias = Generator[Sequence[Mapping[str, Value] | Window], Sequence[Slots], V]

CALLED_NO_MORE = {
    "objections": "what it asks of a slot is said by a `Demand` on that slot now",
    "run_many": "the method is `run_batch` now, with one list for each slot",
}
"""Methods that stages once had, and what is in their place."""


@dataclass(frozen=True)
class RecipePath:
    """Mark a field as a file; in a recipe it is relative to the recipe's file, and must be there.

    A shipped recipe may leave open one that is `needed`: the file is the person's, and nothing
    runs without it. It may be a `folder` of files.
    """

    needed: bool = False
    folder: bool = False


@dataclass(frozen=True)
class PerClass:
    """Mark a field as a table by class name; other classes have the value of a field above it.

    Entries that say the same as that field are left out, so that equal stages are equal.
    """

    otherwise: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of the table, after which entries are left out."""
        return core_schema.with_info_after_validator_function(self._settle, handler(source))

    def _settle(self, values: dict[str, Any], info: Any) -> dict[str, Any]:
        same = info.data.get(self.otherwise)
        return {name: value for name, value in sorted(values.items()) if value != same}


PathOfRecipe = Annotated[str, RecipePath()]
NeededPath = Annotated[str, RecipePath(needed=True)]
NeededFolder = Annotated[str, RecipePath(needed=True, folder=True)]


class Capability(ABC):  # noqa: B024 - each capability has methods of its own
    """Mark what a backbone can do; a stage asks for a model by one of these.

    Its abstract methods are the promise, `check` holds the laws that every model keeps, and `toy`
    returns a small model, so that stages and backbones are tested without anybody's weights.
    """

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that a model keeps the laws of this capability.

        Raises:
            AssertionError: it does not.
            NotImplementedError: the capability says nothing of its laws.
        """
        raise NotImplementedError(
            f"{cls.__name__} has no laws to test. Give it some: "
            "`@classmethod def check(cls, model: Any) -> None`, with assertions."
        )

    @classmethod
    def toy(cls) -> Any:
        """Return a small model without weights that has this capability.

        Raises:
            NotImplementedError: there is none.
        """
        raise NotImplementedError(
            f"{cls.__name__} has no toy to test stages with. Give it one: "
            "`@classmethod def toy(cls) -> Any`, which returns a small model without weights."
        )


@dataclass(frozen=True)
class TakesLayers:
    """Mark a slot of which a stage takes the layers that one of its fields names."""

    field: str


@dataclass(frozen=True)
class Demand:
    """Mark a slot whose layers a model must be able to serve.

    `unmet` says why a model does not serve a layer, and which it does; None if it does.
    """

    unmet: Callable[[Any, int], tuple[str, str] | None]


def _slot_field(own: str) -> Any:
    """Return the field of the slot that a stage writes, its class's own unless it says another."""
    return Field(own, min_length=1, description="another slot to write than the stage's own")


def own_slot(cls: type | None) -> str:
    """Return the slot that a stage class writes unless a recipe names another; "" if none."""
    field = getattr(cls, "model_fields", {}).get("writes")
    return "" if field is None else str(field.default)


@dataclass(frozen=True)
class Wiring:
    """Say what a stage class reads (slot to kind), which models it needs, and the kind it writes.

    Slots in `optional` need not be there; `marks` are what it asks of slots beyond their kind.
    """

    reads: dict[str, Any]
    models: dict[str, type[Capability]]
    writes: str
    kind: Any
    optional: frozenset[str] = frozenset()
    marks: tuple[tuple[str, Any], ...] = ()


class Stage(BaseModel, frozen=True, extra="forbid", strict=True):
    """Do one pure step: fields are parameters, the signature of `run` or `run_batch` the wiring."""

    version: ClassVar[int] = 1
    batches: ClassVar[bool] = False
    waits: ClassVar[str] = ""
    """Why it waits for the device, if it does: for which numbers, or shapes that follow from them.

    On a GPU the program is ahead of the device. A stage that asks for a number lets both wait.
    """
    whole: ClassVar[bool] = False
    """Whether it must see the image as it was read, and so not stand inside windows or views."""

    name: Annotated[
        str, Field(description="address in the recipe, if the stage is used more than once")
    ] = ""
    reads: Annotated[
        dict[str, str],
        Field(description="other slots or models to read than those of the same name"),
    ] = {}
    writes: str = _slot_field("")

    def __init_subclass__(cls, writes: str = "", **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name, instead in CALLED_NO_MORE.items():
            if callable(vars(cls).get(name)):
                raise TypeError(
                    f"The stage {cls.__name__} defines `{name}`, which nothing calls: {instead}."
                )
        if writes:
            cls.writes = _slot_field(writes)
        cls.batches = cls.run_batch is not Stage.run_batch
        defines_one = cls.batches == (cls.run is Stage.run)
        if not defines_one and (writes or any(map(own_slot, cls.__mro__[1:]))):
            found = "both `run` and `run_batch`" if cls.batches else "neither `run` nor `run_batch`"
            raise TypeError(f"The stage {cls.__name__} defines {found}; it needs one of them.")

    @property
    def address(self) -> str:
        """Return the name by which overrides, studies and errors know this stage."""
        return self.name or use_of(type(self))

    def run(self, *values: Any, **slots: Any) -> Any:
        """Compute what this stage writes from what it reads, for one image."""
        plan = wiring(type(self))
        given = dict.fromkeys(plan.optional)
        given |= dict(zip(signature(self.run_batch).parameters, values, strict=False)) | slots
        [value] = self.run_batch(
            **{name: one if name in plan.models else [one] for name, one in given.items()}
        )
        return value

    def run_batch(self, *values: Any, **slots: Any) -> Batch[Any]:
        """Compute what this stage writes for several images at once, the same as for each alone."""
        raise NotImplementedError(f"{type(self).__name__} runs on one image at a time")

    def settle(self, following: Sequence[Stage]) -> Stage:
        """Return this stage with parameters that are left to the stages after it filled in."""
        return self

    def check_inputs(self, vocabulary: Vocabulary, images: Sequence[Path]) -> None:
        """Refuse classes and images that this stage cannot serve; called before a run.

        Raises:
            OvsskitError: it cannot.
        """

    def taken(self, slot: str) -> Iterator[tuple[str, int]]:
        """Yield the layers that this stage takes of a slot, each after the field that says so."""
        for name, mark in wiring(type(self)).marks:
            if isinstance(mark, TakesLayers) and self.reads.get(name, name) == slot:
                value = getattr(self, mark.field)
                layers = value if isinstance(value, tuple) else (value,)
                yield from ((mark.field, layer) for layer in layers)


class Wrapper(Stage):
    """Run an inner chain any number of times on changed inputs and merge what it writes.

    `sees` are slots, and their kinds, that it receives of the inner chain beside its own. `places`
    says what becomes of places in the image: they are kept, cut into windows, or moved.
    """

    neutral: ClassVar[dict[str, Any]] = {}
    sees: ClassVar[Mapping[str, type[Value]]] = {}
    places: ClassVar[Literal["kept", "cut", "moved"]] = "kept"

    inner: Annotated[
        tuple[SerializeAsAny[Stage], ...], Field(description="the stages to run inside")
    ] = ()

    def __init_subclass__(
        cls, writes: str = "", sees: Mapping[str, type[Value]] | None = None, **keywords: Any
    ) -> None:
        super().__init_subclass__(writes, **keywords)
        cls.sees = cls.sees if sees is None else sees


class Rerun(Wrapper):
    """Run the stages before it again, except those that write its own slot.

    It receives what these write of the slots that it reads.
    """


def walk(stages: Iterable[Stage]) -> Iterator[Stage]:
    """Yield every stage of a chain and of the chains inside it, outer before inner."""
    for stage in stages:
        yield stage
        if isinstance(stage, Wrapper):
            yield from walk(stage.inner)


def layers_taken(stages: Iterable[Stage], slot: str) -> tuple[int, ...]:
    """Return the layers that stages, and those inside them, take of a slot, in ascending order."""
    return tuple(sorted({layer for stage in walk(stages) for _, layer in stage.taken(slot)}))


def paths_of(cls: type[BaseModel]) -> dict[str, RecipePath]:
    """Return the marks of the fields that name a file, by field."""
    return _marks_of(cls, RecipePath)


def per_class(cls: type[BaseModel]) -> dict[str, PerClass]:
    """Return the marks of the fields that hold a value for each class, by field."""
    return _marks_of(cls, PerClass)


def _marks_of(cls: type[BaseModel], kind: type[T]) -> dict[str, T]:
    marked = [(name, one) for name, info in cls.model_fields.items() for one in info.metadata]
    return {name: mark for name, mark in marked if isinstance(mark, kind)}


def use_of(cls: type) -> str:
    """Return the name of a stage or backbone class in recipes: lower case, with underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


@cache
def wiring(cls: type[Stage]) -> Wiring:
    """Read the wiring of a stage class off the signature of its `run` or `run_batch`.

    Raises:
        TypeError: a slot of `run_batch` is not annotated as a `Batch`.
    """
    run = cls.run_batch if cls.batches else cls.run
    hints, marked = get_type_hints(run), get_type_hints(run, include_extras=True)
    models = {name: hint for name, hint in hints.items() if _is_capability(hint)}
    slots = {name: hint for name, hint in hints.items() if name not in models}
    if cls.batches:
        slots = {name: _of_each(cls, name, hint) for name, hint in slots.items()}
    kind = slots.pop("return")
    optional = frozenset(name for name, hint in slots.items() if NoneType in get_args(hint))
    return Wiring(
        {name: get_args(hint)[0] if name in optional else hint for name, hint in slots.items()},
        models,
        own_slot(cls),
        get_args(kind)[2] if issubclass(cls, Wrapper) else kind,
        optional,
        tuple(
            (name, mark)
            for name, hint in marked.items()
            for mark in getattr(hint, "__metadata__", ())
        ),
    )


def _is_capability(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Capability)


def _of_each(cls: type[Stage], name: str, hint: Any) -> Any:
    """Return the kind of one value of a batch."""
    if get_origin(hint) is not Sequence:
        kind = getattr(hint, "__name__", hint)
        raise TypeError(
            f"{cls.__name__}.run_batch annotates `{name}` as {kind}; "
            f"it holds one value for each image: Batch[{kind}]."
        )
    return get_args(hint)[0]
