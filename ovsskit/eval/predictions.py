"""What is found in the images of a data set: by a pipeline that runs now."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ovsskit._lazy import Float, Int, numpy, torch
from ovsskit.datasets.dataset import Facts, Item
from ovsskit.engine.driver import State
from ovsskit.engine.identity import identify, identify_rendering
from ovsskit.engine.rendering import Reading
from ovsskit.engine.values import Image, Probabilities, Vocabulary
from ovsskit.run.output.record import Costs
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.stream import Stream


class Spot(NamedTuple):
    """Say which image of a data set is meant: its place in the order of all, and itself."""

    number: int
    item: Item


Fail = Callable[[Spot, str], None]
"""Hear that an image could not be done, and why."""


@dataclass(frozen=True)
class Prediction:
    """Hold what was found in an image: the id of every pixel's class, and how sure that is.

    The confidence is the probability of the winning class; None where nothing tells it.
    """

    spot: Spot
    image: Image
    ids: Int[numpy.ndarray, "h w"]
    confidence: Float[torch.Tensor, "h w"] | None = None


class Predictions(ABC):
    """Find classes in the images of a data set."""

    vocabulary: Vocabulary
    title: str
    own: Facts | None = None
    """The data set whose classes the vocabulary's are, in its order, whatever words they use."""

    @abstractmethod
    def run(self, spots: Iterable[Spot], fail: Fail) -> Iterator[Prediction]:
        """Yield what is found in each image; what cannot be done is told, and the rest goes on."""

    def has(self, item: Item) -> bool:
        """Tell whether something is, or can be, found in an image."""
        return True

    @abstractmethod
    def prepare(self, costs: Costs) -> None:
        """Read what is needed before the first image, and add what that costs."""

    @property
    def device(self) -> str:
        """Return the device whose memory counts."""
        return "cpu"

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what makes two predictions the same."""

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return what the record says of how they were made."""


def prediction_of(spot: Spot, image: Image, state: State) -> Prediction:
    """Return what a pipeline found in an image, at the image's own size."""
    ids = state["labels"].ids
    if tuple(ids.shape) != image.size:
        ids = torch.nn.functional.interpolate(ids[None, None].float(), image.size)[0, 0]
    return Prediction(spot, image, ids.long().cpu().numpy(), _confidence(state, image.size))


def _confidence(state: State, size: tuple[int, int]) -> Float[torch.Tensor, "h w"] | None:
    scores = state.get("scores")
    if not isinstance(scores, Probabilities):
        return None
    best = scores.data.float().amax(0)
    if tuple(best.shape) != size:
        best = torch.nn.functional.interpolate(best[None, None], size, mode="bilinear")[0, 0]
    return best.clamp(0, 1).cpu()


class PipelinePredictions(Predictions):
    """Run a pipeline on the images; `describe` tells of it."""

    def __init__(
        self,
        pipeline: Pipeline,
        title: str,
        reading: Reading,
        own: Facts | None,
        describe: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.pipeline, self.title, self.reading = pipeline, title, reading
        self.vocabulary, self.own, self._describe = pipeline.plan.vocabulary, own, describe

    def run(self, spots: Iterable[Spot], fail: Fail) -> Iterator[Prediction]:
        """Yield what the pipeline finds, in groups that share batches."""
        stream = Stream[Spot](
            self.pipeline,
            self.vocabulary,
            read=lambda spot: spot.item.read_image(self.reading),
            fail=fail,
        )
        for group in stream.run(spots):
            for found in group:
                yield prediction_of(*found)

    def prepare(self, costs: Costs) -> None:
        """Read the weights of the models."""
        for name, model in self.pipeline.models.items():
            start = time.perf_counter()
            model.prepare()
            seconds = time.perf_counter() - start
            costs.add(f"reading {name}", seconds)
            costs.seconds += seconds

    @property
    def device(self) -> str:
        """Return where the pipeline runs."""
        return self.pipeline.device

    def identity(self) -> dict[str, Any]:
        """Return stages, models and classes."""
        return identify(self.pipeline.plan) | identify_rendering(self.reading.rendering)

    def describe(self) -> Mapping[str, Any]:
        """Return recipe, models, words and settings."""
        return self._describe()
