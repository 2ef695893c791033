"""CorrCLIP's steps against recordings of the released code: regions and guide are given."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from corrclip_set import GivenGuide, Recording, Tensor
from runs import runs
from sets import choose, find

from ovsskit.engine.driver import Driver, State
from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Regions
from ovsskit.engine.values.features import on_grid
from ovsskit.engine.wiring import flatten
from ovsskit.recipe.build import load_recipe
from ovsskit.stages.regions.merge_regions import region_means
from ovsskit.stages.regions.region_tokens import run_copies

SET = "corrclip"
GIVEN = ("propose_masks", "paint_regions", "resize_image")
"""Stages of the recipe whose results are recorded inputs."""
PADDED, MERGED = 10_000, 10_000
"""The recorded numbers of padding, and of the first merged region."""
LIMITS = {
    "region_distance": 1e-5,
    "attention_rows": 1e-4,
    "slide_logits": 1e-4,
    "final_logits": 1e-4,
    "class_scores": 5e-4,
    "guide_unit": 1e-4,
}
OTHER_LIMIT = 1e-3
"""How far numbers may be from the recorded ones: hidden tokens, branches, features."""
LABELS = 1e-3
"""Share of pixels whose labels may differ."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"run": runs})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, SET))


@dataclass
class Followed:
    """Hold what the stages of the recipe wrote in a run: one value for each window, or one."""

    tower: Any
    highest: int
    values: dict[str, list[Any]]

    def window(self, index: int, name: str) -> Tensor:
        """Return what is recorded of a window under a name, whole."""
        found: Tensor = WINDOW[name](self, index)
        return found

    def one(self, address: str, index: int = 0) -> Any:
        return self.values[address][index]


def follow(recording: Recording, run: str, folder: Path) -> Followed:
    """Run the recipe on what is recorded, and keep what its stages write."""
    facts = recording.facts["runs"][run]
    recipe = load_recipe(
        "corrclip",
        [
            f"sliding_window.window={facts['crop']}",
            f"sliding_window.stride={facts['stride']}",
            f"softmax.scale={facts['logit_scale']}",
            f"label_map.background_below={facts['prob_thd']}",
        ],
    )
    given = recording.inputs.get(f"{run}.guide")
    guide: Backbone = recording.dino(folder / "dino") if given is None else GivenGuide.of(given)
    tower, values = recording.tower(run, folder), defaultdict[str, list[Any]](list)

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        values[stage.address] += [state[stage.writes] for state in states]
        if stage.address == "encode_hidden":
            values["regions"] += [state["regions"] for state in states]

    links = {link.node.address: link.models for link in flatten(recipe.plan.links)}
    state: State = {
        "image": Image(torch.zeros(3, *facts["original_shape"]), run),
        "resized": recording.image(run),
        "regions": recording.regions(run),
        "vocabulary": recording.vocabulary(run),
    }
    stages = [stage for stage in recipe.plan.stages if stage.address not in GIVEN]
    with torch.no_grad():
        Driver({"backbone": tower, "guide": guide}, links, watch=keep).run(stages, [state])
    return Followed(tower, int(state["regions"].data.max()), values)


def seen(self: Followed, index: int) -> Regions:
    """Return the regions of a window on the guide's grid, before merging, as they are recorded."""
    found: Regions = self.one("regions", index).resized(self.one("guide_features", index).grid)
    return Regions(torch.where(found.data > self.highest, PADDED, found.data))


def kept_rows(self: Followed, index: int) -> Tensor:
    return self.one("region_scope", index).data.isfinite().to(torch.uint8)


def distances(self: Followed, index: int) -> Tensor:
    numbers, members = seen(self, index).data.unique(return_inverse=True)
    means = region_means(self.one("guide_features", index), members, len(numbers))[1:]
    similarity = means @ means.T
    return similarity.max() - similarity


def merged(self: Followed, index: int) -> Tensor:
    """Return merged regions as they are recorded: those from 10000 on, the lowest as it was."""
    before, data = seen(self, index).data, self.one("merge_regions", index).data
    if len(before.unique()) <= 2:
        return before
    lowest = int(before.min())
    return torch.where(data == lowest, data, MERGED + data - lowest - 1)


def on_tokens(self: Followed, index: int) -> Tensor:
    return Regions(merged(self, index)).resized(self.one("encode_hidden", index).grid).data


def copies(self: Followed, index: int, left_out: int) -> Tensor:
    hidden = self.one("encode_hidden", index)
    layers = hidden.layers[: len(hidden.layers) - left_out]
    numbers, members = on_tokens(self, index).unique(return_inverse=True)
    inside = members.flatten() == torch.arange(len(numbers))[:, None]
    with torch.no_grad():
        return run_copies(hidden, layers, inside, self.tower)


def values_on_grid(self: Followed, index: int) -> Tensor:
    hidden, grid = self.one("encode_hidden", index), self.one("guide_features", index).grid
    values = self.tower.project(hidden, hidden.layers[-1])[2][:, 1:]
    maps = on_grid(values.transpose(0, 1).flatten(1), hidden.grid)
    return torch.nn.functional.interpolate(maps[None], grid, mode="bilinear")[0].flatten(1).T


WINDOW: dict[str, Callable[[Followed, int], Tensor]] = {
    "regions_guide_grid": lambda self, index: seen(self, index).data,
    "merged_guide_grid": merged,
    "merged_token_grid": on_tokens,
    "region_distance": distances,
    "scope_rows": kept_rows,
    "attention_rows": lambda self, index: self.one("sharpen_affinity", index).data,
    "hidden": lambda self, index: self.one("encode_hidden", index).data[-1],
    "spatial_mean": lambda self, index: self.one("sum_hidden", index).data[0] / 5,
    "region_tokens_entering_last": lambda self, index: copies(self, index, 1),
    "region_tokens": lambda self, index: copies(self, index, 0),
    "values": values_on_grid,
    "main": lambda self, index: self.one("gather_values", index).vectors,
    "spatial": lambda self, index: self.one("gather_spatial", index).vectors,
    "semantic": lambda self, index: self.one("region_tokens", index).vectors,
    "tokens": lambda self, index: self.one("add_region", index).vectors,
    "guide_unit": lambda self, index: torch.nn.functional.normalize(
        self.one("guide_features", index).vectors, dim=1
    ),
}
"""What is recorded of a window, whole, by its name without the step."""
PICTURE: dict[str, Callable[[Followed], Tensor]] = {
    "slide_logits": lambda self: self.one("sliding_window").data,
    "final_logits": lambda self: self.one("upsample").data,
    "class_scores": lambda self: self.one("merge_queries").data,
    "labels_before_vote": lambda self: self.one("label_map").ids,
    "labels": lambda self: self.one("region_vote").ids,
}
"""What is recorded of an image."""


def compare(name: str, ours: Tensor, theirs: Tensor) -> str:
    """Say how far ours is from a recording, if it is too far."""
    if ours.shape != theirs.shape:
        return f"{name}: {tuple(ours.shape)} instead of {tuple(theirs.shape)}"
    stem = name.rpartition(".")[2]
    if stem.startswith("labels"):
        differing = int((ours != theirs).sum())
        allowed = LABELS * theirs.numel()
        return "" if differing <= allowed else f"{name}: {differing} labels differ"
    if not theirs.is_floating_point():
        differing = int((ours != theirs).sum())
        return f"{name}: {differing} of {theirs.numel()} differ" if differing else ""
    limit = next((one for start, one in LIMITS.items() if stem.startswith(start)), OTHER_LIMIT)
    far = float((ours - theirs).abs().max())
    return "" if far <= limit else f"{name}: {far:.1e} from the recording, {limit:.0e} allowed"


def test_every_recorded_tensor(run: str, recording: Recording, tmp_path: Path) -> None:
    found, recorded = follow(recording, run, tmp_path), recording.tensors(run)
    assert recorded
    assert len(found.values["regions"]) == recording.facts["runs"][run]["windows"]
    wrong = []
    for name, theirs in recorded.items():
        parts = re.fullmatch(r"(?:window(\d+)\.)?(.+?)(?:_(step|sub)(\d+))?", name)
        assert parts is not None
        window, stem, how, number = parts.groups()
        ours = found.window(int(window), stem) if window else PICTURE[stem](found)
        step = int(number or 1)
        ours = ours[..., ::step, ::step] if how == "sub" else ours[::step]
        wrong.append(compare(name, ours, theirs))
    assert not any(wrong), "\n".join(filter(None, wrong))
