"""Find the evaluations that published numbers ask for, and the data sets that they need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.open import open_dataset
from ovsskit.engine.rendering import Reading
from ovsskit.errors import BadValue, NoDataset, Place, all_at_once, first_of, report
from ovsskit.eval.options import EvalOptions, TruthOptions
from ovsskit.files.names import safe_name
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.published import PublishedNumber
from ovsskit.reproduce.options import ReproduceOptions
from ovsskit.reproduce.variants import variants_of

USUAL = "mmsegmentation"
"""The protocol that folders are not named by."""


@dataclass(frozen=True)
class Evaluation:
    """Hold published numbers of a recipe that one evaluation measures.

    `dataset` is where it was found, or the error that says where it was looked for.
    """

    recipe: Recipe
    dataset: Dataset | NoDataset
    numbers: tuple[PublishedNumber, ...]

    def options(self, asked: ReproduceOptions) -> EvalOptions:
        """Return how to measure the recipe; the data set must be there."""
        assert isinstance(self.dataset, Dataset)
        first = self.numbers[0]
        named = (
            self.recipe.title,
            self.dataset.facts.name,
            first.split,
            self.dataset.layout if first.layouts else "",
            first.protocol if first.protocol != USUAL else "",
        )
        truth = TruthOptions(first.dataset, asked.root, first.split, self.dataset.layout)
        return EvalOptions(
            str(self.recipe.path),
            out=asked.out / safe_name("-".join(filter(None, named))),
            overrides=asked.overrides,
            device=asked.device,
            batch=asked.batch,
            limit=asked.limit,
            reading=Reading(asked.max_pixels),
            truth=truth,
            protocol=first.protocol,
        )


def find_evaluations(options: ReproduceOptions) -> list[Evaluation]:
    """Return the evaluations that a person asked for; numbers that differ in metric share one.

    Raises:
        OvsskitError: a recipe has a problem or no published number, there is no such folder, or a
            data set's files are broken.
    """
    if not options.root.expanduser().is_dir():
        raise NoDataset("There is no such folder.", where=Place(str(options.root)))
    found = []
    open_once = cache(_open)
    for recipe in _recipes(options):
        alike: dict[tuple[object, ...], list[PublishedNumber]] = {}
        for row in recipe.published:
            same = (row.dataset, row.split, row.layouts, row.protocol)
            alike.setdefault(same, []).append(row)
        for rows in alike.values():
            dataset = open_once(rows[0].dataset, options.root, rows[0].split, rows[0].layouts)
            found.append(Evaluation(recipe, dataset, tuple(rows)))
    return found


def _recipes(options: ReproduceOptions) -> list[Recipe]:
    """Return the recipes that are named, and their variants if they are asked for, each once."""
    found: dict[Path, Recipe] = {}
    with all_at_once():
        for name in options.recipes:
            recipe = load_recipe(name, options.overrides)
            variants = variants_of(recipe, options.overrides)
            wanted = [recipe, *variants] if options.variants else [recipe]
            if not any(one.published for one in wanted):
                report(_without_numbers(recipe, variants))
            found |= {one.path.resolve(): one for one in wanted}
    return list(found.values())


def _without_numbers(recipe: Recipe, variants: list[Recipe]) -> BadValue:
    fix = "Add some: [[published]] with dataset, value and source."
    if variants:
        fix = f"Add --variants: {first_of([one.title for one in variants])} have some."
    what = "The recipe has no published numbers."
    return BadValue(what, fix=fix, where=Place(str(recipe.path)))


def _open(name: str, root: Path, split: str, layouts: tuple[str, ...]) -> Dataset | NoDataset:
    """Return a data set, or the error that says where it was looked for."""
    try:
        return open_dataset(name, root, split, layouts)
    except NoDataset as error:
        return error
