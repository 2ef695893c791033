"""LPOSS and LPOSS+ against recordings of the released code (`lposs/README.md`).

The recipes run with a recording's settings, tower and guide, from the image that the networks saw.
What is recorded of their inside is asked of the stages.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from lposs_set import LpossRecording, Tensor
from runs import runs
from sets import Facts, choose, find
from test_clip_family import thinning

from ovsskit.engine.driver import Driver, State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Nodes
from ovsskit.engine.wiring import flatten
from ovsskit.ops.nearest_affinity import normalise_degrees
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.stages.graph.patch_graph import PatchGraph
from ovsskit.stages.refine.pixel_graph import PixelGraph

SET = "lposs"
LIMITS = {
    "hidden_last_block": 1e-3,
    "clip_features_unit": 1e-4,
    "guide_values_unit": 1e-4,
    "node_scores": 1e-4,
    "affinity_rows": 1e-4,
    "degree": 5e-3,
    "laplacian_times_scores": 1e-4,
    "cg_iterates_query0_and_last": 3e-4,
    "propagated": 3e-4,
    "pasted": 3e-4,
    "pixel_degree": 2e-2,
    "pixel_laplacian_times_scores": 2e-3,
    "pixel_cg_iterates_query0": 5e-3,
    "pixel_propagated": 5e-3,
    "network_size_scores": 3e-4,
    "final_scores": 3e-4,
}
"""How far numbers may be from the recorded ones, as the recording suggests."""
WITH_PIXELS = 5e-3
"""The same for scores after LPOSS+, up to 42."""
LABELS = 1e-3
"""Share of pixels whose labels may differ."""
AT_THE_CUT = 2
"""Ties that may differ, for the patch next to the last of the nearest is as near but for 1e-6."""
SETTINGS = {
    "stride": ("window_nodes.stride",),
    "alpha": ("patch_graph.alpha", "pixel_graph.alpha"),
    "gamma": ("patch_graph.power",),
    "k": ("patch_graph.neighbours",),
    "sigma": ("patch_graph.distance_scale",),
    "pix_dist_pow": ("patch_graph.distance_power",),
    "tau": ("pixel_graph.colour_scale",),
}
"""From a run's settings to the parameters of the recipe."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"run": runs})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> LpossRecording:
    return LpossRecording(find(parity_dir, SET))


@pytest.fixture(scope="module")
def followed(
    recording: LpossRecording, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Tensor]]:
    """Return what gives all that is recorded of a run, computed once."""
    return cache(lambda run: follow(recording, run, tmp_path_factory.mktemp(run)))


def read_recipe(facts: Facts) -> Recipe:
    """Return the recipe with the settings of a run."""
    is_whole, plus = facts["mode"] == "whole", facts["pixel_refine"]
    values = {address: facts[key] for key, addresses in SETTINGS.items() for address in addresses}
    values["window_nodes.window"] = 0 if is_whole else facts["crop"]
    values["paste_nodes.onto"] = "grid" if is_whole else "image"
    values["pixel_graph.radius"] = facts["r"] // 2
    return load_recipe(
        "lposs_plus" if plus else "lposs",
        [
            f"{address}={value}"
            for address, value in values.items()
            if plus or not address.startswith("pixel_graph")
        ],
    )


def follow(recording: LpossRecording, run: str, folder: Path) -> dict[str, Tensor]:
    """Run the recipe on what is recorded, and return all that is, whole, by its name."""
    facts = recording.run(run)
    recipe, values = read_recipe(facts), defaultdict[str, list[Any]](list)

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        values[stage.address] += [state[stage.writes] for state in states]

    models = {"backbone": recording.tower(run, folder), "guide": recording.guide(run, folder / "d")}
    links = {link.node.address: link.models for link in flatten(recipe.plan.links)}
    image = recording.image(run)
    state: State = {
        "image": Image(torch.zeros(3, *facts["original_shape"]), run),
        "resized": image,
        "vocabulary": recording.vocabulary(run),
    }
    stages = [stage for stage in recipe.plan.stages if stage.address != "resize_image"]
    with torch.no_grad():
        Driver(models, links, watch=keep).run(stages, [state])
        by_name = {stage.address: stage for stage in stages}
        found = encoded(values) | spread(by_name["patch_graph"], values["window_nodes"][0])
        found["propagated"] = values["patch_graph"][0].data.T
        [merged], [pasted] = values["merge_logits"], values["paste_nodes"]
        found |= {
            "network_size_scores": merged.data,
            "final_scores": resized(merged.data, facts["original_shape"]),
            "labels": values["label_map"][0].ids - int(facts["queries"] == facts["classes"]),
        }
        if facts["pixel_refine"]:
            found["pasted"] = resized(pasted.data, image.size)
            found["pixel_propagated"] = values["pixel_graph"][0].data
            found |= spread_over_pixels(by_name["pixel_graph"], image, found["pasted"])
    return found


def encoded(values: dict[str, list[Any]]) -> dict[str, Tensor]:
    """Return what is recorded of windows; tokens are thinned to every fourth."""
    normalize, unit = torch.nn.functional.normalize, [one.data for one in values["attend"]]
    [nodes] = values["window_nodes"]
    hidden = [one.entering(12)[::4] for one in values["encode_hidden"]]
    return {
        "hidden_last_block": torch.stack(hidden),
        "clip_features_unit": normalize(torch.stack(unit), dim=1).permute(0, 2, 3, 1),
        "guide_values_unit": normalize(nodes.vectors, dim=1),
        "node_scores": nodes.data.T,
    }


def spread(stage: Stage, nodes: Nodes) -> dict[str, Tensor]:
    """Return what is recorded of the graph of patches."""
    assert isinstance(stage, PatchGraph)
    affinity = stage.affinity(nodes)
    ties = normalise_degrees(affinity.clone())
    ends = nodes.data[[0, -1]]
    return {
        "affinity_rows": affinity,
        "degree": (affinity - affinity.diag().diag()).sum(1),
        "laplacian_times_scores": (nodes.data - stage.alpha * nodes.data @ ties).T,
        "cg_iterates_query0_and_last": torch.stack(
            [after(stage, steps).solve(ends, ties) for steps in range(1, 11)], 1
        ),
    }


def spread_over_pixels(stage: Stage, image: Image, pasted: Tensor) -> dict[str, Tensor]:
    """Return what is recorded of the graph of pixels."""
    assert isinstance(stage, PixelGraph)
    plain, flat, size = stage.ties(image), pasted.flatten(1), image.size
    ties = plain.normalised()
    iterates = [after(stage, steps).solve(flat[:1], ties)[0] for steps in range(1, 11)]
    gathered = flat - stage.alpha * ties.gather(flat)
    return {
        "pixel_degree": plain.degree().unflatten(0, size),
        "pixel_laplacian_times_scores": gathered.unflatten(1, size),
        "pixel_cg_iterates_query0": torch.stack(iterates).unflatten(1, size),
    }


def after(stage: Any, steps: int) -> Any:
    return stage.model_copy(update={"iterations": steps})


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    return torch.nn.functional.interpolate(maps[None], tuple(size), mode="bilinear")[0]


def test_run(
    run: str, recording: LpossRecording, followed: Callable[[str], dict[str, Tensor]]
) -> None:
    facts, ours = recording.run(run), followed(run)
    recorded = recording.tensors(run)
    assert "labels" in recorded
    for name, theirs in recorded.items():
        bare, (_, step) = thinning(name)
        found = ours[bare]
        if bare == "labels":
            differing = int((found != theirs).sum())
            assert differing <= LABELS * theirs.numel(), f"{differing} labels differ"
            continue
        if bare == "affinity_rows":
            found = found[::step]
        elif found.shape != theirs.shape:  # a grid of patches is kept whole
            found = found[..., ::step, ::step]
        assert found.shape == theirs.shape, name
        far = (found - theirs).abs()
        more = far > limit(bare, facts)
        assert int(more.sum()) <= (AT_THE_CUT if bare == "affinity_rows" else 0), (
            f"{name}: {float(far.max()):.1e}"
        )


def limit(name: str, facts: Facts) -> float:
    """Return how far numbers of a name may be from the recorded ones."""
    is_last = name in ("network_size_scores", "final_scores")
    return WITH_PIXELS if facts["pixel_refine"] and is_last else LIMITS[name]


def test_what_is_recorded_as_a_whole_has_the_same_bounds(
    run: str, recording: LpossRecording, followed: Callable[[str], dict[str, Tensor]]
) -> None:
    """Least, greatest and mean value are those of the whole tensor, of which a part is kept."""
    facts, ours = recording.run(run), followed(run)
    known = recording.facts["statistics_of_full_tensors"]
    compared = 0
    for name, values in known.items():
        first, _, what = name.partition(".")
        bare = re.sub(r"_(sub|step)\d+$", "", what)
        thinned = bare in ("affinity_rows", "cg_iterates_query0_and_last", "hidden_last_block")
        if first != run or thinned or bare == "labels":
            continue
        found, allowed = ours[bare], limit(bare, facts)
        assert list(found.shape) == values["shape"], name
        for key, mine in (("min", found.min()), ("max", found.max()), ("mean", found.mean())):
            assert float(mine) == pytest.approx(values[key], abs=allowed), f"{name}: {key}"
        compared += 1
    assert compared
    counts = ours["labels"].flatten().bincount(minlength=facts["classes"])
    assert sum(facts["label_counts"]) == ours["labels"].numel()
    moved = (counts - torch.tensor(facts["label_counts"])).abs().sum()
    assert moved <= 2 * LABELS * ours["labels"].numel()


def test_everything_recorded_is_compared(recording: LpossRecording) -> None:
    known = {f"{run}." for run in recording.facts["runs"]}
    left = [
        name
        for name in recording.golden
        if not name.startswith(("text_", *known))
        or (not name.startswith("text_") and thinning(name.partition(".")[2])[0] not in NAMES)
    ]
    assert not left


NAMES = {*LIMITS, "labels"}
