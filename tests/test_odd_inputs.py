"""TagCLIP, CLIP-ES and CLIP-DIY on images and lists of classes that are out of the ordinary.

CaR's stand in `test_car_recipe.py`.
"""

from __future__ import annotations

import logging

import pytest
import torch
from clip_twin import clip_twin
from dino_twin import decoder_twin, dino_twin

import ovsskit
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import ForegroundMap, Image, Present, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline

BY_BOXES = ("clip_es", "tagclip")
RECIPES = (*BY_BOXES, "clip_diy")
WORDS = make_vocabulary(["dog", "cat", "grass"], negatives=["road"])


def load(recipe: str) -> Pipeline:
    weights = [f"backbone.weights={clip_twin()}", "backbone.model="]
    if recipe == "clip_diy":
        found = (f"weights={dino_twin()}", f"decoder={decoder_twin()}")
        weights += [f"models.saliency.{one}" for one in found]
        weights += ["crop_grid.sizes=[256, 128]"]
    if recipe == "tagclip":
        weights += ['tag_text.templates=["a {}"]']  # of 85
    return ovsskit.load(recipe, *weights, device="cpu")


def noise(height: int, width: int) -> Image:
    draw = torch.Generator().manual_seed(4)
    return Image((torch.rand(3, height, width, generator=draw) * 255).round() / 255, "noise")


def labels(pipeline: Pipeline, image: Image, words: Vocabulary = WORDS) -> torch.Tensor:
    [state] = pipeline.run_many([image], words)
    found: torch.Tensor = state["labels"].ids
    assert found.shape == image.size
    assert set(found.unique().tolist()) <= set(words.ids)
    return found


def with_stage(pipeline: Pipeline, stage: Stage) -> Pipeline:
    """Return a pipeline in which a stage stands for the one that writes its slot."""
    stages = [stage if one.writes == stage.writes else one for one in pipeline.plan.stages]
    return Pipeline.of(stages, pipeline.models, device="cpu")


class Nothing(Stage, writes="present"):
    """Take no class as present."""

    def run(self, image: Image) -> Present:
        """Return none."""
        return Present(())


class NoForeground(Stage, writes="foreground"):
    """Find no thing anywhere."""

    def run(self, image: Image) -> ForegroundMap:
        """Return zeros."""
        return ForegroundMap(torch.zeros(image.size))


@pytest.mark.parametrize("recipe", BY_BOXES)
def test_an_image_of_which_no_class_is_kept_is_background(recipe: str) -> None:
    assert not labels(with_stage(load(recipe), Nothing()), noise(40, 50)).any()


def test_an_image_without_foreground_is_background() -> None:
    pipeline = with_stage(load("clip_diy"), NoForeground())
    stages = [
        one.model_copy(update={"negative": "raise"}) if one.address == "gate_background" else one
        for one in pipeline.plan.stages
    ]
    assert not labels(Pipeline.of(stages, pipeline.models, device="cpu"), noise(40, 50)).any()


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_class(recipe: str) -> None:
    labels(load(recipe), noise(40, 50), make_vocabulary(["dog"]))


@pytest.mark.parametrize("recipe", RECIPES)
def test_hundreds_of_classes(recipe: str) -> None:
    words = make_vocabulary([f"class {number}" for number in range(500)])
    labels(load(recipe), noise(32, 48), words)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("size", [(5, 40), (40, 5), (1, 1)])
def test_images_with_less_than_a_row_of_patches(recipe: str, size: tuple[int, int]) -> None:
    found = labels(load(recipe), noise(*size))
    if recipe in BY_BOXES:
        assert not found.any(), "the only row or column of patches is in no box: all are empty"


@pytest.mark.parametrize("recipe", RECIPES)
def test_words_longer_than_the_context_are_cut_and_said(
    recipe: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = make_vocabulary(["dog", " ".join(["very"] * 90) + " cat"])
    with caplog.at_level(logging.WARNING):
        labels(load(recipe), noise(32, 48), words)
    assert "the model reads 77 tokens" in caplog.text
