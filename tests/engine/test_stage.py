from __future__ import annotations

from typing import Any

import pytest

from ovsskit.engine.stage import Batch, Stage, wiring
from ovsskit.engine.values import Image, Present, Vocabulary
from ovsskit.testing import example


class CountShown(Stage, writes="present"):
    """Take as many classes as an image shows, else those of the vocabulary."""

    def run_batch(
        self, vocabulary: Batch[Vocabulary], present: Batch[Present | None]
    ) -> Batch[Present]:
        pairs = zip(vocabulary, present, strict=True)
        return [one or Present(tuple(range(len(words.names)))) for words, one in pairs]


def test_the_signature_of_a_batch_method_is_the_wiring() -> None:
    plan = wiring(CountShown)
    assert plan.reads == {"vocabulary": Vocabulary, "present": Present}
    assert plan.optional == {"present"}
    assert plan.kind is Present


def test_one_by_one_follows_from_a_batch() -> None:
    words = example(Vocabulary)
    assert CountShown().run(words, Present((2,))).labels == (2,)
    assert CountShown().run(words, present=Present((2,))).labels == (2,)
    assert len(CountShown().run(vocabulary=words).labels) == len(words.names)


def test_a_stage_with_neither_method_is_refused() -> None:
    with pytest.raises(TypeError, match="Idle defines neither `run` nor `run_batch`; it needs one"):

        class Idle(Stage, writes="scores"):
            pass


def test_a_stage_with_both_methods_is_refused() -> None:
    with pytest.raises(TypeError, match="Torn defines both `run` and `run_batch`; it needs one"):

        class Torn(CountShown):
            def run(self, vocabulary: Vocabulary) -> Present:
                return Present(())


def test_methods_that_nothing_calls_any_more_are_refused() -> None:
    with pytest.raises(TypeError, match="Old defines `run_many`, .* the method is `run_batch` now"):

        class Old(Stage, writes="present"):
            def run(self) -> Present:
                return Present(())

            def run_many(self, many: Any) -> list[Any]:
                return [Present((1,)) for _ in many]

    with pytest.raises(TypeError, match="Picky defines `objections`, .* by a `Demand` on"):

        class Picky(CountShown):
            def objections(self, ahead: Any) -> list[Any]:
                return []


def test_a_parameter_may_have_the_name_of_a_method_that_is_gone() -> None:
    class Repeated(Stage, writes="present"):
        run_many: int = 2

        def run(self) -> Present:
            return Present((self.run_many,))

    assert Repeated().run().labels == (2,)


def test_a_batch_method_that_reads_one_value_is_refused() -> None:
    class Single(Stage, writes="present"):
        def run_batch(self, image: Image) -> Batch[Present]:
            return [Present(())]

    with pytest.raises(TypeError, match=r"Single.run_batch annotates `image` as Image; .*Batch\["):
        wiring(Single)
