"""One `ovsskit bank build`: find images of every class among unlabelled ones, and what they share.

What models make of an image is kept in the user's cache, so that a build that was stopped goes on
when the same command is given again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.bank.callbacks import BankCallbacks
from ovsskit.bank.regions import build_regions, retrieving
from ovsskit.bank.table import BankTable
from ovsskit.engine.bank_file import note_model
from ovsskit.engine.images import read_image
from ovsskit.engine.model import (
    Backbone,
    DescribesPatches,
    EncodesImageAndText,
    EncodesText,
)
from ovsskit.engine.notices import hearing
from ovsskit.engine.prototype_bank import Bank, write_bank
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import MissingCapability, Place
from ovsskit.files.cache import cache_folder
from ovsskit.files.inputs import find_images
from ovsskit.files.writing import see_free
from ovsskit.ops.co_segmentation import common_prototype, nearest, without_context
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.options import RecipeOptions, choose_named
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.crop_image import CropImage
from ovsskit.stages.maps.sigmoid import Sigmoid
from ovsskit.stages.maps.text_similarity import TextSimilarity
from ovsskit.stages.network.classify import Classify
from ovsskit.stages.network.describe_patches import DescribePatches
from ovsskit.stages.text.encode_text import EncodeText

OUT = Path("ovsskit-bank")
AT_ONCE = 16
"""How many images are read at a time."""
MEMORY_BYTES, DISK_BYTES = 1 << 28, 1 << 33
NEEDS = {
    "retrieval": EncodesImageAndText,
    "features": DescribesPatches,
    "attention": DescribesPatches,
}


@dataclass(frozen=True)
class BankOptions(RecipeOptions):
    """Hold what a person asked of `ovsskit bank build`."""

    images: tuple[str, ...] = ()
    force: bool = False


def build_bank(options: BankOptions, callbacks: BankCallbacks) -> Path:
    """Build the bank that a recipe reads from images without labels, and return its file.

    A recipe that retrieves regions gets a bank of regions; every other one a bank of its classes.

    Raises:
        OvsskitError: something is wrong with the recipe, classes, images, output or weights.
    """
    with hearing(callbacks):
        recipe = load_recipe(options.recipe, options.overrides)
        path = options.out or OUT / f"{recipe.title}.safetensors"
        see_free(path, force=options.force)
        images = find_images(options.images)
        stage = retrieving(recipe)
        if stage is not None:
            held = build_regions(recipe, stage, images, path, options.device, callbacks)
            callbacks.end(path, held, f"{stage.address}.file")
            return path
        classes = choose_named(options.classes, options.classes_file, recipe.plan.vocabulary)
        builder = Builder(recipe, recipe.settings_of(BankTable), options.device, callbacks)
        bank = builder.build(images, [*classes.background_words, *classes.names])
        write_bank(path, bank)
        callbacks.end(path, {"classes": str(len(bank.words))}, "read_bank.file")
        return path


class Builder:
    """Make the prototypes of words by the models of a recipe."""

    def __init__(
        self, recipe: Recipe, settings: BankTable, device: str, callbacks: BankCallbacks
    ) -> None:
        self.settings, self.device, self.callbacks = settings, device, callbacks
        self.models = {role: _model(recipe, getattr(settings, role), role) for role in NEEDS}
        self.store = Store(cache_folder() / "bank", MEMORY_BYTES, DISK_BYTES)

    def build(self, images: Sequence[Path], classes: Sequence[str]) -> Bank:
        """Return the bank of classes; words of the context come first."""
        settings = self.settings
        computed = [word for word in classes if word not in settings.same_as]
        context = list(settings.context)
        words = list(dict.fromkeys([*context, *computed]))
        vocabulary = make_vocabulary(words)
        retrieved = self.retrieve(images, vocabulary)
        self.callbacks.begin("prototypes", len(words))
        found: dict[str, Float[torch.Tensor, " width"]] = {}
        for word in words:
            before = [found[other] for other in context if other in found]
            some = [images[index] for index in retrieved[word]]
            found[word] = self.prototype(some, word, vocabulary, before)
            self.callbacks.tell(1)
        vectors = [found[settings.same_as.get(word, word)] for word in classes]
        notes = {
            "models": {role: note_model(model) for role, model in self.models.items()},
            "settings": settings.model_dump(mode="json"),
            "images": {word: [images[i].name for i in rows] for word, rows in retrieved.items()},
        }
        digest = str(notes["models"]["features"]["digest"])
        return Bank(tuple(classes), torch.stack(vectors), digest, notes)

    def retrieve(self, images: Sequence[Path], vocabulary: Vocabulary) -> dict[str, list[int]]:
        """Return for each word the images that are most like it, best first."""
        stages = [EncodeText(templates=self.settings.templates), Classify()]
        pipeline = self._pipeline(stages, "retrieval")
        self.callbacks.begin("images", len(images))
        rows = []
        for group in _groups(images):
            for state in pipeline.run_many(group, vocabulary):
                rows.append(state["scores"].data.flatten().cpu())
            self.callbacks.tell(len(group))
        scores = torch.stack(rows)
        count = self.settings.images_per_class
        return {
            word: nearest(scores, torch.eye(len(vocabulary.names))[index], count)
            for index, word in enumerate(vocabulary.names)
        }

    def prototype(
        self,
        images: Sequence[Path],
        word: str,
        vocabulary: Vocabulary,
        context: Sequence[Float[torch.Tensor, " width"]],
    ) -> Float[torch.Tensor, " width"]:
        """Return the vector of what these images of a word have in common."""
        crop = CropImage(short_side=self.settings.side, interpolation="bilinear")
        patches = DescribePatches(reads={"image": "resized"})
        looks = self._pipeline([crop, patches], "features")
        likeness = [EncodeText(templates=self.settings.templates), TextSimilarity()]
        sharp = Sigmoid(scale=self.settings.scale)
        where = self._pipeline([crop, patches, *likeness, sharp], "attention")
        row = vocabulary.names.index(word)
        features, weights = [], []
        for group in _groups(images):
            seen = zip(
                looks.run_many(group, vocabulary), where.run_many(group, vocabulary), strict=True
            )
            for look, place in seen:
                vectors = look["patch_features"].data
                features.append(vectors.flatten(1).T)
                plane = place["scores"].data[row][None, None]
                size = vectors.shape[1:]
                weights.append(
                    torch.nn.functional.interpolate(plane, size, mode="bilinear").flatten()
                )
        together = torch.stack(features)
        kept = without_context(
            torch.stack(weights), together, torch.stack([*context]) if context else together[0, :0]
        )
        return common_prototype(together, kept, self.settings.columns).prototype.cpu()

    def _pipeline(self, stages: Sequence[Any], role: str) -> Pipeline:
        models = {"backbone": self.models[role]}
        return Pipeline.of(stages, models, device=self.device, store=self.store)


def _groups(paths: Sequence[Path]) -> Iterator[list[Image]]:
    for start in range(0, len(paths), AT_ONCE):
        yield [read_image(path) for path in paths[start : start + AT_ONCE]]


def _model(recipe: Recipe, name: str, role: str) -> Backbone:
    """Return a recipe's model for a part of the building."""
    model = recipe.plan.models.get(name)
    needs = [NEEDS[role], *([EncodesText] if role == "attention" else [])]
    if model is not None and all(isinstance(model, need) for need in needs):
        return model
    wanted = " and ".join(need.__name__ for need in needs)
    what = f"`bank.{role}` is `{name}`, which is not a model of the recipe that is {wanted}."
    there = f"Its models: {', '.join(recipe.plan.models) or 'none'}"
    fix = f"Add [models.{name}], or name another under [bank]."
    raise MissingCapability(what, there=there, fix=fix, where=Place(str(recipe.path)))
