"""Every number of every shipped recipe is the published one, or ours with a reason:
`published_settings.toml` says which.

Ranges of searches (`[study.space]`) are no settings of a method, and are left out.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ovsskit.engine.stage import Stage, use_of, walk
from ovsskit.engine.values import Vocabulary
from ovsskit.files.shipped import recipe_folder
from ovsskit.fit.table import FitTable
from ovsskit.recipe.build import Recipe, load_recipe

TABLE = Path(__file__).with_name("published_settings.toml")
ENTRIES = tomllib.loads(TABLE.read_text())["entry"]
RECIPES = sorted(path.stem for path in recipe_folder().rglob("*.toml"))


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return every setting of a recipe by its address, defaults too, as plain TOML values."""
    found: dict[str, Any] = {"stages": chain(recipe.plan.stages)}
    for stage in walk(recipe.plan.stages):
        fields = stage.model_dump(mode="json", exclude={"name", "reads", "writes", "inner"})
        found |= prefixed(stage.address, {**fields, "reads": stage.reads})
    for name, model in recipe.plan.models.items():
        found |= prefixed(name, {"use": use_of(type(model)), **model.model_dump(mode="json")})
        if "ofa" in use_of(type(model)):
            found |= prefixed("fit", recipe.settings_of(FitTable).model_dump(mode="json"))
    table = recipe.vocabulary
    found["vocabulary.preset"] = table.preset
    found["vocabulary.first_is_background"] = table.first_is_background
    vocabulary = table.make()
    if vocabulary.names or vocabulary.negatives:
        found |= prefixed("vocabulary", described(vocabulary))
    study = dict(recipe.tables["study"])
    del study["space"]
    return found | prefixed("study", study)


def chain(stages: Sequence[Stage]) -> str:
    """Return the addresses of stages in their order, those inside a wrapper in brackets."""
    inner = [getattr(stage, "inner", ()) for stage in stages]
    return " ".join(
        stage.address + (f"({chain(inside)})" if inside else "")
        for stage, inside in zip(stages, inner, strict=True)
    )


def prefixed(address: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's values by dotted address; tables inside it are opened."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inside = {key: value} if not isinstance(value, Mapping) else prefixed(key, value)
        found |= {f"{address}.{name}": one for name, one in inside.items()}
    return found


def described(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the background's name, and short digests of the words, of the numbers of classes, and
    of the negatives if there are any.
    """
    words: dict[int, list[str]] = {}
    for label, text in vocabulary.queries:
        words.setdefault(label, []).append(text.strip())
    numbers = vocabulary.ids[1:]
    is_plain = numbers == tuple(range(1, len(numbers) + 1))
    against = {"negatives": digest(", ".join(vocabulary.negatives))}
    return (against if vocabulary.negatives else {}) | {
        "background": vocabulary.background,
        "words": digest("\n".join(", ".join(one) for one in words.values())),
        "ids": "consecutive" if is_plain else digest(" ".join(map(str, numbers))),
    }


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def published(name: str) -> dict[str, tuple[int, Any]]:
    """Return for every address the entry that decides what a recipe has there, and the value."""
    decided = {}
    for index, entry in enumerate(ENTRIES):
        if any(fnmatch(name, pattern) for pattern in entry["recipes"]):
            decided |= {address: (index, value) for address, value in entry["values"].items()}
    return decided


@cache
def loaded(name: str) -> dict[str, Any]:
    return settings_of(load_recipe(name))


def problems(name: str, found: Mapping[str, Any]) -> list[str]:
    """Say where a recipe's settings differ from the table, and which of them the table does not
    know.
    """
    expected = {address: value for address, (_, value) in published(name).items()}
    unknown = [
        f"{address} = {value!r} is in no entry of {TABLE.name}: add it, with its source or reason"
        for address, value in found.items()
        if address not in expected
    ]
    return unknown + [
        f"{address} = {value!r}, published {expected[address]!r}"
        for address, value in found.items()
        if address in expected and not same(value, expected[address])
    ]


def same(one: Any, other: Any) -> bool:
    """Compare as TOML does: true is not 1."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_has_the_published_settings(name: str) -> None:
    assert not problems(name, loaded(name))


def test_every_entry_has_a_source_or_a_reason_and_decides_something() -> None:
    deciding = {
        (index, address)
        for name in RECIPES
        for address, (index, _) in published(name).items()
        if address in loaded(name)
    }
    for index, entry in enumerate(ENTRIES):
        assert set(entry) == {"recipes", "values", "source" if "source" in entry else "ours"}
        idle = [address for address in entry["values"] if (index, address) not in deciding]
        assert not idle, f"entry for {entry['recipes']}: {idle} decide nothing"
        for pattern in entry["recipes"]:
            assert any(fnmatch(name, pattern) for name in RECIPES), f"no recipe is called {pattern}"


WRONG = {
    "sclip": ("softmax.scale", 40),
    "sclip_coco_stuff": ("resize_image.short_side", 336),
    "naclip_context60": ("pamr.dilations", [4, 8]),
    "naclip_voc20": ("sliding_window.window", 224),
    "clearclip_coco_object": ("label_map.background_below", 0.5),
    "itaclip_context60": ("views.same_weight", 0.7),
    "itaclip_coco_stuff": ("expand_text.weight", 0.15),
    "clip_diy": ("crop_grid.step", 0.25),
    "clip_diy_demo": ("square_image.interpolation", "bilinear"),
    "itaclip": ("self_similarity.layers", [7, 8, 9, 12]),
    "pnp_blip": ("salience_dropout.schedule", "fixed"),
    "pnp_blip_released": ("salience_dropout.patches", 11),
    "pnp_blip_released_ade20k": ("backbone.normalise", True),
    "pnp_mplug": ("dense_crf.bilateral_colour_sigma", 3),
    "ifseg": ("knn_smoothing.rounds", 24),
    "ifseg_notebook": ("dense_crf.channels", "rgb"),
    "gem": ("self_similarity.iterations", 0),
    "maskclip_refined": ("prompt_denoising.below", 0.6),
    "pearl_ade20k": ("procrustes_similarity.key_weight", 0.08),
    "pearl_cityscapes": ("edge_graph.cells", 80),
    "lposs_ade20k": ("patch_graph.neighbours", 100),
    "lposs_plus": ("pixel_graph.radius", 13),
    "clip_es": ("spread_by_attention.divisions", 2),
    "tagclip_voc21": ("presence_by_patches.votes", 5),
    "tagclip_coco_stuff": ("presence_by_patches.fraction", 0.5),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_constant_is_found(name: str) -> None:
    address, value = WRONG[name]
    changed = settings_of(load_recipe(name, [f"{address}={toml(value)}"]))
    assert any(problem.startswith(f"{address} = ") for problem in problems(name, changed))


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace("'", '"')
