"""The contract of stages, wrappers and backbones, as checks that raise `AssertionError`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import tomlkit

from ovsskit._lazy import torch
from ovsskit.engine.driver import Driver, State, run_together
from ovsskit.engine.model import (
    Backbone,
    CrossAttends,
    DecodesPatches,
    EncodesImage,
    EncodesPatches,
    EncodesText,
    MatchesText,
    capabilities,
)
from ovsskit.engine.stage import Stage, Wrapper, use_of, wiring
from ovsskit.engine.store import Store
from ovsskit.engine.values import (
    Attention,
    Captions,
    CrossAttention,
    Hidden,
    Image,
    Logits,
    PatchFeatures,
    Probabilities,
    Saliency,
    Scores,
    Value,
    Vocabulary,
)
from ovsskit.testing.examples import example
from ovsskit.testing.toys import ToyBackbone, ToyLabels, ToyScores, ToyTokenMaps


def check_stage(stage: Stage, slots: Mapping[str, Value] | None = None) -> None:
    """Test that a stage keeps the contract; `slots` replaces the example inputs.

    It survives being written to TOML and read back; describes itself and its fields; leaves its
    inputs as they are; gives the same result twice, and for many images the same as one by one;
    writes the kind and axes it declares; what it writes survives being stored on disk.
    """
    check_description(type(stage))
    check_round_trip(stage)
    models = dict.fromkeys(wiring(type(stage)).models, ToyBackbone())
    for kind in _kinds(stage):
        many = [_inputs(stage, kind, seed, slots or {}) for seed in (0, 7)]
        before = [{name: fingerprint(value) for name, value in one.items()} for one in many]
        with torch.no_grad():
            alone = [stage.run(**one, **models) for one in many]
            together = run_together(stage, [{**one, **models} for one in many])
        assert before == [
            {name: fingerprint(value) for name, value in one.items()} for one in many
        ], "it changed its inputs"
        assert list(map(fingerprint, alone)) == list(map(fingerprint, together)), (
            "many images differ from one by one"
        )
        declared = wiring(type(stage)).kind
        for value in alone:
            check_value(value, kind if isinstance(declared, TypeVar) else declared)
            check_stored(value)


def check_wrapper(wrapper: Wrapper) -> None:
    """Test that a wrapper keeps the contract.

    That is the neutral law, nesting, other names of slots, independence of batch mates. The neutral
    law is tested on maps of the image's size.
    """
    check_description(type(wrapper))
    check_round_trip(wrapper)
    toys: dict[str, type[Stage]] = {
        "token_maps": ToyTokenMaps,
        "scores": ToyScores,
        "labels": ToyLabels,
    }
    toy = toys[wrapper.merges or wrapper.writes]()
    real = wrapper.model_copy(update={"inner": (toy,)})
    if not wrapper.repeats:
        _check_neutral(wrapper, toy)
        _check_renamed(real.model_copy(update=wrapper.neutral))
    _check_renamed(real)
    together = _wrapped(real, batch=2)
    assert together == _wrapped(real, batch=1), "its result depends on the batch"
    reads = wiring(type(wrapper)).reads
    requests = next(wrapper.run(**{name: example(kind) for name, kind in reads.items()}))
    assert all(set(request) <= set(reads) for request in requests), (
        "it overrides a slot that it does not read"
    )


def _check_neutral(wrapper: Wrapper, toy: Stage) -> None:
    plain = _prints(_drive([toy]), wrapper.writes)
    neutral = wrapper.model_copy(update={**wrapper.neutral, "inner": (toy,), "name": "first"})
    nested = neutral.model_copy(
        update={"inner": (neutral.model_copy(update={"name": "second"}),), "name": "first"}
    )
    assert _wrapped(neutral) == plain, "its neutral setting changes something"
    assert _wrapped(nested) == plain, "nested in itself it changes something"


def _check_renamed(wrapper: Wrapper) -> None:
    """Test that nothing changes when slots have other names and its own hold other values."""
    reads = wiring(type(wrapper)).reads
    renamed = wrapper.model_copy(update={"reads": {name: f"other_{name}" for name in reads}})
    assert _wrapped(renamed) == _wrapped(wrapper), "under `reads` its inner chain sees other slots"


def _wrapped(wrapper: Wrapper, batch: int = 8) -> list[tuple[Any, ...]]:
    """Run a wrapper on examples; where it reads another slot, its own holds something else."""
    states = []
    for seed in (0, 7, 9):
        state: State = {"vocabulary": example(Vocabulary)}
        for name, kind in wiring(type(wrapper)).reads.items():
            state[name] = example(kind, seed + 1)
            state[wrapper.reads.get(name, name)] = example(kind, seed)
        states.append(state)
    return _prints(_drive([wrapper], batch, states), wrapper.writes)


def check_backbone(backbone: Backbone) -> None:
    """Test that a backbone does what it declares, and leaves no gradients or hooks behind."""
    check_description(type(backbone))
    assert capabilities(type(backbone)), "it has no capability"
    captions = example(Captions)
    images = [example(Image, seed) for seed in (0, 7)]
    if isinstance(backbone, CrossAttends):
        _check_cross_attention(backbone, images, captions)
    if isinstance(backbone, MatchesText):
        for scores in backbone.match(images, [captions.captions] * 2):
            assert scores.shape == (1,)
            assert 0 <= float(scores[0]) <= 1
    if isinstance(backbone, EncodesText):
        _check_vectors(
            backbone.encode_text,
            [caption.text for caption in captions.captions] + ["ice cream", "dog"],
        )
    if isinstance(backbone, EncodesImage):
        _check_vectors(backbone.encode_image, images)
    if isinstance(backbone, EncodesPatches):
        _check_patches(backbone, images)
    if isinstance(backbone, DecodesPatches):
        _check_decoding(backbone, images)
    for module in backbone.network.modules():
        assert not module._forward_hooks, "a hook is left"
    assert all(parameter.grad is None for parameter in backbone.network.parameters()), (
        "a gradient is left"
    )


def _check_cross_attention(
    backbone: CrossAttends, images: Sequence[Image], captions: Captions
) -> None:
    both = backbone.cross_attention(
        images, [captions] * 2, layers=None, objective="match_logit", pad_to=0
    )
    rows, columns = backbone.grid
    for attention in both:
        check_value(attention, CrossAttention)
        assert attention.grid == (rows, columns)
        assert attention.layers == tuple(range(1, backbone.layer_count + 1))
        assert attention.probability.shape[-1] >= rows * columns
        assert {0, 1, 2} <= set(attention.positions.tolist()), "a class of the caption has no token"
        assert not attention.probability.requires_grad
        assert not attention.gradient.requires_grad
    [alone] = backbone.cross_attention(
        images[:1], [captions], layers=None, objective="match_logit", pad_to=0
    )
    torch.testing.assert_close(alone.probability, both[0].probability, atol=1e-5, rtol=1e-4)
    assert backbone.count_tokens(captions.captions[0].text) == len(alone.positions)


def _check_vectors(encode: Callable[[Sequence[Any]], Any], items: Sequence[Any]) -> None:
    together = encode(items)
    assert together.shape[0] == len(items)
    assert not together.requires_grad
    assert together.isfinite().all()
    for vector, item in zip(together, items, strict=True):
        torch.testing.assert_close(encode([item])[0], vector, atol=1e-5, rtol=1e-4)


def _check_patches(backbone: EncodesPatches, images: Sequence[Image]) -> None:
    wide = Image(images[0].data.repeat(1, 1, 2))
    layers = (backbone.block_count - 1, backbone.block_count)
    photos = [*images, wide]
    for image, hidden in zip(photos, backbone.hidden(photos, layers), strict=True):
        [alone] = backbone.hidden([image], layers)
        torch.testing.assert_close(alone.data, hidden.data, atol=1e-4, rtol=1e-4)
        check_value(hidden, Hidden)
        rows, columns = hidden.grid
        count = 1 + rows * columns
        assert hidden.layers == layers
        assert hidden.data.shape[1] == count
        for layer in layers:
            assert {part.shape[1] for part in backbone.project(hidden, layer)} == {count}
            assert backbone.norms(hidden, layer).shape == (count,)
            assert (
                backbone.join_heads(layer, backbone.project(hidden, layer)[1]).shape
                == hidden.entering(layer).shape
            )
        itself = torch.eye(count).expand(len(layers), 1, -1, -1).to(hidden.data)
        for residual, feed_forward in ((True, True), (False, False)):
            features = backbone.finish(
                hidden,
                Attention(itself, layers, hidden.grid),
                residual=residual,
                feed_forward=feed_forward,
            )
            check_value(features, PatchFeatures)
            assert features.data.shape[1:] == (rows, columns)
            assert not features.data.requires_grad


def _check_decoding(backbone: DecodesPatches, images: Sequence[Image]) -> None:
    names = [("dog", "grass", "ice cream"), ("grass", "dog")]
    both = backbone.decode_patches(images, names)
    features = backbone.trunk_features(images)
    for maps, mine, one in zip(both, names, features, strict=True):
        check_value(one, PatchFeatures)
        assert maps.shape == (len(mine), *one.data.shape[1:])
        assert not maps.requires_grad
    [alone] = backbone.decode_patches(images[1:], names[1:])
    torch.testing.assert_close(alone, both[1], atol=1e-5, rtol=1e-4)


def check_description(cls: type[Stage] | type[Backbone]) -> None:
    """Test that a class says in its docstring what it does, and of every field what it means."""
    assert cls.__doc__, f"{cls.__name__} has no docstring"
    missing = [name for name, info in cls.model_fields.items() if not info.description]
    assert not missing, f"fields without a description: {', '.join(missing)}"


def check_round_trip(stage: Stage) -> None:
    """Test that a stage survives being written to TOML and read back."""
    plain = stage.model_dump(mode="json", exclude={"inner"})
    back = tomlkit.parse(tomlkit.dumps(plain)).unwrap()
    tuples = {
        key: tuple(value) if isinstance(value, list) else value for key, value in back.items()
    }
    assert type(stage).model_validate(tuples) == stage.model_copy(
        update={"inner": ()} if isinstance(stage, Wrapper) else {}
    )
    assert use_of(type(stage)).isidentifier()


def check_value(value: Any, kind: type) -> None:
    """Test that a value is of a kind, with its axes, finite, and one label for every map."""
    assert isinstance(value, kind), f"it wrote {type(value).__name__}, not {kind.__name__}"
    assert is_dataclass(value)
    make: Any = type(value)
    rebuilt = make(
        **{f.name: getattr(value, f.name) for f in fields(value)}
    )  # checked where jaxtyping is on
    assert fingerprint(rebuilt) == fingerprint(value)
    if isinstance(value, Scores):
        assert len(value.labels) == value.data.shape[0]
        assert value.data.isfinite().all()


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


def _kinds(stage: Stage) -> list[Any]:
    hints = wiring(type(stage)).reads.values()
    return (
        [Saliency, Logits, Probabilities]
        if any(isinstance(hint, TypeVar) for hint in hints)
        else [None]
    )


def _inputs(stage: Stage, kind: Any, seed: int, slots: Mapping[str, Value]) -> State:
    reads = wiring(type(stage)).reads
    values = {
        name: example(kind if isinstance(hint, TypeVar) else hint, seed)
        for name, hint in reads.items()
    }
    return {**values, **slots}


def _drive(
    stages: Sequence[Stage], batch: int = 8, states: Sequence[State] | None = None
) -> list[State]:
    states = states or [
        {"image": example(Image, seed), "vocabulary": example(Vocabulary)} for seed in (0, 7, 9)
    ]
    with torch.no_grad():
        return Driver({}, {}, batch).run(stages, states)


def _prints(states: Sequence[State], slot: str) -> list[tuple[Any, ...]]:
    return [fingerprint(state[slot]) for state in states]
