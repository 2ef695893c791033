"""Fill the slots that a study gives its rewards: a reference's labels, and the classes shown.

Both follow from the image alone, whatever is searched, so they are computed once and kept in the
store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from ovsskit._lazy import torch
from ovsskit.engine.driver import State
from ovsskit.engine.identity import identify
from ovsskit.engine.plan import Plan
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Labels, Present, Vocabulary
from ovsskit.engine.wiring import flatten
from ovsskit.errors import BadStudy
from ovsskit.files.digests import digest_texts
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import describe_words, replace_classes
from ovsskit.run.pipeline import Pipeline
from ovsskit.study.spec.goals import SHOWN
from ovsskit.study.spec.plan import StudyPlan

LEAST_SHARE = 0.01
"""The part of an image that a class fills at least, to count as shown."""


class GivenSlots:
    """Fill the slots of images for one study; `pipeline` makes plans ready to run."""

    def __init__(self, plan: StudyPlan, store: Store, pipeline: Callable[[Plan], Pipeline]) -> None:
        self.plan, self.store, self.pipeline = plan, store, pipeline

    def fill(self, images: Sequence[Image], plan: Plan) -> list[State]:
        """Return the states of images before the first stage of a candidate's plan.

        Only what the plan reads is computed.
        """
        states: list[State] = [
            {"image": image, "vocabulary": self.plan.vocabulary} for image in images
        ]
        read = {slot for link in flatten(plan.links) for slot, _, _ in link.reads.values()}
        for slot in sorted(read & self.plan.search.given.keys()):
            labels = self._labels(self._unchanged if slot == SHOWN else self._reference, images)
            for state, found in zip(states, labels, strict=True):
                state[slot] = shown(found, self.plan.vocabulary) if slot == SHOWN else found
        return states

    @cached_property
    def _unchanged(self) -> tuple[Pipeline, str]:
        recipe = self.plan.search.candidate({}, goals=())
        return self._ready(replace(recipe.plan, vocabulary=self.plan.vocabulary))

    @cached_property
    def _reference(self) -> tuple[Pipeline, str]:
        assert self.plan.search.reference is not None
        return self._ready(reference_plan(self.plan))

    def _ready(self, plan: Plan) -> tuple[Pipeline, str]:
        identity = digest_texts([json.dumps(identify(plan), sort_keys=True)])
        return self.pipeline(plan), identity

    def see_reference(self, images: Iterator[Image]) -> None:
        """Check that the reference finds something.

        Raises:
            BadStudy: it finds none of the classes in any image.
        """
        for image in images:
            [labels] = self._labels(self._reference, [image])
            if labels.ids.any():
                return
        name = self.plan.search.settings.reference
        what = f"The reference `{name}` finds none of the classes in any image."
        fix = "Name a recipe that knows these classes, or remove the reference."
        raise BadStudy(what, fix=fix)

    def _labels(self, ready: tuple[Pipeline, str], images: Sequence[Image]) -> list[Labels]:
        """Return what a recipe finds, from the store where it is known."""
        pipeline, identity = ready
        keys = [digest_texts([identity, self.store.digests.of(image)]) for image in images]
        found = {key: self.store.find(key, pipeline.device) for key in keys}
        missing = {
            key: image for key, image in zip(keys, images, strict=True) if found[key] is None
        }
        if missing:
            states = pipeline.run_many([*missing.values()], pipeline.plan.vocabulary)
            for key, state in zip(missing, states, strict=True):
                found[key] = state["labels"]
                self.store.keep(key, state["labels"])
        listed: list[Labels] = [found[key] for key in keys]  # type: ignore[misc]
        return listed


def reference_plan(plan: StudyPlan) -> Plan:
    """Return the plan of a study's reference, for the classes of the study.

    Its own words for the background stay.
    """
    assert plan.search.reference is not None
    found = load_recipe(plan.search.reference).plan
    words = describe_words(plan.vocabulary)
    return replace(
        found, vocabulary=replace_classes(words["names"], found.vocabulary, words["ids"])
    )


def shown(labels: Labels, vocabulary: Vocabulary) -> Present:
    """Return the classes that fill a hundredth of the image or more, in the vocabulary's order."""
    counts = torch.bincount(labels.ids.flatten(), minlength=max(vocabulary.ids) + 1).tolist()
    least = LEAST_SHARE * labels.ids.numel()
    ids = enumerate(vocabulary.ids[1:], 1)
    return Present(tuple(label for label, number in ids if counts[number] >= least))
