"""CLIP-DIY's steps, and FOUND's foreground, against recordings of the released code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_diy_set import Case, Recording, Tensor, cases
from clip_family_set import Tower
from PIL import Image as Pillow
from sets import choose, find

from ovsskit.backbones.dino.found import Found
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import ForegroundMap, Image, Logits, TextFeatures
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.gate_background import fit
from ovsskit.stages.network.classify import Classify
from ovsskit.stages.wrap.crop_grid import CropGrid

SET = "clip_diy"
STEP = 7
"""Every so manieth patch is recorded."""
LIMITS = {
    "crop.pixels": 1e-5,
    "crop.pixel_means": 1e-5,
    "saliency.features": 1e-4,
    "saliency.logits": 1e-4,
    "saliency.map": 1e-5,
    "crop.embeddings": 1e-4,
    "crop.scores": 1e-5,
    "map": 1e-5,
    "scores": 1e-5,
    "gated": 1e-5,
}
"""How far numbers may be from the recorded ones, by how their names begin."""
LABELS = 1e-3
"""Share of pixels whose labels may differ, and at least one."""
KNOWN = (*LIMITS, "picture", "text", "resized", "labels")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"name": cases})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, SET))


def recipe_of(case: Case, recording: Recording) -> Recipe:
    """Return the shipped recipe of a case; it has the settings that the set names."""
    recipe = load_recipe("clip_diy_demo" if case.is_demo else "clip_diy")
    grid: Any = stage_of(recipe, "crop_grid")
    constants = recording.facts["constants"]
    assert list(grid.sizes) == constants["crop_sizes"]
    assert grid.step == constants["step"]
    return recipe


def stage_of(recipe: Recipe, address: str) -> Stage:
    [found] = [stage for stage in recipe.plan.stages if stage.address == address]
    return found


def check(ours: Tensor, case: Case, name: str) -> None:
    """Hold numbers to a recording."""
    theirs = case.tensors[name]
    assert ours.shape == theirs.shape, name
    limit = next(value for start, value in LIMITS.items() if name.startswith(start))
    found = float((ours - theirs).abs().max())
    assert found <= limit, f"{name}: {found:.2e} from the recording, {limit:.0e} allowed"


def check_labels(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    differing = int((ours != theirs).sum())
    assert differing <= max(1, LABELS * theirs.numel()), f"{differing} of {theirs.numel()} differ"


def found_of(recording: Recording, case: Case, folder: Path) -> Found:
    return Found(**recording.write_dino(folder / "dino", case.facts["bias"]))


def tower_of(recording: Recording, folder: Path) -> Tower:
    return Tower(**recording.write_clip(folder / "clip"))


def crops_of(case: Case, recipe: Recipe) -> list[Image]:
    """Return the crops that the recipe cuts from the recorded square, in order."""
    windows = next(stage_of(recipe, "crop_grid").run(case.resized))
    return [case.resized.crop(window) for window in windows]


def lay_out(case: Case, grid: CropGrid, first: int = 0) -> Logits:
    """Return the maps that a grid makes of the recorded scores, from those of one crop on."""
    chain = grid.run(case.resized)
    count = len(next(chain))
    labels = tuple(range(case.tensors["crop.scores"].shape[1]))
    rows = case.tensors["crop.scores"][first : first + count]
    outs = [{"scores": Logits(row[:, None, None].clone(), labels)} for row in rows]
    with pytest.raises(StopIteration) as finished:
        chain.send(outs)
    found: Logits = finished.value.value
    return found


def test_every_tensor_has_a_test(name: str, recording: Recording) -> None:
    unknown = [one for one in recording.case(name).tensors if not one.startswith(KNOWN)]
    assert not unknown, f"no test reads {', '.join(unknown)}"


def test_square(name: str, recording: Recording) -> None:
    case = recording.case(name)
    stage = stage_of(recipe_of(case, recording), "square_image")
    found: Image = stage.run(case.image)
    assert torch.equal(found.pixels, case.tensors["resized"])


def test_foreground(name: str, recording: Recording, tmp_path: Path) -> None:
    case = recording.case(name)
    found = found_of(recording, case, tmp_path)
    [hidden] = found.hidden([case.seen], [found.block_count])
    assert list(hidden.grid) == case.facts["saliency_grid"]
    _, keys, _ = found.project(hidden, found.block_count)
    check(torch.cat([*keys[:, 1:]], 1)[::STEP], case, "saliency.features_step")
    check(found.logits(hidden), case, "saliency.logits")
    [plane] = found.find_foreground([case.seen])
    if "saliency.map" in case.tensors:
        check(plane.data[::4, ::4], case, "saliency.map")
    check(fit(plane.data, case.resized.size)[::4, ::4], case, "saliency.map256_sub4")


def test_crops(name: str, recording: Recording, tmp_path: Path) -> None:
    case = recording.case(name)
    crops = crops_of(case, recipe_of(case, recording))
    assert len(crops) == sum(case.facts["crops"])
    prepare = tower_of(recording, tmp_path).preprocess
    pixels = torch.stack([prepare(Pillow.fromarray(crop.pixels.numpy())) for crop in crops])
    check(pixels[0, :, ::8, ::8], case, "crop.pixels_first_sub8")
    check(pixels[-1, :, ::8, ::8], case, "crop.pixels_last_sub8")
    check(pixels.mean((2, 3)), case, "crop.pixel_means")


def test_scores_of_crops(name: str, recording: Recording, tmp_path: Path) -> None:
    case = recording.case(name)
    if not recording.has_clip:
        pytest.skip("CLIP's tower is not among the weights of this set")
    crops = crops_of(case, recipe_of(case, recording))
    tower = tower_of(recording, tmp_path)
    check(tower.encode_image(crops), case, "crop.embeddings")
    labels = tuple(range(len(case.tensors["text"])))
    texts = [TextFeatures(case.tensors["text"], labels)] * len(crops)
    scores = Classify().run_batch(crops, texts, tower)
    check(torch.stack([one.data.flatten() for one in scores]), case, "crop.scores")


def test_maps_of_every_size(name: str, recording: Recording) -> None:
    case = recording.case(name)
    grid: Any = stage_of(recipe_of(case, recording), "crop_grid")
    first = 0
    for size, count in zip(grid.sizes, case.facts["crops"], strict=True):
        maps = lay_out(case, grid.model_copy(update={"sizes": (size,)}), first)
        check(maps.data[:, ::8, ::8], case, f"map{round(count**0.5)}_sub8")
        first += count
    check(lay_out(case, grid).data[:, ::4, ::4], case, "scores_sub4")


def test_labels_of_recorded_scores(name: str, recording: Recording, tmp_path: Path) -> None:
    case = recording.case(name)
    recipe = recipe_of(case, recording)
    grid: Any = stage_of(recipe, "crop_grid")
    scores = lay_out(case, grid)
    [plane] = found_of(recording, case, tmp_path).find_foreground([case.seen])
    names = [stage.address for stage in recipe.plan.stages]
    rest = recipe.plan.stages[names.index("gate_background") :]
    kept = follow(rest, scores, plane, case)
    if "gated_sub4" in case.tensors:
        check(kept["gate_background"][:, ::4, ::4], case, "gated_sub4")
    check_result(case, kept)
    if "labels_without_saliency" in case.tensors:
        theirs = case.tensors["labels_without_saliency"]
        check_labels(scores.data.argmax(0)[::4, ::4], theirs.long())


def follow(
    stages: Sequence[Stage], scores: Logits, plane: ForegroundMap, case: Case
) -> dict[str, Tensor]:
    """Return what these stages write of scores and a foreground."""
    slots: dict[str, Any] = {"scores": scores, "foreground": plane, "image": case.image}
    slots["vocabulary"], kept = case.vocabulary, {}
    for stage in stages:
        reads = {"label_map": ("scores", "vocabulary", "image"), "softmax": ("scores",)}
        chosen = reads.get(stage.address, ("scores", "foreground"))
        slots[stage.writes] = stage.run(**{name: slots[name] for name in chosen})
        kept[stage.address] = getattr(slots[stage.writes], "data", None)
    kept["label_map"] = slots["labels"].ids
    return kept


def check_result(case: Case, kept: dict[str, Tensor]) -> None:
    """Compare labels: the demo's are recorded at the image's size, others at the square's."""
    theirs = case.tensors["labels"].long()
    if not case.is_demo:
        check_labels(kept["softmax"].argmax(0), theirs)
        rows, columns = (
            torch.arange(new) * old // new
            for old, new in zip(theirs.shape, case.image.size, strict=True)
        )
        theirs = theirs[rows[:, None], columns]
    check_labels(kept["label_map"], theirs)


def test_whole_recipe(name: str, recording: Recording, tmp_path: Path) -> None:
    case = recording.case(name)
    if not recording.has_clip:
        pytest.skip("CLIP's tower is not among the weights of this set")
    recipe = recipe_of(case, recording)
    models = {
        "backbone": tower_of(recording, tmp_path).with_words(case.tensors["text"]),
        "saliency": found_of(recording, case, tmp_path),
    }
    kept: dict[str, Tensor] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        value = states[-1][stage.writes]
        kept[stage.address] = (
            value.ids if stage.writes == "labels" else getattr(value, "data", None)
        )

    pipeline = Pipeline.of(recipe.plan.stages, models, device="cpu")
    pipeline.run_many([case.image], case.vocabulary, keep)
    check(kept["crop_grid"][:, ::4, ::4], case, "scores_sub4")
    if "gated_sub4" in case.tensors:
        check(kept["gate_background"][:, ::4, ::4], case, "gated_sub4")
    check_result(case, kept)
