"""TIPSv2 and its recipe against what its authors' own code computes (`tips/README.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_family_set import write_recipe
from recording import CaseFiles, check_labels, having
from sets import choose, find

from ovsskit.backbones.tips.tips import Tips
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import TextFeatures, Vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.attention.attend import Attend
from ovsskit.stages.attention.identity_attention import IdentityAttention
from ovsskit.stages.maps.text_similarity import TextSimilarity
from ovsskit.stages.network.encode_hidden import EncodeHidden
from ovsskit.stages.text.encode_text import EncodeText

SET = "tips"
Tensor = torch.Tensor


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"case": having("grid"), "slide": having("labels")})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> CaseFiles:
    return CaseFiles(find(parity_dir, SET))


@pytest.fixture(scope="module")
def tips(recording: CaseFiles) -> Tips:
    return Tips(weights=str(recording.folder))


def words(recording: CaseFiles) -> Vocabulary:
    names = tuple(recording.facts["words"])
    labels = tuple(range(1 + len(names)))
    return Vocabulary(names, labels, ((0, 0, 0),) * len(labels))


def texts(recording: CaseFiles) -> TextFeatures:
    labels = tuple(range(1, 1 + len(recording.facts["words"])))
    return TextFeatures(recording.tensors("texts")["features"], labels)


def test_texts(recording: CaseFiles, tips: Tips) -> None:
    recording.check(tips.encode_text(recording.facts["words"]), "texts", "alone")
    [found] = EncodeText(templates="tcl_9").run_batch([words(recording)], tips)
    recording.check(found.data, "texts", "features")


def test_patches_and_their_values(recording: CaseFiles, tips: Tips, case: str) -> None:
    image = recording.image(case)
    [patches] = tips.describe_patches([image])
    assert list(patches.grid) == recording.facts["cases"][case]["grid"]
    recording.check(patches.vectors, case, "patches")
    [hidden] = EncodeHidden().run_batch([image], tips)
    attention = IdentityAttention().run(hidden, tips)
    values = Attend(residual=True, feed_forward=True).run(hidden, attention, tips)
    recording.check(values.vectors, case, "values")
    scores = TextSimilarity().run(values, texts(recording))
    recording.check(scores.data, case, "scores")


def test_a_whole_image(recording: CaseFiles, tips: Tips, case: str) -> None:
    image, side = recording.image(case), tips.network.vision_model.config.image_size
    if image.size == (side, side):
        recording.check(tips.encode_image([image])[0], case, "class_token")


def test_the_recipe(recording: CaseFiles, tips: Tips, slide: str, tmp_path: Path) -> None:
    facts = recording.facts
    image = recording.image(slide)
    values = {
        "crop_image.short_side": min(image.size),
        "sliding_window.window": facts["window"],
        "sliding_window.stride": facts["stride"],
    }
    recipe = write_recipe(tmp_path, "tips", values)
    kept: dict[str, Any] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        kept[stage.address] = states[0][stage.writes]

    pipeline = Pipeline.of(recipe.plan.stages, {"backbone": tips}, device="cpu")
    pipeline.run_many([image], words(recording), keep)
    recording.check(kept["sliding_window"].data, slide, "probabilities")
    check_labels(kept["label_map"].ids - 1, recording.tensors(slide)["labels"])
