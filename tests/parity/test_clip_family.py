"""The recipes of the dense-CLIP family against what the methods' own codes computed
(`clip_family/README.md`).

Of a recipe only the backbone is replaced, by the small tower of the recording, which knows a vector
for every word. A run that names a recipe starts at an image and runs the recipe as it is shipped.
Another run starts at the image that the network saw, with the recipe of its method and its own
settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_family_set import (
    ENCODED,
    FULL,
    METHODS,
    SETTINGS,
    Method,
    Run,
    Tower,
    methods_in,
    write_tower,
)
from pydantic import PrivateAttr

from ovsskit.engine.driver import State
from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Stage, Wrapper, walk
from ovsskit.engine.values import GuideFeatures, Image, Vocabulary
from ovsskit.recipe.build import Recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.attention.gather_values import GatherValues
from ovsskit.stages.attention.layout_similarity import (
    LayoutSimilarity,
    patch_words,
    same_place,
    smooth_rows,
)
from ovsskit.stages.attention.neighbourhood import distance_gaussian
from ovsskit.stages.attention.repair_outliers import find_outliers, outlier_scores
from ovsskit.testing import ToyBackbone, example

Tensor = torch.Tensor
MARGIN = 8.0
"""How many times its distance from double precision a recording may lie from ours."""
LEAST, MOST = 2.0**-22, 1e-3
"""The smallest such distance, and the largest difference that is let through, as shares of the
largest value.
"""
LABELS = 1e-3
"""Share of pixels whose labels may differ."""
UNKNOWN = {"tokens": 1e-5, "logits": 2e-6, "maps": 1e-5, "scores": 2e-5, "omega": 1e-7}
"""Distances from double precision for a recording that does not state them."""
WRITTEN_BY = {
    "patch_logits": ("key_smoothing", "prompt_denoising", "text_similarity"),
    "network_size_logits": ("sliding_window", "to_resized"),
    "slide_logits": ("sliding_window",),
    "resized_logits": ("upsample",),
    "pamr_logits": ("pamr",),
    "final_logits": ("pamr", "upsample"),
    "logits": ("pamr", "upsample", "sliding_window", "to_resized", "text_similarity"),
    "heat_maps": ("min_max",),
    "first_pass_scores": ("first_softmax",),
    "class_scores": ("drop_small_areas", "merge_queries", "softmax"),
}
"""Which stage writes what is recorded under a name: of those in a recipe, the first whose maps have
the recorded shape.
"""


LABELS_OF = {"labels_from_raw_logits": "upsample", "labels_of_heat_maps": "min_max"}
"""Which stage's maps are highest where labels are recorded, whatever their size."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests one run for each method, run and tensor that is recorded."""
    folder: Path = metafunc.config.getoption("--parity-dir").resolve() / "clip_family"
    methods = methods_in(folder)
    known = [method for method in methods if str(method) in METHODS]
    choices = {
        "method": [(method, str(method)) for method in methods],
        "tokens": [
            ((method, name), f"{method}-{name}")
            for method in known
            for name in method.tensors
            if is_of_encoder(method, name)
        ],
        "run": [
            ((method, run), f"{method}-{name}")
            for method in known
            for name, run in method.runs.items()
        ],
    }
    for argument, found in choices.items():
        if argument in metafunc.fixturenames:
            nothing = pytest.param(
                None, id="none", marks=pytest.mark.skip(f"no {argument} is recorded in {folder}")
            )
            metafunc.parametrize(
                argument, [pytest.param(case, id=name) for case, name in found] or [nothing]
            )


KINDS = ("tokens", "variant", "key_map", "cls_token", *ENCODED)


def is_of_encoder(method: Method, name: str) -> bool:
    """Tell whether a tensor is what the network alone gives for an image."""
    first, _, what = name.partition(".")
    if first in method.runs:
        return False
    run, _, rest = what.partition(".")
    return first.startswith("omega_") or (rest if run in method.runs else what).startswith(KINDS)


@pytest.fixture(scope="module")
def tower_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Method], Path]:
    """Return what gives the folder with the weights of a method."""
    folders: dict[str, Path] = {}

    def write(method: Method) -> Path:
        key = f"{method.facts['weights']} {method.facts['vision']}"
        if key not in folders:
            folders[key] = write_tower(method, tmp_path_factory.mktemp("towers") / "tower")
        return folders[key]

    return write


def test_what_is_recorded_is_compared(method: Method) -> None:
    """Every tensor but the texts and the images is read by a test; another method than ours is
    passed over.
    """
    if str(method) not in METHODS:
        pytest.skip(f"{method}: no recipe computes this method")
    known = method.facts.get("tensors", method.tensors)
    left = [name for name in known if not is_read(method, name)]
    if left:
        pytest.skip(f"{method}: recorded, and not compared: {', '.join(left)}")


def is_read(method: Method, name: str) -> bool:
    """Tell whether a test compares a tensor, or reads it as what goes in."""
    first, _, what = name.partition(".")
    bare, _ = thinning(what)
    if first in method.runs:
        return bare in (*WRITTEN_BY, *LABELS_OF, *LAYOUT, "labels", "text", "image", GUIDE)
    is_input = first.startswith("text") or first == "image" or bare in ("image", GUIDE)
    return is_input or is_of_encoder(method, name)


def test_tokens(
    tokens: tuple[Method, str], tower_of: Callable[[Method], Path], tmp_path: Path
) -> None:
    method, name = tokens
    theirs = method.tensors[name]
    first, _, what = name.partition(".")
    of_run, _, rest = what.partition(".")
    run = method.runs.get(of_run)
    bare, (kind, step) = thinning((rest if run else what) or first)
    if found := re.fullmatch(r"omega_(\d+)x(\d+)", bare):
        gaussian = distance_gaussian((int(found[1]), int(found[2])), 5.0)
        ours = torch.nn.functional.pad(gaussian, (1, 0, 1, 0))
    elif bare == "cls_token" or (recipe := method.encoder_recipe(bare, tmp_path)) is None:
        pytest.skip(f"{name}: no recipe gives it")
    else:
        recipe = recipe if run is None else method.recipe(run, tmp_path)
        text = None if run is None else (run, method.text(run))
        given = method.tensors.get(f"{first}.{GUIDE}")
        slots, kept, backbone = run_encoder(
            recipe, tower_of(method), method.image(first), text, given
        )
        if bare == "key_map":
            layer = slots["hidden"].layers[-1]
            ours = backbone.join_heads(layer, backbone.project(slots["hidden"], layer)[1])[1:]
        elif bare in INSIDE:
            ours = INSIDE[bare](slots, kept, backbone)
        else:
            ours = slots["patch_features"].vectors
            theirs = theirs.reshape(-1, theirs.shape[-1])
            ours = with_class_token(ours, theirs, step)
    assert kind in ("", "step")
    if not theirs.is_floating_point():
        assert ours.tolist() == theirs.tolist(), name
    else:
        check(ours[::step], theirs, method, name, "tokens" if what else "omega")


GUIDE = "external_features"
"""What a guide said of an image, where it is recorded in place of the guide."""
LAYOUT = ("patch_labels", "sfr_rows")
"""What ResCLIP makes of its first result."""
INSIDE: dict[str, Callable[[State, State, Tower], Tensor]] = {
    "attention_rows": lambda slots, kept, backbone: slots["self_attention"].data[0, 0],
    "attention_output": lambda slots, kept, backbone: (
        GatherValues().run(slots["hidden"], slots["self_attention"], backbone).vectors
    ),
    "lof_scores": lambda slots, kept, backbone: outlier_scores(
        slots["hidden"].entering(12)[1:], 30
    ),
    "outlier_indices": lambda slots, kept, backbone: find_outliers(
        slots["hidden"].entering(12)[1:], 30, 0.05
    ).nonzero()[:, 0],
    "attn_out_1": lambda slots, kept, backbone: kept["gather_values"].vectors,
    "attn_out_2": lambda slots, kept, backbone: kept["gather_summed"].vectors,
    "mid_similarity_rows": lambda slots, kept, backbone: kept["feature_similarity"].data,
}
"""How what is recorded inside an encoder is read off the slots and what stages wrote."""


def with_class_token(ours: Tensor, theirs: Tensor, step: int) -> Tensor:
    """Put the recorded class token, which no patch depends on, in front of our patches if it is
    recorded.
    """
    has_one = len(theirs) == len(range(0, len(ours) + 1, step)) != len(range(0, len(ours), step))
    is_one = has_one or (len(theirs) == len(ours[::step]) and not close(ours[0], theirs[0]))
    return torch.cat([theirs[:1], ours]) if is_one else ours


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() < 1e-3)


def run_encoder(
    recipe: Recipe,
    folder: Path,
    image: Image,
    text: tuple[Run, Tensor] | None = None,
    given: Tensor | None = None,
) -> tuple[State, State, Tower]:
    """Run a recipe's stages from padding to the patches' vectors on the image as it is.

    `text` is the run whose words a recipe reads on the way, with their vectors, and `given` what a
    guide says.
    """
    backbone, kept = tower(recipe, folder), dict[str, Any]()
    outer = [stage for stage in recipe.plan.stages if stage.writes == "padded"]
    is_padded, vocabulary = bool(outer), example(Vocabulary)
    if text is not None:
        backbone, vocabulary = backbone.with_words(text[1]), text[0].vocabulary
        outer += [stage for stage in recipe.plan.stages if stage.writes == "text_features"]
    chain = [
        stage.model_copy(update={"reads": reads_of_chain(stage, is_padded)})
        for stage in (*outer, *inner_chain(recipe.plan.stages))
    ]
    models = {"backbone": backbone, **({"guide": GivenGuide(given)} if given is not None else {})}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        kept[stage.address] = states[-1][stage.writes]

    pipeline = Pipeline.of(chain, models, device="cpu")
    [slots] = pipeline.run_many([image], vocabulary, keep)
    return slots, kept, backbone


class GivenGuide(ToyBackbone):
    """Say what was recorded of a guide, window by window if there are several."""

    _features: list[Tensor] = PrivateAttr(default_factory=list)

    def __init__(self, features: Tensor | None = None) -> None:
        super().__init__()
        if features is not None:
            self._features = list(features[None] if features.dim() == 3 else features)

    def to(self, device: str) -> GivenGuide:
        return self

    def guide(self, images: Sequence[Image], facet: str) -> list[GuideFeatures]:
        many = self._features * len(images) if len(self._features) == 1 else self._features
        return [GuideFeatures(one.float()) for one in many[: len(images)]]


def reads_of_chain(stage: Stage, is_padded: bool) -> dict[str, str]:
    inside = {name: slot for name, slot in stage.reads.items() if name != "image"}
    is_network = stage.address == "encode_hidden"
    return {**inside, "image": "padded"} if is_padded and is_network else inside


def inner_chain(stages: Sequence[Stage]) -> list[Stage]:
    """Return a recipe's stages from the one that runs the network to the last that gives patches
    their vectors.
    """
    for stage in stages:
        if isinstance(stage, Wrapper) and (found := inner_chain(stage.inner)):
            return found
    addresses = [stage.address for stage in stages]
    if "encode_hidden" not in addresses:
        return []
    last = max(index for index, stage in enumerate(stages) if stage.writes == "patch_features")
    return list(stages[addresses.index("encode_hidden") : last + 1])


def tower(recipe: Recipe, folder: Path) -> Tower:
    """Return the small tower with what a recipe's backbone says of the method."""
    settings = recipe.plan.models["backbone"].model_dump(exclude=FULL)
    return Tower(weights=str(folder), **settings)


class Given(Stage, writes="resized"):
    """Give the network the recorded image, in place of the stage that resizes."""

    recorded: Any

    def run(self, image: Image) -> Image:
        """Return the recorded image."""
        found: Image = self.recorded
        return found


CUTS = {"proxyclip": 0.05}
"""Methods that cut similarities off at a threshold, where rounding decides about those that lie on
it, and the share of values that such a patch may touch.
"""


def test_run(run: tuple[Method, Run], tower_of: Callable[[Method], Path], tmp_path: Path) -> None:
    method, case = run
    recipe = method.recipe(case, tmp_path)
    stages, image = list(recipe.plan.stages), Image(torch.zeros(3, *case.shape))
    if "recipe" in case.facts:
        assert dict(settings_of(recipe, case)) == {
            SETTINGS[key]: value for key, value in case.facts.items() if key in SETTINGS and value
        }
        assert recipe.vocabulary.first_is_background == case.has_background
    if "photo" in case.facts:
        image = method.image(case.facts["photo"])
    else:
        given = Given(recorded=method.image(case.facts["image"]))
        stages = [given if stage.writes == "resized" else stage for stage in stages]
    backbone = tower(recipe, tower_of(method)).with_words(method.text(case))
    kept: dict[str, Tensor] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        value = states[-1][stage.writes]
        if stage.writes == "labels":
            kept[stage.address] = value.ids
        elif hasattr(value, "labels"):
            kept[stage.address] = value.data

    models: dict[str, Backbone] = {"backbone": backbone}
    if guide := method.guide(tmp_path / "guide"):
        models["guide"] = guide
    elif "guide" in recipe.plan.models:
        given = method.tensors.get(f"{case.name}.{GUIDE}")
        if given is None:
            pytest.skip(f"{case.name}: what the guide said is not recorded")
        models["guide"] = GivenGuide(given)
    pipeline = Pipeline.of(stages, models, device="cpu")
    [slots] = pipeline.run_many([image], case.vocabulary, keep)
    if "layout_similarity" in {stage.address for stage in walk(stages)}:
        kept |= layout(stages, kept, case, method)
    assert compare_run(method, case, kept, slots["labels"].ids)


def layout(
    stages: Sequence[Stage], kept: Mapping[str, Tensor], run: Run, method: Method
) -> dict[str, Tensor]:
    """Return what ResCLIP makes of its first result, if the image was seen in one piece."""
    if run.facts.get("crop"):
        return {}
    [stage] = [one for one in walk(stages) if isinstance(one, LayoutSimilarity)]
    maps, patch = kept["first_softmax"], method.facts["vision"]["patch_size"]
    height, width = maps.shape[1:]
    words = patch_words(maps, (height // patch, width // patch), stage.unsure_below)
    rows = smooth_rows(same_place(words), stage.sigma)
    return {"patch_labels": words, "sfr_rows": torch.nn.functional.pad(rows, (1, 0, 1, 0))}


def settings_of(recipe: Recipe, run: Run) -> Iterator[tuple[str, Any]]:
    """Yield what a recipe says of the settings that a run names, if it is not nothing."""
    stages = {stage.address: stage for stage in walk(recipe.plan.stages)}
    for key, address in SETTINGS.items():
        name, parameter = address.split(".")
        value = getattr(stages[name], parameter) if name in stages else None
        if key in run.facts and value:
            yield address, list(value) if isinstance(value, tuple) else value


def compare_run(method: Method, run: Run, kept: dict[str, Tensor], labels: Tensor) -> int:
    """Compare everything that is recorded of a run, and return how many tensors that are."""
    # ours go by classes, the background's first
    order = sorted(range(len(run.classes)), key=lambda query: run.classes[query])
    count = 0
    for name, theirs in method.recorded(run.name).items():
        bare, (_, step) = thinning(name)
        full = f"{run.name}.{name}"
        if bare in LAYOUT:
            if bare in kept:
                check_layout(kept[bare], theirs, order, method, full)
        elif bare == "labels":
            check_labels(run.classes_of(labels)[::step, ::step], theirs, full)
        elif bare in LABELS_OF:
            check_labels(kept[LABELS_OF[bare]].argmax(0)[::step, ::step], theirs, full)
        elif bare in WRITTEN_BY:
            theirs = theirs.reshape(theirs.shape[-3:])
            ours = chosen(kept, WRITTEN_BY[bare], theirs.shape, step, full)
            if bare == "class_scores" and run.facts.get(
                "class_scores_divided_by_their_sum", str(method) == "naclip"
            ):
                ours = ours / ours.sum(0)
            is_by_query = bare not in ("class_scores", "heat_maps")
            check(
                ours[:, ::step, ::step],
                theirs[order] if is_by_query else theirs,
                method,
                full,
                bare.split("_")[-1],
            )
        else:
            continue
        count += 1
    return count


def check_layout(
    ours: Tensor, theirs: Tensor, order: Sequence[int], method: Method, name: str
) -> None:
    """Compare patches' words, in the code's order of queries, or rows of their similarity."""
    if theirs.is_floating_point():
        _, (_, step) = thinning(name.partition(".")[2])
        check(ours[::step], theirs, method, name, "scores")
    else:
        assert torch.equal(torch.tensor(order)[ours], theirs.long()), name


def chosen(
    kept: dict[str, Tensor], addresses: Sequence[str], shape: torch.Size, step: int, name: str
) -> Tensor:
    """Return what the first of these stages wrote whose maps have the recorded shape."""
    for address in addresses:
        if address in kept and kept[address][:, ::step, ::step].shape == shape:
            return kept[address]
    found = {address: tuple(kept[address].shape) for address in addresses if address in kept}
    raise AssertionError(f"{name} has {tuple(shape)}, every {step}th pixel; ours are {found}")


def thinning(name: str) -> tuple[str, tuple[str, int]]:
    """Split what a name ends in: `_sub8` for every 8th row and column, `_step4` for every 4th
    token.
    """
    found = re.fullmatch(r"(.*?)_(sub|step)(\d+)", name)
    return (found[1], (found[2], int(found[3]))) if found else (name, ("", 1))


def check(ours: Tensor, theirs: Tensor, method: Method, name: str, kind: str) -> None:
    """Hold ours to a recording, by how far that lies from a run in double precision."""
    assert ours.shape == theirs.shape, name
    size = float(theirs.abs().max())
    known = method.floor_of(name) if name in method.floors else UNKNOWN.get(kind, 0.0)
    floor = max(known, LEAST * size)
    allowed = MARGIN * floor
    assert allowed <= MOST * max(size, 0.01), f"{name}: the recording lies {floor:.1e} off"
    apart = (ours - theirs).abs()
    found = float(apart.max())
    if str(method) in CUTS:
        assert found <= MOST * size, f"{name}: {found:.2e} from the recording"
        assert float((apart > allowed).float().mean()) <= CUTS[str(method)], name
    else:
        assert found <= allowed, f"{name}: {found:.2e} from the recording, {allowed:.2e} allowed"


def check_labels(ours: Tensor, theirs: Tensor, name: str) -> None:
    assert ours.shape == theirs.shape, name
    differing = int((ours != theirs).sum())
    assert differing <= LABELS * theirs.numel(), f"{name}: {differing} of {theirs.numel()} differ"
