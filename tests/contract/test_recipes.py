"""Every shipped recipe passes the check and runs, on a tiny random network or on its own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from pydantic import PrivateAttr
from twins import SMALLER, TWINS

import ovsskit
from ovsskit.datasets.facts import facts_of
from ovsskit.engine.driver import Driver
from ovsskit.engine.examples import SIZE
from ovsskit.engine.prototype_bank import Bank, write_bank
from ovsskit.engine.region_bank import RegionBankWriter
from ovsskit.engine.stage import Stage, Wraps, use_of, walk
from ovsskit.engine.values import (
    ForegroundMap,
    Gathered,
    Groups,
    Hidden,
    Image,
    PatchFeatures,
    Present,
    Prototypes,
    RegionFeatures,
    Regions,
    Vocabulary,
)
from ovsskit.engine.wiring import flatten
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.describe import toml
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.regions.retrieve import Retrieve
from ovsskit.stages.wrap.window_gathered import WindowGathered
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.read_search import read_search
from ovsskit.testing import ToyBackbone, example

RECIPES = sorted(recipe_folder().rglob("*.toml"))
EMBEDDED = [path for path in RECIPES if path.stem == "quickstart" or path.stem.endswith("_tiny")]


def load(path: Path, folder: Path, overrides: Sequence[str] = ()) -> Pipeline:
    """Load a recipe; weights that are not in the package are replaced by small random ones."""
    recipe = load_recipe(path)
    changes = [*overrides]
    addresses = [link.node.address for link in flatten(recipe.plan.links)]
    if not recipe.plan.models["backbone"].weights.startswith("embedded"):  # type: ignore[attr-defined]
        changes += [
            f"{'backbone' if slot == 'backbone' else f'models.{slot}'}.{key}={value}"
            for slot, model in recipe.plan.models.items()
            for key, value in TWINS[use_of(type(model))].items()
        ]
        in_one_piece = any(getattr(stage, "window", None) == 0 for stage in recipe.plan.stages)
        changes += [
            f"{key}={value}"
            for key, value in SMALLER.items()
            if key.split(".")[0] in addresses
            and not (key == "sliding_window.window" and in_one_piece)
        ]
    if any(stage.address == "presence_from_file" for stage in recipe.plan.stages):
        own = recipe.plan.vocabulary
        names = list(own.names[:3]) or ["dog"]
        (folder / "present.json").write_text(
            json.dumps({f"image{seed}": names for seed in (0, 1, 2)})
        )
        changes.append(f"presence_from_file.file={folder / 'present.json'}")
    if "regions_from_files" in addresses:
        (folder / "regions").mkdir(exist_ok=True)
        for seed in (0, 1, 2):
            halves = numpy.repeat(numpy.arange(2, dtype="uint8"), SIZE[1] // 2 + 1)[: SIZE[1]]
            numpy.savez(folder / "regions" / f"image{seed}.npz", numpy.tile(halves, (SIZE[0], 1)))
        changes.append(f"regions_from_files.folder={folder / 'regions'}")
    if "read_bank" in addresses:
        [model] = [
            link.models["backbone"]
            for link in recipe.plan.links
            if link.node.address == "read_bank"
        ]
        words = [word for _, word in (recipe.plan.vocabulary.queries)]
        changes.append(f"read_bank.file={write_bank_for(words, model, changes, path, folder)}")
    for link in recipe.plan.links:
        if link.node.cls is Retrieve:
            file = write_regions_for(link.models, changes, path, folder / link.node.address)
            changes.append(f"{link.node.address}.file={file}")
    return ovsskit.load(path, *changes)


def write_regions_for(
    models: Mapping[str, str], changes: Sequence[str], path: Path, folder: Path
) -> Path:
    """Write a bank of random regions, as wide as a guide's patches and a model's texts."""
    having: Any = load_recipe(path, changes).plan.models
    [looks] = having[models["guide"]].guide([example(Image)], "token")
    texts = having[models["backbone"]].encode_text(["a dog"])
    with RegionBankWriter(folder / "regions.safetensors") as writer:
        writer.add(b"0" * 16, torch.rand(30, len(looks.data)), torch.rand(30, texts.shape[1]))
        writer.finish({"of": "regions"})
    return folder / "regions.safetensors"


def write_bank_for(
    words: Sequence[str], model: str, changes: Sequence[str], path: Path, folder: Path
) -> Path:
    """Write random prototypes of words, as wide as a model's patches."""
    described: Any = load_recipe(path, changes).plan.models[model]
    [features] = described.describe_patches([example(Image)])
    vectors = torch.rand(len(words), features.data.shape[0])
    write_bank(folder / "bank.safetensors", Bank(tuple(words), vectors, ""))
    return folder / "bank.safetensors"


def share_of_others(ids: torch.Tensor, others: torch.Tensor) -> float:
    return float((ids != others).float().mean())


def moved_by_rounding(
    pipeline: Pipeline, image: Image, vocabulary: Vocabulary, labels: torch.Tensor
) -> float:
    """Return the share of labels that move with the last bits of an image, 0.02 at most.

    Random weights can make many classes almost equally likely.
    """
    nudged = replace(image, data=image.data * (1 - 2**-22))
    [found] = pipeline.run_many([nudged], vocabulary)
    return min(0.02, share_of_others(found["labels"].ids, labels))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_runs_and_images_do_not_depend_on_each_other(path: Path, tmp_path: Path) -> None:
    pipeline = load(path, tmp_path)
    own = pipeline.plan.vocabulary
    vocabulary = own if own.names else make_vocabulary(["dog", "ice cream", "grass"])
    images = [example(Image, seed) for seed in (0, 1, 2)]
    together = [state["labels"].ids for state in pipeline.run_many(images, vocabulary)]
    for image, labels in zip(images, together, strict=True):
        assert labels.shape == image.size
        assert set(labels.unique().tolist()) <= set(vocabulary.ids)
        [alone] = pipeline.run_many([image], vocabulary)
        other = share_of_others(alone["labels"].ids, labels)
        rounding = partial(moved_by_rounding, pipeline, image, vocabulary, labels)
        assert other <= 0.002 or other <= 5 * rounding()
    again = [state["labels"].ids for state in pipeline.run_many(images, vocabulary)]
    assert all(map(torch.equal, again, together))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_says_what_is_worth_a_search(path: Path) -> None:
    search = read_search(StudyOptions(str(path)))
    assert search.space, "add a table [study.space] to the recipe, or to the one that it extends"
    assert search.objectives[0].stages, "shipped recipes are searched without masks"


@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_both_ends_of_a_search_run(path: Path, end: int, tmp_path: Path) -> None:
    search = read_search(StudyOptions(str(path)))
    ends = [f"{one.address}={toml(one.ends[end])}" for one in search.space if "." in one.address]
    image = example(Image)
    pipeline = load(path, tmp_path, ends)
    [state] = pipeline.run_many([image], pipeline.plan.vocabulary)
    assert state["labels"].ids.shape == image.size


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_of_a_dataset_says_what_is_published(path: Path) -> None:
    recipe = load_recipe(path)
    dataset = recipe.plan.vocabulary.dataset
    says = "published" in tomllib.loads(path.read_text(encoding="utf-8"))
    assert says or not dataset, "add [[published]], or published = [] if no number is known"
    for row in recipe.published:
        facts = facts_of(row.dataset)
        own = facts_of(dataset or row.dataset)
        assert facts.coarse_of == own.name or facts.classes == own.classes
        all_layouts = {one.name for one in facts.layouts}
        assert facts.name != "coco_object" or set(row.layouts) < all_layouts, "true masks differ"


SEEN = {
    "clip_baseline": (224, 224),
    "sclip": (224, 224),
    "naclip": (224, 224),
    "naclip.toml": (336, 448),
    "naclip_voc20": (336, 448),
    "pearl": (224, 224),
    "pearl.toml": (336, 448),
    "pearl_voc20": (336, 448),
    "pearl_tiny": (112, 112),
    "clearclip": (448, 448),
    "clearclip_cityscapes": (224, 224),
    "maskclip": (512, 688),
    "maskclip_context59": (400, 528),
    "maskclip_refined": (400, 528),
    "maskclip_reduced": (448, 448),
    "gem": (448, 448),
    "itaclip": (224, 224),
    "ifseg": (75, 100),
    "pnp": (75, 100),
    "quickstart": (75, 100),
    "car": (80, 112),
    "car_tiny": (112, 112),
    "clip_diy": (75, 100),
    "clip_diy_demo": (256, 256),
    "clip_diy_tiny": (256, 256),
    "clip_baseline_tiny": (112, 112),
    "sclip_tiny": (112, 112),
    "naclip_tiny": (112, 112),
    "clearclip_tiny": (112, 112),
    "maskclip_tiny": (112, 152),
    "gem_tiny": (112, 112),
    "itaclip_tiny": (112, 112),
    "corrclip": (336, 336),
    "corrclip_cityscapes": (224, 224),
    "corrclip_tiny": (112, 112),
    "corrclip_v2_bank": (448, 608),
    "ovsskit_bank": (336, 448),
    "ovsskit_bank_tiny": (112, 152),
    "groupvit": (448, 448),
    "proxyclip": (336, 336),
    "proxyclip_cityscapes": (224, 224),
    "proxyclip_tiny": (112, 112),
    "radseg": (224, 224),
    "radseg_tiny": (112, 112),
    "reco": (320, 426),
    "reco_tiny": (112, 149),
    "resclip": (224, 224),
    "resclip.toml": (336, 448),
    "resclip_voc20": (336, 448),
    "resclip_tiny": (112, 112),
    "sam3": (75, 100),
    "opendas": (100, 100),
    "opendas_tiny": (200, 200),
    "active_sam": (75, 100),
    "sc_clip": (224, 224),
    "simzss": (448, 448),
    "sc_clip_tiny": (112, 112),
    "tcl": (448, 448),
    "tips": (448, 448),
    "talk2dino": (448, 448),
    "dino_txt": (448, 448),
    "lposs": (224, 224),
    "lposs_tiny": (112, 112),
    "lposs_plus_tiny": (112, 112),
    "ovsskit_clip": (224, 224),
    "ovsskit_clip_tiny": (112, 112),
    "clip_es": (80, 112),
    "tagclip": (80, 112),
    "clip_es_tiny": (80, 104),
    "student_tiny": (75, 100),
    "tagclip_tiny": (80, 104),
}
"""What the network sees of 75 x 100 pixels (height, width), by how the recipe's name begins."""


class Looking(ToyBackbone):
    """Note the sizes of the images that the network sees."""

    _sizes: set[tuple[int, int]] = PrivateAttr(default_factory=set)
    _wholes: set[tuple[int, int]] = PrivateAttr(default_factory=set)
    """Of images that became one vector, which count where nothing else is looked at."""

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        self._sizes |= {image.size for image in images}
        return super().hidden(images, layers)

    def encode_image(self, images: Sequence[Image]) -> Any:
        self._wholes |= {image.size for image in images}
        return super().encode_image(images)

    def find_foreground(self, images: Sequence[Image]) -> list[ForegroundMap]:
        self._sizes |= {image.size for image in images}
        return super().find_foreground(images)

    def decode_patches(self, images: Sequence[Image], names: Any) -> list[Any]:
        self._sizes |= {image.size for image in images}
        return super().decode_patches(images, names)

    def trunk_features(self, images: Sequence[Image]) -> list[PatchFeatures]:
        self._sizes |= {image.size for image in images}
        return super().trunk_features(images)

    def describe_patches(self, images: Sequence[Image]) -> list[PatchFeatures]:
        self._sizes |= {image.size for image in images}
        return super().describe_patches(images)

    def group_patches(self, images: Sequence[Image]) -> list[Groups]:
        self._sizes |= {image.size for image in images}
        return super().group_patches(images)

    def ground_words(self, images: Sequence[Image], words: Any, least: float) -> list[Any]:
        self._sizes |= {image.size for image in images}
        return super().ground_words(images, words, least)

    def segment_classes(self, images: Sequence[Image]) -> list[Any]:
        self._sizes |= {image.size for image in images}
        return super().segment_classes(images)

    def cross_attention(self, images: Sequence[Image], captions: Any, **how: Any) -> list[Any]:
        self._sizes |= {image.size for image in images}
        return super().cross_attention(images, captions, **how)


class FirstWindow(WindowGathered):
    """Look through all windows, and hand on what the first gave: a toy's patches fill none."""

    def run(self, image: Image) -> Wraps[Gathered]:
        """Return what the first window gave."""
        outs = yield self.windows(image)
        return outs[0]["gathered"]


def first_window(stage: Stage) -> Stage:
    """Return a stage that does not put windows together, if it is one that does."""
    if not isinstance(stage, WindowGathered):
        return stage
    fields = {name: getattr(stage, name) for name in type(stage).model_fields}
    return FirstWindow(**{**fields, "name": stage.address})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_network_sees_the_image_at_the_size_that_the_method_says(path: Path) -> None:
    addresses = {stage.address for stage in walk(load_recipe(path).plan.stages)}
    changes = {
        "sliding_window": "stride=448",  # fewer windows, of the same size
        "window_features": "window=0",  # the toy's guide has patches that no window ends with
        "region_tokens": f"layers={[*range(1, Looking().block_count + 1)]}",
    }
    recipe = load_recipe(path, [f"{on}.{one}" for on, one in changes.items() if on in addresses])
    given = {
        "present": Present((1, 2)),
        "prototypes": Prototypes(example(Prototypes).data[:2], (1, 2)),
        "regions": Regions(torch.ones(75, 100, dtype=torch.int64)),
        "retrieved": example(RegionFeatures),
        "retrieved_second": example(RegionFeatures),
    }
    stages = [first_window(one) for one in recipe.plan.stages if one.writes not in given]
    while not any(one.batches for one in walk(stages[-1:])):
        stages.pop()  # nothing after the network is asked for
    model = Looking()
    links = {
        link.node.address: dict.fromkeys(link.models, "backbone")
        for link in flatten(recipe.plan.links)
    }
    state = {
        "image": Image(torch.rand(3, 75, 100)),
        "vocabulary": make_vocabulary(["dog", "grass"]),
        **given,
    }
    with torch.no_grad():
        Driver({"backbone": model}, links).run(stages, [state])
    best = max((name for name in SEEN if path.name.startswith(name)), key=len)
    assert (model._sizes or model._wholes) == {SEEN[best]}
