"""The recipe of PEARL against what its released code computed (`pearl/README.md`).

Of the recipe only the backbone is replaced, by the small tower of the recording, and it starts at
the image that the network saw. What is recorded of its inside is asked of the stages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_family_set import FULL, Method, Run, Tower, write_recipe, write_tower
from floor import Twice, check_values
from sets import choose, find
from test_clip_family import Given, thinning

from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage, walk
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.recipe.build import Recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.attention.procrustes_similarity import (
    ProcrustesSimilarity,
    mean,
    nearly_rotation,
    token_weights,
)
from ovsskit.stages.refine.edge_graph import EdgeGraph, average_cells, differences
from ovsskit.testing import example

Tensor = torch.Tensor
Named = dict[str, Tensor]
LABELS = 1e-3
"""Share of pixels whose labels may differ."""
SETTINGS = {
    "alpha_kk": "procrustes_similarity.key_weight",
    "polar_iters": "procrustes_similarity.iterations",
    "logit_scale": "softmax.scale",
    "stride": "sliding_window.stride",
    "crop": "sliding_window.window",
    "grid": "edge_graph.cells",
    "prob_thd": "label_map.background_below",
}
"""From a run's settings to the parameters of the recipe."""
GIVEN = {"text", "image"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choices = {"encoded": lambda facts: list(facts["encoder"]), "run": lambda facts: facts["runs"]}
    choose(metafunc, "pearl", choices)


@pytest.fixture(scope="module")
def method(parity_dir: Path) -> Method:
    return Method(find(parity_dir, "pearl"))


@pytest.fixture(scope="module")
def tower(method: Method, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tower(method, tmp_path_factory.mktemp("towers") / "tower")


def read_recipe(folder: Path, facts: dict[str, Any]) -> Recipe:
    """Return the recipe with the settings of a run, or of an encoder."""
    values = {SETTINGS[key]: facts[key] for key in facts if key in SETTINGS}
    removed, added = [] if facts.get("prop", True) else ["edge_graph"], ""
    if "use_kk" in facts and not facts["use_kk"]:
        values["procrustes_similarity.key_weight"] = 0.0
    if facts.get("solver") == "svd":
        values["procrustes_similarity.rotation"] = "exact"
    if facts.get("arch") == "vanilla":
        values |= {"attend.residual": True, "attend.feed_forward": True}
    if facts.get("attn") == "vanilla":
        removed.append("procrustes_similarity")
        added = '[[stage]]\nuse = "self_similarity"\nafter = "encode_hidden"\n'
    values = {key: one for key, one in values.items() if key.split(".")[0] not in removed}
    return write_recipe(folder, "pearl", values, removed, added)


def backbone_of(recipe: Recipe, tower: Path) -> Tower:
    settings = recipe.plan.models["backbone"].model_dump(exclude=FULL)
    return Tower(weights=str(tower), **settings)


def test_encoder(encoded: str, method: Method, tower: Path, tmp_path: Path) -> None:
    facts = method.facts["encoder"][encoded]
    prefix = f"encoder.{encoded}."
    theirs = {
        name.removeprefix(prefix): value
        for name, value in method.tensors.items()
        if name.startswith(prefix) and (encoded + "." not in name.removeprefix(prefix))
    }
    theirs = {name: value for name, value in theirs.items() if "." not in name}
    recipe = read_recipe(tmp_path, facts)
    ours = Twice.of(partial(encode, recipe, tower, method.image(facts["image"])))
    assert theirs
    for name, value in theirs.items():
        step = thinning(name)[1][1]
        found = ours.map(lambda made, name=name: made[thinning(name)[0]])
        axis = 0 if name.startswith(("hidden", "attention_output", "tokens")) else 1
        found = found.map(lambda made, axis=axis, step=step: thin(made, axis, step))
        floor = max(found.floor(), method.floor_of(prefix + name))
        check_values(found.single, value, floor, name)


def thin(values: Tensor, axis: int, step: int) -> Tensor:
    return values[::step] if axis == 0 else values[:, ::step]


def encode(recipe: Recipe, tower: Path, image: Image) -> Named:
    """Return what is recorded of the encoder."""
    backbone = backbone_of(recipe, tower)
    inner = [one for one in walk(recipe.plan.stages) if one.writes in ENCODER]
    [slots] = Pipeline.of(
        [one.model_copy(update={"reads": {}}) for one in inner],
        {"backbone": backbone},
        device="cpu",
    ).run_many([image], example(Vocabulary))
    hidden, layer = slots["hidden"], slots["hidden"].layers[-1]
    queries, keys, values = backbone.project(hidden, layer)
    weights = token_weights(queries, 1)
    around = [part - mean(part, weights) for part in (keys, queries)]
    covariance = around[0].transpose(1, 2) @ around[1]
    attention = slots["self_attention"].data[-1]
    found = {
        "tokens": slots["patch_features"].data.flatten(1).T,
        "hidden": hidden.entering(layer),
        "query": queries,
        "key": keys,
        "token_weights": weights[..., 0],
        "query_mean": mean(queries, weights)[:, 0],
        "key_mean": mean(keys, weights)[:, 0],
        "cross_covariance": covariance,
        "rotation_after_1_to_5": torch.stack(
            [nearly_rotation(covariance, steps)[:, ::4] for steps in range(1, 6)]
        ),
        "attention_rows": attention,
        "attention_output": backbone.join_heads(layer, attention @ values),
    }
    for stage in inner:
        if isinstance(stage, ProcrustesSimilarity):
            found["rotation"] = nearly_rotation(covariance, stage.iterations)
    return found


ENCODER = ("hidden", "self_similarity", "self_attention", "patch_features")


def test_run(run: str, method: Method, tower: Path, tmp_path: Path) -> None:
    case = Run(run, method.facts["runs"][run])
    recipe = read_recipe(tmp_path, case.facts)
    image, text = method.image(case.facts["image"]), method.text(case)
    ours = Twice.of(partial(segment, recipe, tower, image, text, case))
    order = sorted(range(len(case.classes)), key=lambda query: case.classes[query])
    every, compared = case.facts.get("cells_stored_every", 1), set()
    for name, value in method.recorded(run).items():
        bare, (_, step) = thinning(name)
        if bare == "labels":
            differing = int((case.classes_of(ours.single[bare]) != value).sum())
            assert differing <= LABELS * value.numel(), f"{differing} labels differ"
        else:
            step = every if step == 1 else step
            found = ours.map(lambda made, bare=bare, step=step: made[bare][..., ::step, ::step])
            is_by_query = value.dim() == 3 and bare != "class_scores"
            floor = max(found.floor(), method.floor_of(f"{run}.{name}"))
            check_values(found.single, value[order] if is_by_query else value, floor, name)
        compared.add(bare)
    assert "labels" in compared


def segment(recipe: Recipe, tower: Path, image: Image, text: Tensor, case: Run) -> Named:
    """Return what is recorded of a run."""
    given = Given(recorded=Image(image.data.to(torch.get_default_dtype())))
    stages = [given if one.writes == "resized" else one for one in recipe.plan.stages]
    seen: dict[str, State] = {}

    def watch(stage: Stage, states: Sequence[State], seconds: float) -> None:
        seen[stage.address] = states[-1]

    backbone = backbone_of(recipe, tower).with_words(text.to(torch.get_default_dtype()))
    pipeline = Pipeline.of(stages, {"backbone": backbone}, device="cpu")
    photo = Image(torch.zeros(3, *case.shape))
    [slots] = pipeline.run_many([photo], case.vocabulary, watch)
    scores = seen["merge_queries"]["scores"].data
    found = {
        "network_size_logits": seen["sliding_window"]["scores"].data,
        "class_scores": scores / scores.sum(0),
        "labels": slots["labels"].ids,
    }
    for stage in stages:
        if isinstance(stage, EdgeGraph):
            found["smoothed"] = seen["edge_graph"]["scores"].data
            found |= inside(stage, seen["upsample"], backbone.mean)
    return found


def inside(stage: EdgeGraph, state: State, mean: Sequence[float]) -> Named:
    """Return what is recorded of the cells."""
    scores, size = state["scores"].data, state["scores"].data.shape[1:]
    logits = average_cells(scores, stage.cells)
    grey = average_cells(stage.grey(state["resized"], size), stage.cells)[0]
    weights, right, down = stage.weigh(logits, grey, state["text_features"].data)
    share = logits.softmax(0)
    agreement = (share * stage.gate_by_text(share, state["text_features"].data)).sum(0)
    parts = zip((0.299, 0.587, 0.114), mean, stage.deviation, strict=True)
    found = {
        "cell_logits": logits,
        "cell_gray": grey - sum(part * one / by for part, one, by in parts),
        "cell_agreement": agreement.clamp(0, 1),
        "cell_data_weight": weights,
        "edge_right": torch.nn.functional.pad(right, (1, 0), value=1.0),
        "edge_down": torch.nn.functional.pad(down, (0, 0, 1, 0), value=1.0),
        "operator_on_logits": weights * logits + differences(logits, right, down),
    }
    for steps in (1, 2, 5, 10, 25):
        after = stage.model_copy(update={"iterations": steps})
        found[f"cg_after_{steps}"] = after.solve(logits, weights, right, down)
    return found


def test_everything_recorded_is_compared(method: Method) -> None:
    runs, encoders = method.facts["runs"], method.facts["encoder"]
    left = [
        name
        for name in method.tensors
        if not name.startswith(("text_", *(f"{run}." for run in runs)))
        and not any(re.fullmatch(rf"encoder\.{re.escape(one)}\.\w+", name) for one in encoders)
        and name not in ("square", "nonsquare", "slide")
    ]
    assert not left
