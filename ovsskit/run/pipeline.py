"""Run a recipe, or stages put together in Python, on images.

pipeline = ovsskit.load("quickstart")
result = pipeline("photo.jpg", classes=["dog", "cat"])
result.overlay().show()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.devices import choose_batch, choose_device, note_slow_precision
from ovsskit.engine.driver import Driver, Known, State, Watch
from ovsskit.engine.images import ImageSource, is_image, read_image
from ovsskit.engine.model import Backbone, PretrainedBackbone
from ovsskit.engine.objections import check_classes
from ovsskit.engine.plan import NO_WORDS, Plan
from ovsskit.engine.rendering import Reading, Rendering, Stretch
from ovsskit.engine.room import Room
from ovsskit.engine.stage import Stage
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Labels, Scores, Value, Vocabulary
from ovsskit.errors import BadClasses, BadOutput, Place, UnknownAddress, did_you_mean, first_of
from ovsskit.files.writing import write_whole
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.registry import CATALOGUE
from ovsskit.recipe.vocabulary import Classes, list_classes, replace_classes
from ovsskit.run.groups import grouped

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage


@dataclass(frozen=True)
class Result:
    """Hold what a pipeline found in one image."""

    image: Image
    vocabulary: Vocabulary
    slots: State
    trace: dict[str, list[Value]] = field(default_factory=dict)

    def __repr__(self) -> str:
        height, width = self.image.size
        found = "no labels"
        if "labels" in self.slots:
            from ovsskit.run.output.overlay import measure_areas

            areas = measure_areas(self.ids.cpu().numpy(), self.vocabulary)
            found = first_of([f"{area.name} {area.percent}" for area in areas])
        return f"<Result of {self.image.name or 'image'}, {width} x {height} pixels: {found}>"

    @property
    def ids(self) -> Int[torch.Tensor, "h w"]:
        """Return the id of every pixel's class: its number in the mask; 0 is the background."""
        value: Labels = self.slots["labels"]
        return value.ids

    @property
    def labels(self) -> Int[torch.Tensor, "h w"]:
        """Return the label of every pixel: the place of its class in `vocabulary.labels`."""
        ids = torch.tensor(self.vocabulary.ids, device=self.ids.device)
        labels = torch.zeros(int(ids.max()) + 1, dtype=torch.int64, device=ids.device)
        labels[ids] = torch.arange(len(ids), device=ids.device)
        return labels[self.ids]

    @property
    def scores(self) -> Scores:
        """Return the maps that labels were taken from; `scores.labels` says which each is for."""
        value: Scores = self.slots["scores"]
        return value

    def at(self, address: str) -> Value:
        """Return what the stage of this address wrote; inside a wrapper, what it wrote last.

        Raises:
            UnknownAddress: the pipeline has no such stage, or was not called with `trace=True`.
        """
        if address not in self.trace:
            there = (
                f"Available: {first_of(list(self.trace), 'result.trace')}"
                if self.trace
                else "Nothing was kept."
            )
            fix = (
                did_you_mean(address, list(self.trace))
                if self.trace
                else "Call the pipeline with trace=True."
            )
            raise UnknownAddress(
                f"Nothing written by a stage `{address}` was kept.", there=there, fix=fix
            )
        return self.trace[address][-1]

    @property
    def area(self) -> dict[str, float]:
        """Return the fraction of the image that each class covers, the largest first.

        The background is among them; classes that were not found are not.
        """
        from ovsskit.run.output.overlay import measure_areas

        found = measure_areas(self.ids.cpu().numpy(), self.vocabulary)
        return {one.name: one.fraction for one in found if one.fraction > 0}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the classes that were found, the largest first."""
        return tuple(name for name in self.area if name != self.vocabulary.background)

    @property
    def confidence(self) -> Float[torch.Tensor, "h w"]:
        """Return the winning score of every pixel: a probability where the scores are such."""
        from ovsskit.run.output.save import winning_scores

        return winning_scores(self.scores, self.image.size)

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the mask as a PNG whose pixel values are the ids of the classes, in their colours.

        Raises:
            BadOutput: there is a file of this name, and it is not to be replaced (`force`); or it
                does not end in `.png`.
            CannotWrite: the disk is full, or the folder cannot be written.
        """
        from ovsskit.run.output.masks import write_mask

        path = Path(path)
        if path.suffix.lower() != ".png":
            what = "A mask is written as PNG, which keeps the ids of the classes."
            raise BadOutput(what, fix=f"Call it {path.stem}.png.", where=Place(str(path)))
        if path.exists() and not force:
            fix = "Choose another name, or give force=True."
            raise BadOutput("The file already exists.", fix=fix, where=Place(str(path)))
        ids = self.ids.cpu().numpy()
        write_whole(path, lambda file: write_mask(file, ids, self.vocabulary))

    def to_supervision(self) -> Any:
        """Return `supervision.Detections`: for each class that was found, its mask and mean score.

        `class_id` holds the ids, `data["class_name"]` the names; the background is left out.

        Raises:
            MissingExtra: the package `supervision` is not installed.
        """
        from ovsskit.run.output.detections import to_detections

        return to_detections(self.ids, self.vocabulary, self.confidence)

    def overlay(self) -> PilImage:
        """Draw the classes over the image, with a legend."""
        from ovsskit.run.output.overlay import draw_overlay

        return draw_overlay(
            self.image.pixels.cpu().numpy(), self.ids.cpu().numpy(), self.vocabulary
        )

    def _repr_png_(self) -> bytes | None:
        """Return the overlay for a notebook, unless no stage wrote labels."""
        if "labels" not in self.slots:
            return None
        file = BytesIO()
        self.overlay().save(file, "png")
        return file.getvalue()


class Pipeline:
    """Run a checked chain of stages with its models on one device."""

    def __init__(
        self,
        plan: Plan,
        *,
        device: str = "auto",
        batch: int | str = "auto",
        store: Store | None = None,
        compile: bool = False,
    ) -> None:
        """Prepare a plan to run; weights are read at first use, a store keeps what networks wrote.

        With `compile` torch compiles the networks' blocks, which takes a minute or two at first.

        Raises:
            UnknownDevice: this machine has no such device.
        """
        self.device = choose_device(device)
        self.batch = choose_batch(batch, self.device)
        self.plan, self.store = plan.on(self.device), store
        if compile:
            self.plan = replace(self.plan, models=compiled(self.models))
        for model in self.models.values():
            if isinstance(model, PretrainedBackbone):
                note_slow_precision(model.precision, self.device)
        self._known: dict[str, Known] = {}
        self._room = Room(self.device)
        self._checked: Vocabulary | None = None
        self._replace = lru_cache(maxsize=1)(
            lambda names, ids: replace_classes(names, plan.vocabulary, ids)
        )

    @classmethod
    def of(
        cls,
        stages: Sequence[Stage],
        models: Mapping[str, Backbone] | None = None,
        vocabulary: Vocabulary = NO_WORDS,
        *,
        device: str = "auto",
        batch: int | str = "auto",
        store: Store | None = None,
    ) -> Pipeline:
        """Check stages that were put together in Python, and prepare them to run.

        Raises:
            Problems: the stages do not fit together.
            UnknownDevice: this machine has no such device.
        """
        plan = Plan.of(stages, models, vocabulary, CATALOGUE)
        return cls(plan, device=device, batch=batch, store=store)

    @property
    def models(self) -> Mapping[str, Backbone]:
        """Return the models by name, on the pipeline's device."""
        return self.plan.models

    def _repr_html_(self) -> str:
        """Return the plan for a notebook."""
        from ovsskit.run.output.plan_tree import plan_tree

        return plan_tree(self.plan)._repr_mimebundle_((), ())["text/html"]

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text is a sequence of texts
        self,
        images: ImageSource,
        classes: Classes | None = None,
        *,
        trace: bool = False,
        stretch: Stretch | tuple[float, float] = "percentile",
        bands: Sequence[int] = (),
    ) -> Result: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        images: Sequence[ImageSource],
        classes: Classes | None = None,
        *,
        trace: bool = False,
        stretch: Stretch | tuple[float, float] = "percentile",
        bands: Sequence[int] = (),
    ) -> list[Result]: ...

    @overload
    def __call__(
        self,
        images: Iterable[ImageSource],
        classes: Classes | None = None,
        *,
        trace: bool = False,
        stretch: Stretch | tuple[float, float] = "percentile",
        bands: Sequence[int] = (),
    ) -> Iterator[Result]: ...

    def __call__(
        self,
        images: ImageSource | Iterable[ImageSource],
        classes: Classes | None = None,
        *,
        trace: bool = False,
        stretch: Stretch | tuple[float, float] = "percentile",
        bands: Sequence[int] = (),
    ) -> Result | list[Result] | Iterator[Result]:
        """Segment an image, or each of a list or iterable.

        An image is a path, a PIL image, or an array or tensor `h w` or `h w 3` (a tensor also
        `3 h w`): of bytes, of 16-bit numbers, or of floating point from 0 to 1. One image gives a
        result, a list a list of results; any other iterable gives an iterator, which holds no more
        than a batch of images at a time.

        Classes are a list, in which synonyms follow a class after commas; a string as on the
        command line, "dog, cat"; or a mapping of names to ids, {"dog": 12}, or of ids to names.
        With `trace`, everything that every stage wrote is kept, to look at with `Result.at`.
        `stretch` and `bands` say how numbers that are no bytes become colours, as on the command
        line.

        Raises:
            BadClasses: neither the call nor the pipeline names classes, a model cannot read them or
                tell them apart, or a stage has a value for what is none of them.
            BadImage: an image cannot be read.
        """
        vocabulary = self._choose_vocabulary(classes)
        rendering = Rendering(stretch, tuple(bands))
        several = [images] if is_image(images) else cast("Iterable[ImageSource]", images)
        read = (read_image(source, Reading(rendering=rendering)) for source in several)
        results = self._segment(read, vocabulary, trace=trace)
        if is_image(images):
            [result] = results
            return result
        return list(results) if isinstance(images, Sequence) else results

    def _choose_vocabulary(self, classes: Classes | None) -> Vocabulary:
        vocabulary = self.plan.vocabulary
        if classes is not None:
            names, ids = list_classes(classes, vocabulary.background)
            vocabulary = self._replace(tuple(names), ids) if names else NO_WORDS
        if not vocabulary.names:
            raise BadClasses("No classes are given.", fix='Call it with classes=["dog", "cat"].')
        if vocabulary is not self._checked:
            for model in self.plan.used.values():
                model.check_vocabulary(vocabulary)
            check_classes(self.plan.stages, vocabulary)
            self._checked = vocabulary
        return vocabulary

    def _segment(
        self, images: Iterable[Image], vocabulary: Vocabulary, *, trace: bool
    ) -> Iterator[Result]:
        """Yield what is found in each image; a trace is kept of one image at a time."""
        for group in grouped(images, 1 if trace else self.batch):
            kept: dict[str, list[Value]] = {}
            watch = partial(_keep, kept) if trace else None
            for image, slots in zip(group, self.run_many(group, vocabulary, watch), strict=True):
                yield Result(image, vocabulary, slots, kept)

    def run_many(
        self,
        images: Sequence[Image],
        vocabulary: Vocabulary,
        watch: Watch | None = None,
        *,
        timed: bool = False,
    ) -> list[State]:
        """Segment several images, sharing batches, and return all slots of each."""
        [states] = self.run_groups([images], vocabulary, watch, timed=timed)
        return states

    def run_groups(
        self,
        groups: Iterable[Sequence[Image]],
        vocabulary: Vocabulary,
        watch: Watch | None = None,
        *,
        timed: bool = False,
    ) -> Iterator[list[State]]:
        """Segment groups of images one after the other; files that stages read must not change.

        With `timed` the seconds that `watch` hears of are those of the device's work too, which is
        waited for.
        """
        states = (
            [{"image": image.to(self.device), "vocabulary": vocabulary} for image in images]
            for images in groups
        )
        return self.run_states(states, watch, timed=timed)

    def run_states(
        self, groups: Iterable[Sequence[State]], watch: Watch | None = None, *, timed: bool = False
    ) -> Iterator[list[State]]:
        """Run the stages on groups of states, whose first slots are filled, on the device."""
        driver = Driver(
            dict(self.models),
            self.plan.models_of,
            self.batch,
            watch,
            store=self.store,
            device=self.device,
            timed=timed,
            known=self._known,
            room=self._room,
        )
        for states in groups:
            try:
                with torch.inference_mode(False), torch.no_grad():
                    found = driver.run(self.plan.stages, states)
            finally:
                self.batch = driver.batch  # what did not fit once is not tried again
            yield found


def compiled(models: Mapping[str, Backbone]) -> dict[str, Backbone]:
    """Return models whose blocks torch compiles, where they have weights."""
    return {
        name: model.compiled() if isinstance(model, PretrainedBackbone) else model
        for name, model in models.items()
    }


def _keep(
    kept: dict[str, list[Value]], stage: Stage, states: Sequence[State], seconds: float
) -> None:
    kept.setdefault(stage.address, []).extend(state[stage.writes] for state in states)


def load(
    recipe: str | Path,
    *overrides: str,
    device: str = "auto",
    batch: int | str = "auto",
    store: Store | None = None,
    compile: bool = False,
) -> Pipeline:
    """Read a recipe, by path or by the name of a shipped one; overrides are `"address=value"`.

    Raises:
        OvsskitError: the recipe cannot be read, has problems, or the device does not exist.
    """
    plan = load_recipe(recipe, overrides).plan
    return Pipeline(plan, device=device, batch=batch, store=store, compile=compile)
