"""The contract of stages, wrappers and backbones, as checks that raise `AssertionError`.

What there is to test of a value or a capability, it says itself: `Value.example`, `Value.check`,
`Capability.toy` and `Capability.check`. Of what says nothing the checks raise
`NotImplementedError`, with what to add.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import tomlkit

from ovsskit._lazy import torch
from ovsskit.engine.driver import Driver, State, run_together
from ovsskit.engine.model import Backbone, PretrainedBackbone
from ovsskit.engine.stage import (
    Capability,
    Rerun,
    Stage,
    Wiring,
    Wrapper,
    own_slot,
    per_class,
    use_of,
    walk,
    wiring,
)
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Value, Vocabulary, Window
from ovsskit.testing.examples import example, kinds_of
from ovsskit.testing.toys import (
    ToyGathered,
    ToyLabels,
    ToyNodes,
    ToyPatchFeatures,
    ToyPresent,
    ToyScores,
    ToyTokenMaps,
)

TOYS = (
    ToyTokenMaps,
    ToyPatchFeatures,
    ToyGathered,
    ToyScores,
    ToyLabels,
    ToyPresent,
    ToyNodes,
)


def check_stage(stage: Stage, slots: Mapping[str, Value] | None = None) -> None:
    """Test that a stage keeps the contract; `slots` replaces the example inputs.

    It survives being written to TOML and read back; describes itself and its fields; leaves its
    inputs as they are; gives the same result twice, and for many images the same as one by one;
    writes the kind and axes it declares; what it writes survives being stored on disk. It does so
    without the slots that it can do without, too.
    """
    cls = type(stage)
    assert not isinstance(stage, Wrapper), f"{cls.__name__} is a wrapper: test it by check_wrapper"
    check_description(cls)
    check_round_trip(stage)
    plan = wiring(cls)
    assert plan.writes, f"{cls.__name__} writes no slot: `class {cls.__name__}(Stage, writes=...)`"
    models = _toys(plan)
    for absent, kinds in product({frozenset[str](), plan.optional}, _choices(plan)):
        reads = {name: kinds.get(hint, hint) for name, hint in plan.reads.items()}
        many = [
            {
                **{name: example(kind, seed) for name, kind in reads.items()},
                **dict.fromkeys(absent),
                **(slots or {}),
            }
            for seed in (0, 7)
        ]
        before = _prints_of(many)
        with torch.no_grad():
            alone = [stage.run(**one, **models) for one in many]
            together = run_together(stage, [{**one, **models} for one in many])
        assert before == _prints_of(many), "it changed its inputs"
        assert list(map(fingerprint, alone)) == list(map(fingerprint, together)), (
            "many images differ from one by one"
        )
        for value in alone:
            check_value(value, kinds.get(plan.kind, plan.kind))
            check_stored(value)


def check_wrapper(wrapper: Wrapper, inner: Stage | None = None) -> None:
    """Test that a wrapper keeps the contract: neutral, nested, with other names of slots and mates.

    The neutral law is tested on maps of the image's size, or on what `inner` writes: a stage that
    stands inside, needed where the wrapper merges a slot that no toy of the package writes.
    """
    cls = type(wrapper)
    check_description(cls)
    check_round_trip(wrapper)
    plan, reruns = wiring(cls), isinstance(wrapper, Rerun)
    wanted = tuple(plan.reads) if reruns else (wrapper.writes,)
    toy = inner or next((one() for one in TOYS if own_slot(one) in wanted), None)
    assert toy is not None, (
        f"No toy writes `{'` or `'.join(wanted)}`. Say what stands inside: "
        f"check_wrapper({cls.__name__}(), inner=...), a stage that writes it."
    )
    beside = tuple(one() for one in TOYS if own_slot(one) in cls.sees)
    real = wrapper.model_copy(update={"inner": (toy, *beside)})
    if not reruns:
        _check_neutral(wrapper, toy, beside)
        _check_renamed(real.model_copy(update=wrapper.neutral))
    _check_renamed(real)
    together = _wrapped(real, batch=2)
    assert together == _wrapped(real, batch=1), "its result depends on the batch"
    inputs = {name: example(kind) for name, kind in plan.reads.items()}
    requests = next(wrapper.run(**inputs, **_toys(plan)))
    looks = [request for request in requests if isinstance(request, Window)]
    assert not looks or cls.places == "cut", 'it yields windows: say so, places = "cut"'
    overrides = [set(request) for request in requests if not isinstance(request, Window)]
    assert all(slots <= set(plan.reads) for slots in overrides), (
        "it overrides a slot that it does not read"
    )


def _check_neutral(wrapper: Wrapper, toy: Stage, beside: tuple[Stage, ...]) -> None:
    inner = (toy, *beside)
    neutral = wrapper.model_copy(update={**wrapper.neutral, "inner": inner, "name": "first"})
    second = neutral.model_copy(update={"name": "second"})
    nested = neutral.model_copy(update={"inner": (second, *beside)})
    plain = _prints(_drive([toy], [_state(neutral, seed) for seed in (0, 7, 9)]), wrapper.writes)
    assert _wrapped(neutral) == plain, "its neutral setting changes something"
    assert _wrapped(nested) == plain, "nested in itself it changes something"


def _check_renamed(wrapper: Wrapper) -> None:
    """Test that nothing changes when slots have other names and its own hold other values."""
    reads = wiring(type(wrapper)).reads
    renamed = wrapper.model_copy(update={"reads": {name: f"other_{name}" for name in reads}})
    assert _wrapped(renamed) == _wrapped(wrapper), "under `reads` its inner chain sees other slots"


def _wrapped(wrapper: Wrapper, batch: int = 8) -> list[tuple[Any, ...]]:
    states = [_state(wrapper, seed) for seed in (0, 7, 9)]
    return _prints(_drive([wrapper], states, batch), wrapper.writes)


def _state(wrapper: Wrapper, seed: int) -> State:
    """Return examples of what a wrapper and its inner chain read.

    Where the wrapper reads a slot of another name, its own holds something else.
    """
    state: State = {"vocabulary": example(Vocabulary), "image": example(Image, seed)}
    for stage in wrapper.inner:
        state |= {name: example(kind, seed) for name, kind in wiring(type(stage)).reads.items()}
    for name, kind in wiring(type(wrapper)).reads.items():
        state[name] = example(kind, seed + 1)
        state[wrapper.reads.get(name, name)] = example(kind, seed)
    return state


def check_backbone(backbone: Backbone) -> None:
    """Test that a backbone keeps the laws of all its capabilities, and leaves nothing behind."""
    cls = type(backbone)
    check_description(cls)
    check_round_trip(backbone)
    promises = list(_promises(cls))
    assert promises, f"{cls.__name__} has no capability: inherit one, such as `ovsskit.MatchesText`"
    for capability in promises:
        if "check" in vars(capability):
            capability.check(backbone)
        else:  # an inherited one tests what the parent promises
            Capability.check.__func__(capability, backbone)  # type: ignore[attr-defined]
    if isinstance(backbone, PretrainedBackbone):
        modules, parameters = backbone.network.modules(), backbone.network.parameters()
        hooks = [hook for module in modules for hook in module._forward_hooks.values()]
        # transformers collects outputs by hooks of its own, which stay
        others = [hook for hook in hooks if not hook.__module__.startswith("transformers.")]
        assert not others, "a hook is left"
        assert all(one.grad is None for one in parameters), "a gradient is left"


def _promises(cls: type) -> Iterator[type[Capability]]:
    """Yield the capabilities of a backbone that have laws, or should have: they promise methods."""
    for base in cls.__mro__:
        if not issubclass(base, Capability) or issubclass(base, Backbone) or base is Capability:
            continue
        items = vars(base)
        promises = any(getattr(one, "__isabstractmethod__", False) for one in items.values())
        if promises or "check" in items or Capability in base.__bases__:
            yield base


def check_description(cls: type[Stage] | type[Backbone]) -> None:
    """Test that a class says in its docstring what it does, and of every field what it means."""
    assert vars(cls).get("__doc__"), f"{cls.__name__} has no docstring"
    missing = [name for name, info in cls.model_fields.items() if not info.description]
    assert not missing, f"fields without a description: {', '.join(missing)}"
    fields = list(cls.model_fields)
    for name, mark in per_class(cls).items():
        assert mark.otherwise in fields[: fields.index(name)], (
            f"{cls.__name__}.{name} is per class, and no field `{mark.otherwise}` stands above it"
        )


def check_round_trip(one: Stage | Backbone) -> None:
    """Test that what a recipe says of a stage or backbone survives being written and read back."""
    plain = one.model_dump(mode="json", exclude={"inner"})
    back = tomlkit.parse(tomlkit.dumps(plain)).unwrap()
    tuples = {
        key: tuple(value) if isinstance(value, list) else value for key, value in back.items()
    }
    again = type(one).model_validate(tuples)
    assert again.model_dump(exclude={"inner"}) == one.model_dump(exclude={"inner"})
    assert use_of(type(one)).isidentifier()


def check_value(value: Any, kind: type[Value]) -> None:
    """Test that a value is of a kind, and keeps its own laws: axes, labels of maps."""
    kind.check(value)
    type(value).check(value)


def check_stored(value: Value) -> None:
    """Test that a value comes back from a store on disk as it was, bit by bit."""
    with TemporaryDirectory() as folder:
        Store(Path(folder)).keep("key", value)
        back = Store(Path(folder)).find("key")
    assert back is not None, "it cannot be stored"
    assert fingerprint(back) == fingerprint(value), (
        "it comes back from a store otherwise than it was"
    )


def fingerprint(value: Any) -> tuple[Any, ...]:
    """Return something that is equal for equal values, tensors compared bit by bit."""
    parts: list[Any] = [type(value).__name__]
    for f in fields(value):
        item = getattr(value, f.name)
        parts.append(
            (item.dtype, tuple(item.shape), item.numpy().tobytes())
            if isinstance(item, torch.Tensor)
            else item
        )
    return tuple(parts)


def _choices(plan: Wiring) -> Iterator[dict[Any, Any]]:
    """Yield what the type variables of a stage may stand for together."""
    hints = dict.fromkeys(hint for hint in plan.reads.values() if isinstance(hint, TypeVar))
    for kinds in product(*map(kinds_of, hints)):
        yield dict(zip(hints, kinds, strict=True))


def _toys(plan: Wiring) -> dict[str, Capability]:
    """Return a model for every capability that a stage reads."""
    return {name: capability.toy() for name, capability in plan.models.items()}


def _drive(stages: Sequence[Stage], states: Sequence[State], batch: int = 8) -> list[State]:
    found = {stage.address: _toys(wiring(type(stage))) for stage in walk(stages)}
    links = {
        address: {name: f"{address}.{name}" for name in toys} for address, toys in found.items()
    }
    models = {
        links[address][name]: toy for address, toys in found.items() for name, toy in toys.items()
    }
    with torch.no_grad():
        return Driver(models, links, batch).run(stages, states)


def _prints(states: Sequence[State], slot: str) -> list[tuple[Any, ...]]:
    return [fingerprint(state[slot]) for state in states]


def _prints_of(many: Sequence[State]) -> list[dict[str, Any]]:
    return [
        {name: fingerprint(value) for name, value in one.items() if value is not None}
        for one in many
    ]
