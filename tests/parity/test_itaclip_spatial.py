"""Views, windows and what follows them against a recording of ITACLIP's released code; every number
comes from the recording.

The recipes run as they are, with the recording's encoder, texts and settings in place of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from floor import Twice, check, check_all, check_values
from itaclip_set import LABELS, Recording, pictures
from sets import Facts, choose, find

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.driver import Driver, State
from ovsskit.engine.stage import Stage, Wrapper
from ovsskit.engine.values import Image, Labels, Logits
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.refine.close_labels import CloseLabels
from ovsskit.stages.refine.pamr import Pamr, affinity, deviation

RECIPES = {"with background": "itaclip", "no background": "itaclip_coco_stuff"}
GIVEN = {"encode_text", "expand_text", "resize_image"}
"""Stages whose results the recording holds."""
MAPS = {
    "slide_logits": "sliding_window",
    "resized_logits": "upsample",
    "pamr_logits": "pamr",
    "class_scores": "drop_small_areas",
}
"""What was recorded of a run's maps: the stage that writes it. The last is as before without the
stage.
"""
LABEL_MAPS = {"labels_before_close": "label_map", "labels": "close_labels"}
STATISTICS = {"slide": "sliding_window", "pamr": "pamr", "scores": "drop_small_areas"}


@dataclass
class Chain:
    """Hold a recipe's stages with the settings of a run, without those whose results the recording
    holds.
    """

    recording: Recording
    backbone: Clip
    recipe: str = "itaclip"
    settings: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        middle = self.recording.facts["vision"]["intermediate_layers_1based"]
        colours = {f"views.{name}": value for name, value in self.recording.colours().items()}
        settings = {"self_similarity.layers": [*middle, -1], **colours, **self.settings}
        recipe = load_recipe(
            self.recipe, [f"{address}={value}" for address, value in settings.items()]
        )
        self.pipeline = Pipeline.of(
            recipe.plan.stages, {"backbone": self.backbone}, device="cpu", batch=8
        )
        self.stages = [
            stage
            for stage in self.pipeline.plan.stages
            if stage.address not in GIVEN | self.removed
        ]

    def after(self, address: str) -> list[Stage]:
        """Return the stages that follow one of them."""
        return self.stages[[stage.address for stage in self.stages].index(address) + 1 :]

    def views(self) -> list[Stage]:
        """Return the stages inside the windows."""
        [window] = (stage for stage in self.stages if stage.address == "sliding_window")
        assert isinstance(window, Wrapper)
        return list(window.inner)

    def run(self, stages: list[Stage], state: State) -> dict[str, Any]:
        """Return what each stage wrote."""
        wrote: dict[str, Any] = {}

        def watch(stage: Stage, states: Any, seconds: float) -> None:
            wrote[stage.address] = states[-1][stage.writes]

        with torch.no_grad():
            Driver(self.pipeline.models, self.pipeline.plan.models_of, 8, watch).run(
                stages, [state]
            )
        return wrote


@dataclass
class Run:
    """Hold a run of the sliding window: its settings, what was recorded, and what our
    recipe wrote.
    """

    name: str
    facts: dict[str, Any]
    theirs: dict[str, torch.Tensor]
    chain: Chain
    start: State
    ours: dict[str, Any]

    @property
    def shift(self) -> int:
        """Return what our labels are above the recorded ones: without a background ours count from
        1.
        """
        return int(self.facts["dataset_type"] == "no background")

    def wrote(self, address: str) -> Any:
        """Return what a stage wrote, or what it would have been given where the recipe does without
        it.
        """
        return self.ours[address] if address in self.ours else self.ours["merge_queries"]

    def agree(self, labels: Labels, name: str) -> None:
        theirs = self.theirs[f"{self.name}.{name}"].long() + self.shift
        assert labels.ids.shape == theirs.shape
        assert (labels.ids == theirs).double().mean() >= LABELS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choices = {
        "pamr_name": lambda facts: list(facts["cases"]["pamr"]["dilations"]),
        "run_name": lambda facts: whole_runs(facts),
        "windows_name": lambda facts: [
            name for name in facts["cases"]["slide"]["runs"] if name not in whole_runs(facts)
        ],
        "variant_name": lambda facts: [
            name for name, run in whole_runs(facts).items() if "prob_variant" in run
        ],
        "case": lambda facts: pictures(facts["cases"]["encode"]),
    }
    choose(metafunc, "itaclip", choices)


def whole_runs(facts: Facts) -> dict[str, Any]:
    """Return the runs that were recorded up to their labels."""
    runs = facts["cases"]["slide"]["runs"]
    return {name: run for name, run in runs.items() if "label_counts" in run}


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "itaclip"))


@pytest.fixture(scope="module")
def make(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Clip]:
    scratch = tmp_path_factory.mktemp("model")
    return lambda: recording.backbone(scratch)


@pytest.fixture(scope="module")
def runs(recording: Recording, make: Callable[[], Clip]) -> Callable[[str], Run]:
    """Return what runs a recipe as a run was recorded, once for each precision."""

    @cache
    def run(name: str, precision: torch.dtype) -> Run:
        return run_of(recording, make(), name)

    return lambda name: run(name, torch.get_default_dtype())


def settings_of(recording: Recording, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the overrides that give a recipe the settings of a run."""
    return {
        "sliding_window.window": recording.facts["cases"]["slide"]["crop"],
        "sliding_window.stride": facts["stride"],
        "views.same_weight": facts["img_eng_coefficient"],
        "pamr.steps": facts["pamr_steps"],
        "pamr.dilations": facts["pamr_dilations"],
        "softmax.scale": facts["logit_scale"],
        "label_map.background_below": facts["prob_thd"],
        **(
            {"drop_small_areas.fraction": facts["area_thd"]}
            if facts["area_thd"] is not None
            else {}
        ),
    }


def run_of(recording: Recording, backbone: Clip, name: str) -> Run:
    facts = recording.facts["cases"]["slide"]["runs"][name]
    has_background = facts["dataset_type"] == "with background"
    chain = Chain(
        recording, backbone, RECIPES[facts["dataset_type"]], settings_of(recording, facts)
    )
    labels = [label + (not has_background) for label in facts["query_idx"]]
    start: State = {
        "image": Image(torch.zeros(3, *recording.facts["cases"]["slide"]["ori_shape"])),
        "resized": recording.image(recording.file_of("image")),
        "vocabulary": make_vocabulary([f"class {label}" for label in range(1, max(labels) + 1)]),
        "text_features": recording.texts(recording.texts_of(has_background=has_background), labels),
    }
    theirs = recording.tensors(recording.file_of(name))
    return Run(name, facts, theirs, chain, start, chain.run(chain.stages, start))


def sub(recording: Recording, maps: torch.Tensor) -> torch.Tensor:
    """Return the rows and columns that were recorded."""
    step = recording.facts["subsample"]
    return maps[..., ::step, ::step]


def test_views_of_one_crop(recording: Recording, make: Callable[[], Clip], case: str) -> None:
    facts, theirs = (
        recording.facts["cases"]["forward_feature"],
        recording.tensors("forward_feature"),
    )
    image = recording.image("encode", f"{case}.image")
    sizes = {
        f"{case}.logits_eng_on": image.size,
        f"{case}.logits_eng_on_resized": tuple(facts["resized_to"]),
    }

    def compute() -> dict[str, torch.Tensor]:
        settings = {"views.same_weight": facts["img_eng_coefficient"]}
        chain = Chain(recording, make(), settings=settings)
        texts = recording.texts(facts["text"], recording.queries(facts["text"]))
        state = {"image": recording.image("encode", f"{case}.image"), "text_features": texts}
        maps = chain.run(chain.views(), state)["views"].data[None]
        return {
            f"{name}_sub{recording.facts['subsample']}": sub(
                recording, torch.nn.functional.interpolate(maps, size, mode="bilinear")
            )
            for name, size in sizes.items()
        }

    check_all(Twice.of(compute), theirs)


def test_every_map_of_a_run(
    recording: Recording, runs: Callable[[str], Run], run_name: str
) -> None:
    """A run of few windows is noisier than one of many: it alone is run in double precision, for
    all runs of its kind.
    """
    run, step = runs(run_name), recording.facts["subsample"]
    noisiest = Twice.of(lambda: runs(noisiest_of(recording.facts, run_name)))
    recorded = [key.split(".")[1] for key in run.theirs if key.startswith(f"{run_name}.")]
    assert recorded
    for name in recorded:
        if name in LABEL_MAPS:
            run.agree(run.ours[LABEL_MAPS[name]], name)
        elif name != "labels_prob_variant":  # see below
            address = MAPS[name.removesuffix(f"_sub{step}")]
            theirs = run.theirs[f"{run_name}.{name}"]
            ours = sub(recording, run.wrote(address).data).view_as(theirs)
            floor = noisiest.map(lambda one, address=address: one.wrote(address).data).floor()
            check_values(ours, theirs, floor, name)


def noisiest_of(facts: Facts, name: str) -> str:
    """Return the run of the same recipe with the fewest windows."""
    runs = whole_runs(facts)
    alike = [one for one in runs if runs[one]["dataset_type"] == runs[name]["dataset_type"]]
    return max(alike, key=lambda one: int(runs[one]["stride"]))


def test_statistics_of_whole_tensors(
    recording: Recording, runs: Callable[[str], Run], run_name: str
) -> None:
    run = runs(run_name)
    for name, expected in run.facts["stats"].items():
        maps = run.wrote(STATISTICS[name]).data
        assert list(maps.shape) == expected["shape"][-3:]
        found = [
            float(one) for one in (maps.mean(), maps.double().std(), maps.double().abs().mean())
        ]
        wanted = [expected["mean"], expected["std"], expected["abs_sum"] / maps.numel()]
        assert found == pytest.approx(wanted, rel=2e-5, abs=0)
    counts = (
        run.ours["close_labels"]
        .ids.flatten()
        .bincount(minlength=len(run.facts["label_counts"]) + run.shift)
    )
    assert (counts[run.shift :] - torch.tensor(run.facts["label_counts"])).abs().sum() <= 2 * (
        1 - LABELS
    ) * counts.sum()


def test_windows_alone(recording: Recording, make: Callable[[], Clip], windows_name: str) -> None:
    """A picture may be smaller than a window."""
    slide, file = recording.facts["cases"]["slide"], recording.file_of(windows_name)
    facts = slide["runs"][windows_name]
    settings = {
        "sliding_window.window": slide["crop"],
        "sliding_window.stride": facts["stride"],
        "views.same_weight": facts["img_eng_coefficient"],
    }
    texts = recording.texts_of(has_background=True)

    def compute() -> torch.Tensor:
        chain = Chain(recording, make(), settings=settings)
        state = {
            "resized": recording.image(file, f"{windows_name}.image"),
            "text_features": recording.texts(texts, recording.queries(texts)),
        }
        maps: torch.Tensor = chain.run(chain.stages[:1], state)["sliding_window"].data
        return sub(recording, maps)[None]

    name = f"{windows_name}.slide_logits_sub{recording.facts['subsample']}"
    check(Twice.of(compute), recording.tensors(file)[name])


def test_labels_by_another_threshold(
    recording: Recording, runs: Callable[[str], Run], variant_name: str
) -> None:
    run = runs(variant_name)
    facts = run.facts["prob_variant"]
    settings = {
        "softmax.scale": facts["logit_scale"],
        "label_map.background_below": facts["prob_thd"],
    }
    chain = Chain(
        recording,
        run.chain.backbone,
        settings=settings,
        removed={"drop_small_areas"} if facts["area_thd"] is None else set(),
    )
    ours = chain.run(chain.after("pamr"), {**run.start, "scores": run.ours["pamr"]})
    run.agree(ours["close_labels"], "labels_prob_variant")


def test_close(recording: Recording, run_name: str) -> None:
    theirs = recording.tensors(recording.file_of(run_name))
    closed = CloseLabels().run(Labels(theirs[f"{run_name}.labels_before_close"].long()))
    assert torch.equal(closed.ids, theirs[f"{run_name}.labels"].long())


def test_pamr(recording: Recording, pamr_name: str) -> None:
    theirs, facts = recording.tensors("pamr"), recording.facts["cases"]["pamr"]
    dilations = tuple(facts["dilations"][pamr_name])
    steps = {
        name: recording.step(theirs, f"{pamr_name}.{name}_sub") for name in ("std", "affinity")
    }

    def compute() -> dict[str, torch.Tensor]:
        picture = theirs["image"][0].to(torch.get_default_dtype())
        made = {"std": deviation(picture, dilations), "affinity": affinity(picture, dilations)}
        found = {
            f"{pamr_name}.{name}_sub{step}": made[name][:, ::step, ::step]
            for name, step in steps.items()
        }
        stage = Pamr(steps=facts["iterations"], dilations=dilations, at="image")
        for mask, out in (("mask", "out"), ("mask_low", "out_low")):
            maps = theirs[mask][0].to(torch.get_default_dtype())
            refined = stage.run(Logits(maps, tuple(range(len(maps)))), Image(picture))
            found[f"{pamr_name}.{out}"] = refined.data[None]
        return found

    assert f"{pamr_name}.out" in theirs
    check_all(Twice.of(compute), theirs)
