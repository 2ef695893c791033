"""Say in short how a recipe was run: what a table of results has to tell beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsskit.engine.model import Backbone, PretrainedBackbone
from ovsskit.engine.plan import Plan
from ovsskit.engine.stage import Stage, use_of, walk
from ovsskit.recipe.describe import COMMON

RESIZING = frozenset({"resize_image", "square_image", "pad_image"})
THRESHOLDS = frozenset({"threshold", "label_map", "drop_small_areas"})


def describe_settings(plan: Plan) -> dict[str, Any]:
    """Return what decides about numbers most: sizes, windows, words, thresholds and refiners.

    Stages are named by their addresses, with their parameters; the identity has those of all.
    """
    stages = list(walk(plan.stages))

    def where(uses: frozenset[str]) -> dict[str, Any]:
        return {one.address: _parameters(one) for one in stages if use_of(type(one)) in uses}

    def family(name: str) -> dict[str, Any]:
        marked = f".stages.{name}."
        return {one.address: _parameters(one) for one in stages if marked in type(one).__module__}

    words = plan.vocabulary
    against = {"negatives": list(words.negatives)} if words.negatives else {}
    return {
        "resize": where(RESIZING),
        "window": where(frozenset({"sliding_window"})),
        "text": family("text"),
        "presence": family("presence"),
        "thresholds": where(THRESHOLDS),
        "refiners": family("refine"),
        "background_words": list(words.background_words),
        "words": [list(pair) for pair in words.queries],
        **against,
    }


def describe_models(models: Mapping[str, Backbone]) -> dict[str, Any]:
    """Return of each model its parameters, and the source, licence and digests of its weights."""
    found = {}
    for name, model in models.items():
        entry = {**model.model_dump(mode="json"), "use": use_of(type(model))}
        entry |= model.describe_files()
        if isinstance(model, PretrainedBackbone):
            licence = model.describe_weights().licence
            entry |= {"precision": model.precision, "licence": licence}
        found[name] = entry
    return found


def _parameters(stage: Stage) -> dict[str, Any]:
    plain: dict[str, Any] = stage.model_dump(mode="json", exclude=set(COMMON))
    return plain
