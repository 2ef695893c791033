"""Find which weights recipes need, and whether they are here, unchanged and of the right shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ovsskit.engine.model import PretrainedBackbone
from ovsskit.errors import BadValue, BadWeights
from ovsskit.hub.weights import WeightsInfo, check_content
from ovsskit.recipe.build import Recipe


@dataclass(frozen=True)
class Checked:
    """Hold a model and what is known of its weights and of the files beside them.

    What could not be checked is empty.
    """

    model: PretrainedBackbone
    info: WeightsInfo
    parts: list[WeightsInfo]
    content: Literal["", "verified", "damaged"] = ""
    fits: Literal["", "yes", "no"] = ""
    misfit: BadWeights | None = None


def models_of(recipes: Iterable[Recipe]) -> list[PretrainedBackbone]:
    """Return the models of recipes that have weights, those of the same weights once."""
    models = [model for recipe in recipes for model in recipe.plan.models.values()]
    pretrained = [model for model in models if isinstance(model, PretrainedBackbone)]
    return list({(type(one), one.source, one.pinned): one for one in pretrained}.values())


def check_model(model: PretrainedBackbone, *, fetch: bool = False) -> Checked:
    """Return what is known of a model's weights; with `fetch` they are fetched where needed.

    Raises:
        MissingWeights: they cannot be fetched.
    """
    info, parts = model.describe_weights(), model.describe_parts()
    if fetch and _lacks_one(info, *parts):
        model.read_files()
        info, parts = model.describe_weights(), model.describe_parts()
    if info.kind == "embedded" or _lacks_one(info, *parts):
        return Checked(model, info, parts)
    content: Literal["", "verified"] = ""
    try:
        content = "verified" if check_content(model.read_files()) else ""
        model.check_weights()
    except BadWeights as error:
        return Checked(model, info, parts, content or "damaged", "no", error)
    return Checked(model, info, parts, content, "yes")


def _lacks_one(*files: WeightsInfo) -> bool:
    return any(one.path is None for one in files)


def convert_model(recipes: list[Recipe], path: Path) -> None:
    """Write the weights of the one model as safetensors, of several in one recipe its backbone's.

    Raises:
        BadValue: there is not one.
    """
    models = models_of(recipes)
    if len(recipes) == 1 and len(models) > 1:
        models = [one for one in models if one is recipes[0].plan.models.get("backbone")]
    if len(models) != 1:
        what = "--convert writes the weights of one model."
        raise BadValue(what, fix="Name a recipe with one.")
    models[0].convert_weights(path)
