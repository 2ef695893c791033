"""Every shipped recipe passes the check and runs, here on a tiny network with random weights, or on its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from twins import SMALLER, TWINS

import ovsskit
from ovsskit.extends import recipe_folder
from ovsskit.pipeline import Pipeline, flatten
from ovsskit.recipe import load_recipe
from ovsskit.stage import use_of
from ovsskit.study.plan import StudyWishes, read_search
from ovsskit.testing import example
from ovsskit.values import Image
from ovsskit.vocabulary import make_vocabulary

RECIPES = sorted(recipe_folder().rglob("*.toml"))


def load(path: Path, folder: Path) -> Pipeline:
    """Load a recipe; weights that are not in the package are replaced by small random ones."""
    recipe = load_recipe(path)
    changes = []
    addresses = [link.node.address for link in flatten(recipe.links)]
    if not recipe.models["backbone"].weights.startswith("embedded"):
        changes += [
            f"backbone.{key}={value}"
            for key, value in TWINS[use_of(type(recipe.models["backbone"]))].items()
        ]
        changes += [
            f"{key}={value}" for key, value in SMALLER.items() if key.split(".")[0] in addresses
        ]
    if any(stage.address == "presence_from_file" for stage in recipe.stages):
        own = recipe.vocabulary.make()
        names = list(own.names[:3]) if own else ["dog"]
        (folder / "present.json").write_text(
            json.dumps({f"picture{seed}": names for seed in (0, 1, 2)})
        )
        changes.append(f"presence_from_file.file={folder / 'present.json'}")
    return ovsskit.load(path, *changes)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_runs_and_pictures_do_not_depend_on_each_other(path: Path, tmp_path: Path) -> None:
    pipeline = load(path, tmp_path)
    vocabulary = pipeline.vocabulary or make_vocabulary(["dog", "ice cream", "grass"])
    images = [example(Image, seed) for seed in (0, 1, 2)]
    together = [state["labels"].data for state in pipeline.run_many(images, vocabulary)]
    for image, labels in zip(images, together, strict=True):
        assert labels.shape == image.size
        assert set(labels.unique().tolist()) <= set(vocabulary.ids)
        [alone] = pipeline.run_many([image], vocabulary)
        assert (alone["labels"].data == labels).float().mean() >= 0.998
    again = [state["labels"].data for state in pipeline.run_many(images, vocabulary)]
    assert all(map(torch.equal, again, together))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_says_what_is_worth_a_search(path: Path) -> None:
    search = read_search(StudyWishes(str(path)))
    assert search.space, "add a table [study.space] to the recipe, or to the one that it extends"
    assert search.objectives[0].stage is not None, "shipped recipes are searched without masks"
