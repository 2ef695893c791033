"""One `ovsskit fit`: find everything that is wrong, then tune, and leave a folder of weights."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ovsskit.backbones.ofa.ofa import Ofa
from ovsskit.engine.devices import (
    choose_device,
    has_native_bf16,
    is_out_of_memory,
    note_slow_precision,
)
from ovsskit.engine.notices import TakesNotice, hearing
from ovsskit.engine.stage import use_of
from ovsskit.errors import MissingCapability, OutOfMemory, Place
from ovsskit.fit.folder import TunedFolder
from ovsskit.fit.table import FitTable
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.run.options import RecipeOptions, choose_named
from ovsskit.run.output.training import Progress

OUT = Path("ovsskit-fit")


@dataclass(frozen=True)
class FitOptions(RecipeOptions):
    """Hold what a person asked of `ovsskit fit`."""

    verify: bool = False


@runtime_checkable
class FitCallbacks(TakesNotice, Protocol):
    """Receive the progress of a tuning."""

    def begin(self, total: int, done: int) -> None:
        """Receive the number of steps, and how many were done before."""

    def tell(self, loss: float) -> None:
        """Receive a finished step."""

    def end(self, folder: Path, progress: Progress, done_now: int) -> None:
        """Receive the end of the tuning."""


def tune(options: FitOptions, callbacks: FitCallbacks) -> Path:
    """Tune a recipe's model for classes, and return the folder that holds it.

    A stopped tuning goes on from its last saved state.

    Raises:
        OvsskitError: something is wrong with the recipe, classes, output folder, device or weights.
    """
    with hearing(callbacks):
        return _fit(options, callbacks)


def _fit(options: FitOptions, callbacks: FitCallbacks) -> Path:
    recipe = load_recipe(options.recipe, options.overrides)
    vocabulary = choose_named(options.classes, options.classes_file, recipe.plan.vocabulary)
    device = choose_device(options.device)
    backbone = _backbone(recipe)
    backbone.check_words(vocabulary)
    names = vocabulary.names
    recorded = {"name": recipe.title, "tables": recipe.tables}
    folder = TunedFolder(
        options.out or OUT / recipe.title, _identity(recipe, backbone, names), recorded
    )
    try:
        if folder.is_done(verify=options.verify):
            callbacks.end(folder.path, folder.progress, 0)
        else:
            _tune(recipe, backbone, names, device, folder, callbacks)
        return folder.path
    finally:
        folder.close()


def _tune(
    recipe: Recipe,
    backbone: Ofa,
    names: tuple[str, ...],
    device: str,
    folder: TunedFolder,
    callbacks: FitCallbacks,
) -> None:
    from ovsskit.backbones.ofa._text import DICTIONARY
    from ovsskit.fit.tuning import Tuner
    from ovsskit.run.runner import peak_memory

    settings, source = recipe.settings_of(FitTable), backbone.need_weights()
    reader = backbone.reader
    text, pieces = reader.read(names), [reader.pieces(name) for name in names]
    note_slow_precision(settings.precision, device)
    mixed = computes_in_bf16(settings.precision, device)
    tuner = Tuner(backbone.checkpoint.network.to(device), pieces, text, settings, mixed)
    first = folder.resume(tuner)
    folder.note()
    callbacks.begin(settings.updates, first)
    progress = folder.progress
    try:
        for number in range(first, settings.updates):
            start = time.perf_counter()
            loss = tuner.step(number)
            progress.seconds += time.perf_counter() - start
            progress.losses.append(loss)
            callbacks.tell(loss)
            if (number + 1) % settings.save_every == 0 and number + 1 < settings.updates:
                folder.save_state(tuner)
    except (KeyboardInterrupt, RuntimeError, MemoryError) as error:
        if len(progress.losses) > first:
            folder.save_state(tuner)
        if not is_out_of_memory(error):
            raise
        fix = "Use fewer images at once: --set fit.at_once=1."
        raise OutOfMemory(
            f"{settings.at_once} artificial images at once do not fit into memory.", fix=fix
        ) from error
    progress.peak_memory, progress.peak_device_memory = peak_memory(device)
    folder.finish(tuner, (source if source.is_dir() else source.parent) / DICTIONARY)
    callbacks.end(folder.path, progress, settings.updates - first)


def computes_in_bf16(precision: str, device: str) -> bool:
    """Return whether to tune in bf16: if told to, or where nothing is said on a GPU that has it."""
    chosen = precision == "auto" and device.startswith("cuda") and has_native_bf16(device)
    return precision == "bf16" or chosen


def _backbone(recipe: Recipe) -> Ofa:
    """Return the model to be tuned, with the weights that tuning starts from."""
    found = [model for model in recipe.plan.models.values() if isinstance(model, Ofa)]
    if len(found) != 1:
        there = ", ".join(use_of(type(model)) for model in recipe.plan.models.values())
        what = f"`fit` tunes the one `ofa` of a recipe, but this recipe has {len(found) or 'none'}."
        raise MissingCapability(
            what, there=f"Its models: {there or 'none'}", where=Place(str(recipe.path))
        )
    weights = recipe.settings_of(FitTable).weights or found[0].weights
    return found[0].model_copy(update={"weights": weights})


def _identity(recipe: Recipe, backbone: Ofa, names: tuple[str, ...]) -> dict[str, Any]:
    """Say what makes two tunings the same; `at_once` changes rounding at most."""
    settings = recipe.settings_of(FitTable).model_dump(exclude={"at_once", "save_every", "weights"})
    return {
        "classes": names,
        "settings": settings,
        "start": {"weights": backbone.weights, "digest": backbone.digest},
    }
