"""What a person asked `ovsskit run` for, and the images and classes that this means."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovsskit.datasets.truth import IGNORED
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.stage import Stage, paths_of, walk
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import (
    BadClasses,
    BadFile,
    BadValue,
    NoImages,
    Place,
    UnfilledSlot,
    did_you_mean,
    shorten,
)
from ovsskit.files.bringing import is_address
from ovsskit.files.inputs import Found, find_images, search_images
from ovsskit.files.remote import is_remote
from ovsskit.files.shard import WHOLE, Shard
from ovsskit.recipe.build import Recipe
from ovsskit.recipe.class_lists import COMMAND_LINE, parse_classes
from ovsskit.recipe.vocabulary import read_classes, refuse_file, replace_classes
from ovsskit.run.rasters.grid import USUAL, WindowSize
from ovsskit.run.samples import sample_images

HERE, RAY = "here", "ray"
"""What runs a recipe on images: this process and its replicas, or actors of a Ray cluster."""

NAME_SOME = 'Name some: --classes "dog, cat, grass".'

log = logging.getLogger(__name__)


def as_option(classes: str | Sequence[str] | None) -> str | None:
    """Return classes that Python names as the command line would name them.

    In a list, synonyms follow a class after commas; in a string, commas separate classes.
    """
    return classes if classes is None or isinstance(classes, str) else json.dumps(classes)


@dataclass(frozen=True)
class RecipeOptions:
    """Hold what a person may ask of every command that runs or tunes a recipe."""

    recipe: str
    classes: str | None = None
    classes_file: Path | None = None
    out: Path | None = None
    overrides: tuple[str, ...] = ()
    device: str = "auto"


@dataclass(frozen=True)
class ImageOptions(RecipeOptions):
    """Hold what a person may ask of every command that runs a recipe on images."""

    images: tuple[str, ...] = ()
    batch: str = "auto"
    limit: int | None = None
    reading: Reading = AS_USUAL
    shard: Shard = WHOLE


@dataclass(frozen=True)
class RunOptions(ImageOptions):
    """Hold what a person asked of `ovsskit run`."""

    profile: bool = False
    compile: bool = False
    save: frozenset[str] = frozenset()
    explain: tuple[str, ...] = ()
    verify: bool = False
    truth: Path | None = None
    truth_classes: Path | None = None
    ignored: tuple[int, ...] = IGNORED
    frame_rate: int | None = None
    windows: WindowSize = USUAL
    devices: tuple[str, ...] = ()
    engine: str = HERE


@dataclass(frozen=True)
class Chosen(Found):
    """Hold the images to run on, and whether they are the sample scenes."""

    samples: bool = False


def choose_images(options: ImageOptions, recipe: Recipe) -> Chosen:
    """Return the images to run on.

    They are those that the person names, else those that the recipe names, else the sample scenes.

    Raises:
        NoImages: what is named is not there.
    """
    given = options.images or _own_images(recipe)
    if not given:
        return Chosen(sample_images()[: options.limit], samples=True)
    found = search_images(given)
    return Chosen(found.images[: options.limit], found.roots, found.left_out)


def see_own_images(recipe: Recipe) -> None:
    """See that a recipe's own images are there; addresses are not asked.

    Raises:
        NoImages: a file, folder or glob names none.
    """
    for said, text in zip(recipe.input.images, _own_images(recipe), strict=True):
        try:
            if not (is_address(said) or is_remote(said)):
                find_images(text)
        except NoImages as error:
            where = recipe.images_at
            what = f"input.images names no image that exists: {shorten(said)}"
            start = "the recipe's file" if where.line else "the current folder"
            raise NoImages(what, fix=f"Paths are relative to {start}.", where=where) from error


def _own_images(recipe: Recipe) -> tuple[str, ...]:
    """Return the images that a recipe names; relative paths start where it names them."""
    folder = Path(recipe.images_at.file).parent if recipe.images_at.line else Path()
    return tuple(
        text if is_address(text) or is_remote(text) else str(folder / text)
        for text in recipe.input.images
    )


def choose_classes(options: ImageOptions, recipe: Recipe, samples: bool) -> Vocabulary:
    """Return the classes that the person names, else the recipe's, else those of sample scenes.

    Raises:
        BadClasses: none are named, or they are named in two ways, or they cannot be read.
    """
    named = options.classes is not None or options.classes_file or recipe.plan.vocabulary.names
    if samples and not named:
        from ovsskit.embedded import NOUNS

        return replace_classes(NOUNS, recipe.plan.vocabulary)
    return choose_named(options.classes, options.classes_file, recipe.plan.vocabulary)


def choose_named(classes: str | None, classes_file: Path | None, own: Vocabulary) -> Vocabulary:
    """Return the classes that the person names on the command line, else the recipe's.

    Raises:
        BadClasses: none are named, or they are named in two ways, or they cannot be read.
    """
    if classes is not None and classes_file:
        fix = "Give --classes or --classes-file, not both."
        raise BadClasses("Classes are named twice.", fix=fix)
    if classes is not None:
        if not classes.strip():
            raise BadClasses("The list of classes is empty.", fix=NAME_SOME)
        names = parse_classes(classes, own.background)
        refuse_file(names, where=COMMAND_LINE)
        return _said(replace_classes(names, own))
    if classes_file:
        return _said(replace_classes(read_classes(classes_file, own.background), own))
    if not own.names:
        raise BadClasses("Nothing says which classes to look for.", fix=NAME_SOME)
    return own


def _said(vocabulary: Vocabulary) -> Vocabulary:
    """Return the classes; a single one that may be meant as several is said."""
    words = [word for _, word in vocabulary.queries if word not in vocabulary.background_words]
    if len(vocabulary.names) == 1 and (len(words) > 1 or " " in words[0]):
        called = f", also called {', '.join(words[1:])}" if words[1:] else ""
        log.warning(
            "there is only one class: `%s`%s; on the command line, separate classes by commas, "
            "in a file by lines",
            words[0],
            called,
        )
    return vocabulary


def choose_explained(images: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return the images whose maps shall all be saved, named by path, name, stem or `all`.

    Raises:
        BadValue: a name fits no image.
    """
    if "all" in names:
        return list(images)
    chosen = []
    for name in names:
        fitting = [path for path in images if _is_called(path, name)]
        if not fitting and name != "none":
            fix = (
                did_you_mean(name, [path.stem for path in images])
                or "Give the name of an image, `all` or `none`."
            )
            raise BadValue(f"No image is called `{name}`.", fix=fix, where=Place("--explain"))
        chosen += fitting
    return chosen


def _is_called(path: Path, name: str) -> bool:
    whole = path.absolute().with_suffix("").as_posix()
    return name in (str(path), path.name, path.stem) or whole.endswith(f"/{name}")


def check_outcome(recipe: Recipe, save: frozenset[str] = frozenset()) -> None:
    """Check that the recipe writes what is to be saved.

    Raises:
        UnfilledSlot: it does not.
    """
    written = {stage.writes for stage in recipe.plan.stages}
    where = Place(str(recipe.path))
    if "labels" not in written:
        what = "No stage writes `labels`, so there is no mask to save."
        raise UnfilledSlot(
            what, fix='End the recipe with a stage that does: use = "label_map".', where=where
        )
    if save and "scores" not in written:
        raise UnfilledSlot("No stage writes `scores`, so they cannot be saved.", where=where)


def check_files(stages: Sequence[Stage]) -> None:
    """Check that every file that stages need is named.

    Raises:
        BadFile: one is not.
    """
    for stage in walk(stages):
        for name, path in paths_of(type(stage)).items():
            if path.needed and not getattr(stage, name):
                kind = "folder" if path.folder else "file"
                what = f"`{stage.address}` reads a {kind}, but none is named."
                fix = f"Name one: --set {stage.address}.{name}={kind.upper()}"
                raise BadFile(what, fix=fix, where=Place(f"{stage.address}.{name}"))


def choose_devices(device: str, devices: str | None) -> tuple[str, ...]:
    """Return the devices of `--devices 0,1,cpu`, a replica on each; none if it is not given.

    Raises:
        BadValue: `--device` is given too, or it names no device.
    """
    if devices is None:
        return ()
    where = Place("--devices")
    if device != "auto":
        what = "Devices are named by --device and by --devices."
        raise BadValue(what, fix="Give one of them.", where=where)
    names = [name.strip() for name in devices.split(",")]
    if not all(names) or "auto" in names:
        fix = "Name them, separated by commas: --devices 0,1 or --devices cpu,cpu."
        raise BadValue(f"`{devices}` is not a list of devices.", fix=fix, where=where)
    return tuple(f"cuda:{name}" if name.isdecimal() else name for name in names)


def see_engine(engine: str, devices: Sequence[str] = ()) -> None:
    """See that there is such an engine, and that it takes devices if some are named.

    Raises:
        BadValue: there is none, or Ray shall choose the devices.
    """
    where = Place("--engine")
    if engine not in (HERE, RAY):
        raise BadValue(f"There is no engine `{engine}`.", fix=f"Give {HERE} or {RAY}.", where=where)
    if engine == RAY and devices:
        fix = "Leave out --devices: Ray gives each actor a GPU, where there are some."
        raise BadValue("Ray chooses the devices.", fix=fix, where=where)
