"""What a person asked `ovsskit eval` for, and the data set that this means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.facts import facts_of
from ovsskit.datasets.folder import common_folder, open_folder
from ovsskit.datasets.hub import open_hub
from ovsskit.datasets.matching import foreground, is_of, plain
from ovsskit.datasets.open import open_dataset
from ovsskit.datasets.parquet import open_parquet
from ovsskit.datasets.truth import IGNORED
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadValue, Place
from ovsskit.files.inputs import find_images
from ovsskit.recipe.build import Recipe
from ovsskit.recipe.vocabulary import replace_classes
from ovsskit.run.options import ImageOptions, choose_named

OUT = Path("ovsskit-eval")
HUB, PARQUET = "hf:", "parquet"
"""What stands before the name of a data set of the hub, and in place of one for parquet files."""


@dataclass(frozen=True)
class TruthOptions:
    """Hold which images with true masks a person named: a data set, or folders of their own.

    `coarse` is the mapping by which they are counted in coarser classes, if one is named.
    """

    dataset: str = ""
    root: Path | None = None
    split: str = ""
    layout: str = ""
    truth: Path | None = None
    truth_classes: Path | None = None
    ignored: tuple[int, ...] = IGNORED
    coarse: str = ""


@dataclass(frozen=True)
class EvalOptions(ImageOptions):
    """Hold what a person asked of `ovsskit eval`; `masks` is the folder of a finished run."""

    recipe: str = ""
    masks: Path | None = None
    truth: TruthOptions = TruthOptions()
    protocol: str = "mmsegmentation"
    save_masks: bool = False


def choose_dataset(options: TruthOptions, images: Sequence[str]) -> Dataset:
    """Open the data set that a person named.

    Raises:
        BadValue: none is named, or in two ways.
        OvsskitError: it is not where they say.
    """
    if options.dataset and options.truth is not None:
        what = "True masks are named twice: by --dataset and by --truth."
        raise BadValue(what, fix="Give one of them.", where=Place("--truth"))
    if options.dataset:
        if options.dataset.startswith(HUB):
            name, classes = options.dataset.removeprefix(HUB), options.truth_classes
            return open_hub(name, classes, options.split, options.layout, options.ignored)
        if options.root is None:
            fix = "Name the folder that holds it: --root DIR"
            raise BadValue("Nothing says where the data set is.", fix=fix, where=Place("--root"))
        if options.dataset == PARQUET:
            classes = options.truth_classes
            return open_parquet(
                options.root, classes, options.split, options.layout, options.ignored
            )
        return open_dataset(options.dataset, options.root, options.split, options.layout)
    if options.truth is None:
        fix = "Name a data set, --dataset voc21 --root DIR, or a folder of masks, --truth DIR."
        raise BadValue("Nothing says where the true masks are.", fix=fix, where=Place("--dataset"))
    if not images:
        fix = "Name their folder: ovsskit eval RECIPE IMAGES --truth DIR"
        raise BadValue(
            "Nothing says which images the masks belong to.", fix=fix, where=Place("IMAGES")
        )
    among = [path.absolute() for path in find_images(images)]
    folder = common_folder(images)
    return open_folder(folder, options.truth, options.truth_classes, options.ignored, among)


def choose_words(options: EvalOptions, recipe: Recipe, dataset: Dataset) -> tuple[Vocabulary, str]:
    """Return the classes to look for, and the data set whose classes they are by their order.

    They are those that the person names, else the recipe's own if they stand for all classes of the
    data set, else the data set's.
    """
    own, facts = recipe.plan.vocabulary, dataset.facts
    if options.classes is not None or options.classes_file:
        return choose_named(options.classes, options.classes_file, own), ""
    table = recipe.vocabulary.dataset
    if table and is_of(facts_of(table), facts):
        return own, table
    if own.names and not table and _has_all(own, foreground(facts)):
        return own, ""
    return replace_classes([*foreground(facts)], own), ""


def _has_all(vocabulary: Vocabulary, names: tuple[str, ...]) -> bool:
    words = {plain(word) for _, word in vocabulary.queries}
    return {plain(name) for name in names} <= words
