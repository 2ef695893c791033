"""GroupViT's groups, and the protocol of its paper, against recordings of the released code
(`groupvit/README.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_family_set import write_recipe
from groupvit_set import GroupvitTower, Recording, Tensor
from recorded_image import instead_of_resizing
from recording import Case
from sets import choose, find

from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Groups
from ovsskit.run.pipeline import Pipeline

SET = "groupvit"
TOKENS, SOFT, SCORES = 1e-4, 2e-5, 5e-5
"""How far vectors, assignments and scores may be from the recorded ones."""
MOVED, FEW = 5e-3, 2e-3
"""Shares of positions whose scores, and of pixels whose group or label, may differ."""
GIVEN = {"picture", "text", "labels_sure"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"name": lambda facts: list(facts["cases"])})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, SET))


def watch(tower: GroupvitTower, kept: dict[str, Tensor]) -> None:
    """Keep what passes through the network for the first window."""
    vision = tower.network.vision_model

    def keep(name: str, value: Any) -> None:
        kept.setdefault(name, value[0].detach())

    vision.embeddings.layernorm.register_forward_hook(lambda *args: keep("patches", args[2]))
    vision.layernorm.register_forward_hook(lambda *args: keep("tokens", args[2]))
    for index, stage in enumerate(vision.encoder.stages):
        if stage.downsample is not None:

            def split(_: Any, args: Any, found: Any, name: str = f"stage{index}") -> None:
                keep(f"{name}.tokens_in", args[0])
                keep(f"{name}.groups_in", args[1])
                keep(f"{name}.tokens", found[0])
                keep(f"{name}.soft", found[1])
                keep(f"{name}.hard", found[1].argmax(1))

            stage.downsample.register_forward_hook(split)


def run(case: Case, recording: Recording, folder: Path) -> dict[str, Any]:
    """Return everything that is recorded of a case, as the shipped recipe computes it."""
    facts = case.facts
    values = {
        "sliding_window.window": facts["window"],
        "sliding_window.stride": facts["stride"],
        "group_similarity.background_below": facts["threshold"] if facts["background"] else 0.0,
    }
    recipe = write_recipe(folder, "groupvit", values)
    tower = GroupvitTower(weights=str(recording.write_checkpoint(folder / "weights", case)))
    kept: dict[str, Any] = {}
    watch(tower, kept)
    wrote: dict[str, list[Any]] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        wrote.setdefault(stage.address, []).extend(state[stage.writes] for state in states)

    stages = instead_of_resizing(recipe.plan.stages, case.picture)
    models = {"backbone": tower.with_words(case.tensors["text"])}
    pipeline = Pipeline.of(stages, models, device="cpu")
    pipeline.run_many([case.original], case.vocabulary, keep)
    assert len(wrote["group_patches"]) == facts["windows"]
    groups: Groups = wrote["group_patches"][0]
    size = [min(facts["window"], side) for side in case.picture.size]
    enlarge = torch.nn.functional.interpolate
    kept["map"] = enlarge(groups.assignment[None], size, mode="bilinear")[0]
    kept |= {"groups": kept["map"].argmax(0), "picture_vector": groups.image}
    kept |= {"group_vectors": groups.features}
    kept["window_scores"] = wrote["group_similarity"][0].data
    scores = wrote["sliding_window"][0].data
    kept["scores"] = enlarge(scores[None], facts["original"], mode="bilinear")[0]
    kept["labels"] = wrote["label_map"][0].ids - int(not facts["background"])
    return kept


def check(ours: Tensor, case: Case, recorded: str) -> None:
    """Hold what was computed to what is recorded under a name, by the limits of the notes."""
    theirs = case.tensors[recorded]
    name, _, step = recorded.partition("_sub" if "_sub" in recorded else "_step")
    if step and "_sub" in recorded:
        ours = ours[:, :: int(step), :: int(step)]
    elif step:
        ours = ours[..., :: int(step)] if name.endswith("soft") else ours[:: int(step)]
    assert ours.shape == theirs.shape, recorded
    if not theirs.is_floating_point():
        differing = ours != theirs
        if recorded == "labels":
            differing &= case.tensors["labels_sure"].bool()
        allowed = 0 if name.endswith("hard") else max(1, FEW * theirs.numel())
        assert int(differing.sum()) <= allowed, recorded
        return
    distances = (ours - theirs).abs()
    if "scores" in name:
        assert (distances.amax(0) > SCORES).float().mean() <= MOVED, recorded
        return
    limit = SOFT if name.endswith(("soft", "map")) else TOKENS
    assert float(distances.max()) <= limit, f"{recorded}: {float(distances.max()):.1e}"


def test_every_tensor_is_compared(name: str, recording: Recording, tmp_path: Path) -> None:
    case = recording.case(name)
    found = run(case, recording, tmp_path)
    for recorded in case.tensors.keys() - GIVEN:
        name = recorded.partition("_sub")[0].partition("_step")[0]
        check(found[name], case, recorded)
