"""RADSeg's recipe against recordings of the released code: what RADIO gives windows is given.

RADIO itself is held to transformers' own network in `tests/backbones/test_radio.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from radseg_set import PATCH, GivenFeatures, Recording, Tensor, Texts, blocks, thinned
from recorded_image import instead_of_resizing
from runs import runs
from sets import choose, find

from ovsskit.backbones.radio.radio import Radio
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage, walk
from ovsskit.engine.values import Attention, Hidden, Image
from ovsskit.recipe.build import load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.attention.feed_forward import FeedForward
from ovsskit.stages.attention.gather_values import GatherValues
from ovsskit.stages.wrap.window_gathered import WindowGathered

SET = "radseg"
LIMITS = {
    "first_attention_rows": 1e-4,
    "recursive_attention_rows": 1e-4,
    "first_output": 1e-3,
    "second_output": 1e-3,
    "block_output": 2e-3,
    "resized_image": 1e-4,
    "window_places_in_patches": 0.0,
    "spliced": 1e-5,
    "global_attention_rows": 1e-4,
    "aggregated": 1e-4,
    "language_features": 1e-3,
    "patch_probabilities": 5e-4,
    "largest_probability_per_class": 5e-4,
    "pruned_probabilities": 5e-4,
}
"""How far numbers may be from the recorded ones, by how their names begin."""
LABELS = 1e-3
"""Share of pixels whose labels may differ."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"run": runs, "block": blocks})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, SET))


def check(ours: Tensor, theirs: Tensor, name: str) -> None:
    ours = thinned(ours, name)
    limit = next(one for start, one in LIMITS.items() if name.startswith(start))
    assert ours.shape == theirs.shape, name
    found = float((ours - theirs).abs().max())
    assert found <= limit, f"{name}: {found:.2e} from the recording, {limit:.0e} allowed"


def test_last_block(block: str, recording: Recording, tmp_path: Path) -> None:
    scale = float(block.removeprefix("scaling_"))
    recipe = load_recipe("radseg", [f"recursive_attention.scale={scale}"])
    stages = {stage.address: stage for stage in walk(recipe.plan.stages)}
    backbone = Radio(weights=str(recording.write_block(tmp_path / "block.pth.tar")))
    found: dict[str, list[Tensor]] = {}
    for hidden in recording.block_inputs():
        for name, one in replaced_block(stages, backbone, hidden).items():
            found.setdefault(name, []).append(one)
    theirs = recording.tensors(f"block.{block}")
    assert theirs
    for name, one in theirs.items():
        ours = found[name.partition("_step")[0]]
        check(torch.cat(ours) if "rows" in name else torch.stack(ours), one, name)


def replaced_block(stages: dict[str, Any], backbone: Radio, hidden: Hidden) -> dict[str, Tensor]:
    """Return what is recorded of the block, of all tokens; what leaves it is the recipe's."""
    first = stages["self_attention"].run(stages["self_similarity"].run(hidden, backbone))
    second = stages["recursive_attention"].run(first, hidden, backbone)
    whole = backbone.gather(hidden, second, residual=True)
    left = backbone.feed_forward(1, whole)
    gather, follow = stages["gather_values"], stages["feed_forward"]
    assert isinstance(gather, GatherValues)
    assert isinstance(follow, FeedForward)
    patches = follow.run(gather.run(hidden, second, backbone), backbone).vectors
    torch.testing.assert_close(patches, left[hidden.others :], atol=1e-5, rtol=1e-5)
    return {
        "first_attention_rows": first.data[0],
        "first_output": gathered(backbone, hidden, first),
        "recursive_attention_rows": second.data[0],
        "second_output": gathered(backbone, hidden, second),
        "block_output": left,
    }


def gathered(backbone: Radio, hidden: Hidden, attention: Attention) -> Tensor:
    return backbone.gather(hidden, attention, residual=False)


def test_run(run: str, recording: Recording, tmp_path: Path) -> None:
    facts, theirs = recording.facts["runs"][run], recording.tensors(run)
    found, windows = follow(run, recording, tmp_path)
    assert facts.get("windows", 1) == len(windows)
    compared = set()
    for name, one in theirs.items():
        bare = name.partition("_step")[0].partition("_sub")[0]
        compared.add(bare)
        if bare != "labels":
            check(found[bare], one, name)
    differing = int((found["labels"] != theirs["labels"]).sum())
    assert differing <= LABELS * theirs["labels"].numel(), f"{differing} labels differ"
    assert {"labels", "pruned_probabilities"} <= compared


def follow(run: str, recording: Recording, folder: Path) -> tuple[dict[str, Tensor], Sequence[Any]]:
    """Return what is recorded of a run, and the windows."""
    facts, picture = recording.facts["runs"][run], recording.image(run)
    stages = stages_of(facts, picture)
    recorded = recording.window_features(run)
    GivenFeatures.left[:] = recorded
    models = {
        "backbone": Radio(weights=str(recording.write_head(folder / "head.pth.tar"))),
        "texts": Texts(weights="recorded").with_words(recording.golden["text"]),
    }
    seen: dict[str, Any] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        seen[stage.address] = states[-1][stage.writes]

    pipeline = Pipeline.of(stages, models, device="cpu")
    photo = Image(torch.zeros(3, *facts["original_shape"]), run)
    pipeline.run_many([photo], recording.vocabulary(run), keep)
    assert not GivenFeatures.left, "not every window was asked for"
    network_sees = seen.get("fill_windows", picture)
    [wrapper] = [stage for stage in stages if isinstance(stage, WindowGathered)]
    windows = wrapper.windows(network_sees)
    colours = recording.facts["preprocess"]
    mean, deviation = (
        torch.tensor(colours[name])[:, None, None] for name in ("mean_rgb", "std_rgb")
    )
    pruned, best = seen["prune_classes"].data, seen["upsample"].data.amax((1, 2))
    if facts["ignore_label"]:
        pruned = torch.cat([torch.zeros_like(pruned[:1]), pruned])
    found = {
        "resized_image": (network_sees.data * 255 - mean) / deviation,
        "window_places_in_patches": torch.tensor([places(one) for one in windows]),
        "spliced": seen["window_gathered"].data,
        "global_attention_rows": seen["sharpen_affinity"].data,
        "aggregated": seen["aggregate"].data,
        "language_features": seen["project_patches"].data,
        "patch_probabilities": seen["softmax"].data,
        "largest_probability_per_class": best,
        "pruned_probabilities": pruned,
        "labels": seen["label_map"].ids - int(not facts["ignore_label"]),
    }
    return found, windows


def stages_of(facts: dict[str, Any], picture: Image) -> list[Stage]:
    """Return the recipe's stages with a run's settings, from the recorded image on."""
    least = facts["prediction_thresh"] if facts["ignore_label"] else 0.0
    window = {"window": facts["crop"], "stride": facts["stride"]}
    changed: dict[str, dict[str, Any]] = {
        "fill_windows": window,
        "window_gathered": {**window, "inner": (GivenFeatures(),)},
        "sharpen_affinity": {"scale": facts["scga_scaling"]},
        "prune_classes": {"below": facts["prompt_denoising_thresh"]},
        "label_map": {"background_below": least},
    }
    stages = instead_of_resizing(load_recipe("radseg").plan.stages, picture)
    return [
        stage.model_copy(update=changed.get(stage.address, {}))
        for stage in stages
        if stage.address != "fill_windows" or facts["crop"]
    ]


def places(window: Any) -> tuple[int, int, int, int]:
    """Return the first row and column of patches that a window shows, and those behind the last."""
    row, column = window.row, window.column
    return tuple(side // PATCH for side in (row.start, column.start, row.stop, column.stop))
