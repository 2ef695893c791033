"""Build a bank of regions: run a recipe on unlabelled images as far as its look-up."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.bank.callbacks import BankCallbacks
from ovsskit.engine.bank_file import note_model
from ovsskit.engine.examples import WIDTH, uniform
from ovsskit.engine.identity import model_identity, stage_identity
from ovsskit.engine.images import read_image
from ovsskit.engine.plan import Plan
from ovsskit.engine.region_bank import RegionBankWriter, digest_image
from ovsskit.engine.stage import Stage, Wrapper, walk, wiring
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Value
from ovsskit.errors import BadImage, NoImages, Place, UnfilledSlot
from ovsskit.files.cache import cache_folder
from ovsskit.files.digests import digest_texts
from ovsskit.files.writing import cannot_write
from ovsskit.recipe.build import Recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.regions._means import means_over_pixels
from ovsskit.stages.regions.retrieve import Retrieve

VALUES = "patch_features"
"""The slot whose vectors become values: those of patches, in the space of the texts."""
AT_ONCE = 8
"""How many images are read at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Entries(Value):
    """Hold what a bank keeps of an image: of every region how it looks, and what among texts."""

    keys: Float[torch.Tensor, "region width"]
    values: Float[torch.Tensor, "region space"]

    @classmethod
    def example(cls, seed: int = 0) -> Entries:
        """Return random vectors of three regions."""
        return cls(uniform(seed, 3, WIDTH), uniform(seed + 1, 3, WIDTH))


def retrieving(recipe: Recipe) -> Retrieve | None:
    """Return the stage of a recipe that looks up regions, if it has one."""
    return next((one for one in recipe.plan.stages if isinstance(one, Retrieve)), None)


def build_regions(
    recipe: Recipe,
    stage: Retrieve,
    images: Sequence[Path],
    path: Path,
    device: str,
    callbacks: BankCallbacks,
) -> dict[str, str]:
    """Write the bank that a stage looks up, and return in words what it holds.

    Images that cannot be read are left out, with a note.

    Raises:
        OvsskitError: the recipe has no features of whole images, no image can be read, the disk is
            full, or something is wrong with weights.
    """
    plan = as_far_as(recipe, stage)
    links = recipe.plan.models_of[stage.address]
    roles = {
        "keys": recipe.plan.models[links["guide"]],
        "values": recipe.plan.models[links["backbone"]],
    }
    identity = {
        "stages": [stage_identity(one) for one in plan.stages],
        "models": {name: model_identity(model) for name, model in _used(plan).items()},
    }
    pipeline = Pipeline(plan, device=device)
    slots = [stage.reads.get(name, name) for name in ("regions", "guide_features")]
    store = Store(cache_folder() / "bank")
    callbacks.begin("images", len(images))
    with RegionBankWriter(path) as writer:
        for start in range(0, len(images), AT_ONCE):
            group = images[start : start + AT_ONCE]
            for image, found in _describe(pipeline, slots, list(_read(group)), store, identity):
                try:
                    writer.add(digest_image(image), found.keys, found.values)
                except OSError as error:
                    raise cannot_write(error, path) from error
            callbacks.tell(len(group))
        if not writer.entries:
            what = "No region was found in any of the images."
            raise NoImages(what, fix="Name a folder of other images: --images DIR")
        writer.finish(
            {
                "of": "regions",
                "models": {role: note_model(model) for role, model in roles.items()},
                "recipe": recipe.title,
                "made_by": identity,
            }
        )
        return {"images": f"{writer.images:,}", "regions": f"{writer.entries:,}"}


def as_far_as(recipe: Recipe, stage: Retrieve) -> Plan:
    """Return the plan of the stages that a look-up needs, and the features of whole images.

    Raises:
        UnfilledSlot: the recipe has none that lie over the whole image.
    """
    before = recipe.plan.stages[: recipe.plan.stages.index(stage)]
    if not any(one.writes == VALUES for one in before):
        what = f"No stage before `{stage.address}` writes `{VALUES}` of the whole image."
        fix = "Put the windows' features together, by window_features, or use no windows."
        raise UnfilledSlot(what, fix=fix, where=Place(str(recipe.path)))
    needed = {VALUES, *(stage.reads.get(one, one) for one in ("regions", "guide_features"))}
    kept: list[Stage] = []
    for one in reversed(before):
        if one.writes in needed:
            kept.insert(0, one)
            inside = walk([one]) if isinstance(one, Wrapper) else [one]
            needed |= {part.reads.get(slot, slot) for part in inside for slot in _read_by(part)}
    return replace(recipe.plan, stages=tuple(kept))


def _read_by(stage: Stage) -> Iterator[str]:
    yield from wiring(type(stage)).reads


def _used(plan: Plan) -> dict[str, Any]:
    """Return the models that the stages of a plan read."""
    names = {
        name for one in walk(plan.stages) for name in plan.models_of.get(one.address, {}).values()
    }
    return {name: plan.models[name] for name in sorted(names)}


def _read(paths: Sequence[Path]) -> Iterator[Image]:
    for path in paths:
        try:
            yield read_image(path)
        except BadImage as error:
            log.warning("%s is left out of the bank: %s", path, error.what)


def _describe(
    pipeline: Pipeline,
    slots: Sequence[str],
    images: Sequence[Image],
    store: Store,
    identity: Mapping[str, Any],
) -> Iterator[tuple[Image, Entries]]:
    """Yield what the bank keeps of every image; what is known of one is not made again."""
    said = json.dumps(identity, sort_keys=True, default=str)
    keys = [digest_texts([said, digest_image(image).hex()]) for image in images]
    found: dict[str, Any] = {key: store.find(key) for key in keys}
    new = {key: image for key, image in zip(keys, images, strict=True) if found[key] is None}
    states = pipeline.run_many(list(new.values()), pipeline.plan.vocabulary) if new else []
    for key, state in zip(new, states, strict=True):
        regions, guide = (state[slot] for slot in slots)
        numbers, looks = means_over_pixels(regions, guide)
        _, meanings = means_over_pixels(regions, state[VALUES])
        in_one = numbers > 0
        looks = torch.nn.functional.normalize(looks[in_one], dim=-1)
        found[key] = Entries(looks.half().cpu(), meanings[in_one].half().cpu())
        store.keep(key, found[key])
    for key, image in zip(keys, images, strict=True):
        yield image, found[key]
