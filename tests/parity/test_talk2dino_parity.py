"""Talk2DINO and its recipe against what its authors' own code computes (`talk2dino/README.md`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_family_set import write_recipe
from recording import NOISES, CaseFiles, check_labels, having
from sets import choose, find

from ovsskit.backbones.dino.talk2dino import Talk2dino
from ovsskit.engine.driver import State
from ovsskit.engine.model import Backbone, EncodesText
from ovsskit.engine.stage import Stage, walk
from ovsskit.engine.values import Image, TextFeatures, Vocabulary
from ovsskit.recipe.build import load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.wrap.sliding_window import SlidingWindow

SET = "talk2dino"
Tensor = torch.Tensor


class RecordedTexts(Backbone, EncodesText):
    """Have recorded vectors for sentences, in their order."""

    vectors: Any

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return them."""
        found: Tensor = self.vectors.flatten(0, 1)
        assert len(texts) == len(found)
        return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"case": having("pamr"), "slide": having("labels")})


def make(recording: CaseFiles, folder: Path, case: str) -> Talk2dino:
    """Return the tower, with the heads that a case says, and the projection."""
    files, heads = recording.facts["weights"], recording.facts["cases"][case].get("heads", 1)
    shutil.copy(recording.folder / files["tower"], folder / "tower.safetensors")
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": heads}))
    projection = str(recording.folder / files["projection"])
    return Talk2dino(weights=str(folder / "tower.safetensors"), projection=projection)


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> CaseFiles:
    return CaseFiles(find(parity_dir, SET))


def check(ours: Tensor, recording: CaseFiles, case: str, name: str) -> None:
    """Hold values to a case; others of as many heads are computed alike, but for refined masks."""
    cases = recording.facts["cases"]

    def kind(one: str) -> tuple[int, object]:
        return cases[one].get("heads", 1), name == "masks" and cases[one].get("pamr")

    alike = [one for one in cases if kind(one) == kind(case)]
    recording.check(ours, case, name, alike=alike)


def words(recording: CaseFiles) -> Vocabulary:
    names = tuple(f"word {index}" for index in range(len(recording.tensors("texts")["embedding"])))
    labels = tuple(range(1 + len(names)))
    return Vocabulary(names, labels, ((0, 0, 0),) * len(labels))


def run(
    stages: Sequence[Stage], image: Image, recording: CaseFiles, talk2dino: Talk2dino
) -> dict[str, Any]:
    """Return what every stage wrote last."""
    kept: dict[str, Any] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        kept[stage.address] = states[0][stage.writes]

    texts = RecordedTexts(vectors=recording.tensors("texts")["sentences"])
    pipeline = Pipeline.of(stages, {"backbone": talk2dino, "texts": texts}, device="cpu")
    pipeline.run_many([image], words(recording), keep)
    return kept


def test_a_window(recording: CaseFiles, case: str, tmp_path: Path) -> None:
    image, stages = recording.image(case), load_recipe("talk2dino").plan.stages
    talk2dino = make(recording, tmp_path, case)
    own = {stage.address: stage for stage in walk(stages)}
    [patches] = own["describe_patches"].run_batch([image], talk2dino)  # type: ignore[attr-defined]
    check(patches.vectors, recording, case, "patches")
    texts = RecordedTexts(vectors=recording.tensors("texts")["sentences"])
    [means] = own["encode_text"].run_batch([words(recording)], texts)  # type: ignore[attr-defined]
    [embedding] = own["project_text"].run_batch([means], talk2dino)  # type: ignore[attr-defined]
    check(embedding.data, recording, "texts", "embedding")
    assert isinstance(embedding, TextFeatures)
    scores = own["text_similarity"].run(patches, embedding)
    check(scores.data, recording, case, "similarity")
    masks = own["upsample"].run(own["sigmoid"].run(scores), image)
    if recording.facts["cases"][case]["pamr"]:
        masks = own["pamr"].run(masks, image)
    check(masks.data, recording, case, "masks")


def test_a_cleaned_window(recording: CaseFiles, tmp_path: Path) -> None:
    case = "cleaned"
    image, stages = recording.image(case), load_recipe("talk2dino_voc21").plan.stages
    [window] = [stage for stage in stages if isinstance(stage, SlidingWindow)]
    texts = [stage for stage in stages if stage.writes == "text_features"]
    kept = run([*texts, *window.inner], image, recording, make(recording, tmp_path, case))
    check(kept["attend"].vectors, recording, case, "patches")
    check(kept["mix"].data, recording, case, "cleaned")
    check(kept["pamr"].data, recording, case, "masks")
    noise = recording.facts["cases"][case]["float64_largest_difference"]["cleaned"]
    changed = (kept["mix"].data - kept["sigmoid"].data).abs().max()
    assert changed > 1e3 * NOISES * noise


def test_the_recipe(recording: CaseFiles, slide: str, tmp_path: Path) -> None:
    image, facts = recording.image(slide), recording.facts
    values = {
        "resize_image.short_side": min(image.size),
        "sliding_window.window": facts["window"],
        "sliding_window.stride": facts["stride"],
        "constant_background.at": facts["background"],
    }
    name = "talk2dino_voc21" if "heads" in facts["cases"][slide] else "talk2dino_context60"
    recipe = write_recipe(tmp_path, name, values)
    kept = run(recipe.plan.stages, image, recording, make(recording, tmp_path, slide))
    check(kept["sliding_window"].data, recording, slide, "scores")
    check_labels(kept["label_map"].ids, recording.tensors(slide)["labels"])
