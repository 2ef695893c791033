"""The kit tests what others bring, catches what breaks the contract, and says what it lacks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from ovsskit import (
    Backbone,
    Capability,
    EncodesText,
    Image,
    MatchesText,
    Present,
    Saliency,
    Stage,
    Value,
    Wrapper,
    Wraps,
)
from ovsskit.engine.identity import model_identity
from ovsskit.testing import ToyBackbone, check_backbone, check_stage, check_wrapper


@dataclass(frozen=True, eq=False)
class Mean(Value):
    """Hold the mean colour of an image."""

    data: torch.Tensor

    @classmethod
    def example(cls, seed: int = 0) -> Mean:
        return cls(Image.example(seed).data.mean((1, 2)))

    @classmethod
    def check(cls, value: Any) -> None:
        super().check(value)
        assert value.data.max() <= 1, "a colour is brighter than white"


@dataclass(frozen=True, eq=False)
class Bare(Value):
    """Hold a number, and give no example."""

    data: torch.Tensor


@dataclass(frozen=True, eq=False)
class Scaled(Saliency):
    """Hold maps and their scale: the inherited example knows no scale."""

    scale: float


class Means(Capability):
    """Give mean colours."""

    @abstractmethod
    def mean(self, image: Image) -> Mean: ...

    @classmethod
    def check(cls, model: Any) -> None:
        Mean.check(model.mean(Image.example()))

    @classmethod
    def toy(cls) -> Any:
        return Dimmed()


class Sums(Means):
    """Give sums, too, without a law for them."""

    @abstractmethod
    def total(self, image: Image) -> Mean: ...


class Named(Capability):
    """Promise nothing."""


class Dimmed(Backbone, Means):
    """Take means of a dimmed image."""

    gain: float = 0.5

    def mean(self, image: Image) -> Mean:
        return Mean(image.data.mean((1, 2)) * self.gain)


class TakeMean(Stage, writes="mean"):
    """Take the mean."""

    def run(self, image: Image, backbone: Means) -> Mean:
        return backbone.mean(image)


class Twice(Wrapper, writes="mean"):
    """Take the mean twice."""

    def run(self, image: Image) -> Wraps[Mean]:
        [first] = yield [{}]
        [second] = yield [{"image": image}]
        found: Mean = first["mean"]
        assert torch.equal(found.data, second["mean"].data)
        return found


def described(cls: type[Any]) -> Any:
    """Return a backbone or stage class with what the contract asks of its description."""
    cls.__doc__ = "Stand for something."
    return cls


def test_all_that_is_brought_is_tested() -> None:
    check_stage(TakeMean())
    check_wrapper(Twice(), inner=TakeMean())


def test_a_stage_that_changes_its_kind_is_caught() -> None:
    @described
    class Bright(Stage, writes="mean"):
        def run(self, mean: Mean) -> Mean:
            return Mean(mean.data + 1)

    with pytest.raises(AssertionError, match="brighter than white"):
        check_stage(Bright())


def test_a_backbone_is_held_to_the_laws_of_others() -> None:
    @described
    class Glaring(Dimmed):
        def mean(self, image: Image) -> Mean:
            return Mean(image.data.sum((1, 2)))

    Glaring.model_fields["gain"].description = "factor"
    with pytest.raises(AssertionError, match="brighter than white"):
        check_backbone(Glaring())


def test_fields_of_backbones_are_described() -> None:
    with pytest.raises(AssertionError, match="without a description: gain"):
        check_backbone(Dimmed())


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        (Bare, NotImplementedError, "Bare has no example to test with. Give it one: `@classmethod"),
        (Scaled, AssertionError, r"Scaled.example fails \(.*scale.* one of its own"),
        (int, AssertionError, "is not a kind of value: annotate what `run` reads"),
    ],
)
def test_a_kind_that_cannot_be_tested(kind: Any, error: type[Exception], text: str) -> None:
    class Reads(Stage, writes="mean"):
        """Read something."""

        def run(self, slot: Any) -> Mean:
            raise AssertionError("never called")

    Reads.run.__annotations__["slot"] = kind
    with pytest.raises(error, match=text):
        check_stage(Reads())


def test_a_capability_without_a_toy() -> None:
    class Reads(Stage, writes="mean"):
        """Read a model."""

        def run(self, backbone: Named) -> Mean:
            raise AssertionError("never called")

    with pytest.raises(NotImplementedError, match="Named has no toy to test stages with. Give it"):
        check_stage(Reads())


def test_a_capability_without_laws() -> None:
    @described
    class Says(Backbone, Named): ...

    with pytest.raises(NotImplementedError, match="Named has no laws to test. Give it some"):
        check_backbone(Says())


def test_what_a_capability_adds_to_another_needs_laws_of_its_own() -> None:
    @described
    class Adds(Backbone, Sums):
        def mean(self, image: Image) -> Mean:
            return Mean(image.data.mean((1, 2)))

        def total(self, image: Image) -> Mean:
            return self.mean(image)

    with pytest.raises(NotImplementedError, match="Sums has no laws to test"):
        check_backbone(Adds())


def test_a_backbone_without_a_capability() -> None:
    @described
    class Nothing(Backbone): ...

    with pytest.raises(AssertionError, match="Nothing has no capability: inherit one"):
        check_backbone(Nothing())


def test_a_wrapper_is_not_tested_as_a_stage() -> None:
    with pytest.raises(AssertionError, match="Twice is a wrapper: test it by check_wrapper"):
        check_stage(Twice())


def test_a_wrapper_over_a_slot_that_no_toy_writes() -> None:
    with pytest.raises(AssertionError, match="No toy writes `mean`. Say what stands inside"):
        check_wrapper(Twice())


def test_a_stage_is_run_without_what_it_can_do_without() -> None:
    @described
    class Forgets(Stage, writes="scores"):
        def run(self, image: Image, present: Present | None = None) -> Saliency:
            assert present is not None, "nobody is there"
            return Saliency(image.data.clone(), present.labels)

    with pytest.raises(AssertionError, match="nobody is there"):
        check_stage(Forgets())


def test_a_model_without_weights_is_its_code_and_its_fields() -> None:
    found = model_identity(Dimmed())
    assert set(found) == {"use", "gain", "code"}
    assert found != model_identity(Dimmed(gain=0.25))
    assert model_identity(ToyBackbone()) == {"use": "toy_backbone"}


def test_vectors_that_depend_on_their_batch_are_caught() -> None:
    class Mixed(ToyBackbone):
        """Add up what shares a batch."""

        def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
            found = super().encode_text(texts)
            return found + found.sum(0)

    EncodesText.check(ToyBackbone())
    with pytest.raises(AssertionError, match="not close"):
        check_backbone(Mixed())


def test_answers_for_too_few_images_are_caught() -> None:
    class Short(ToyBackbone):
        """Answer for the first image alone."""

        def match(self, images: Sequence[Image], captions: Sequence[Sequence[Any]]) -> list[Any]:
            return super().match(images[:1], captions[:1])

    with pytest.raises(AssertionError, match="does not answer for every image"):
        MatchesText.check(Short())
