"""Views, windows and what follows them against a recording of ITACLIP's released code; every number comes from the recording.

The recipes run as they are, with the recording's encoder, texts and settings in place of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from itaclip_set import CONFIDENCES, LABELS, LOGITS, Recording

from ovsskit.backbones.clip import Clip
from ovsskit.drive import Driver, State
from ovsskit.pipeline import Pipeline
from ovsskit.recipe import load_recipe
from ovsskit.stage import Stage, Wrapper
from ovsskit.stages.refine.close_labels import CloseLabels
from ovsskit.stages.refine.pamr import Pamr, affinity, deviation
from ovsskit.values import Image, Labels, Logits, TextFeatures
from ovsskit.vocabulary import make_vocabulary

close = torch.testing.assert_close
RECIPES = {"with background": "itaclip", "no background": "itaclip_coco_stuff"}
GIVEN = {"text_features", "expand_text", "resize_image"}
"""Stages whose results the recording holds."""
MAPS = {
    "slide_logits": ("sliding_window", LOGITS),
    "resized_logits": ("upsample", LOGITS),
    "pamr_logits": ("pamr", LOGITS),
    "class_scores": ("drop_small_areas", CONFIDENCES),
}
"""What was recorded of a run's maps: the stage that writes it, and how near we come. The last is as before without the stage."""
LABEL_MAPS = {"labels_before_close": "label_map", "labels": "close_labels"}
STATISTICS = {"slide": "sliding_window", "pamr": "pamr", "scores": "drop_small_areas"}


@dataclass
class Chain:
    """Hold a recipe's stages with the settings of a run, without those whose results the recording holds."""

    recording: Recording
    backbone: Clip
    recipe: str = "itaclip"
    settings: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        middle = self.recording.facts["vision"]["intermediate_layers_1based"]
        settings = {"self_similarity.layers": [*middle, -1], **self.settings}
        recipe = load_recipe(
            self.recipe, [f"{address}={value}" for address, value in settings.items()]
        )
        self.pipeline = Pipeline(recipe.stages, {"backbone": self.backbone}, device="cpu", batch=8)
        self.stages = [
            stage for stage in self.pipeline.stages if stage.address not in GIVEN | self.removed
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
            Driver(self.pipeline.models, self.pipeline.links, 8, watch).run(stages, [state])
        return wrote


@dataclass
class Run:
    """Hold a run of the sliding window: its settings, what was recorded, and what our recipe wrote."""

    name: str
    facts: dict[str, Any]
    theirs: dict[str, torch.Tensor]
    chain: Chain
    start: State
    ours: dict[str, Any]

    @property
    def shift(self) -> int:
        """Return what our labels are above the recorded ones: without a background ours count from 1."""
        return int(self.facts["dataset_type"] == "no background")

    def wrote(self, address: str) -> Any:
        """Return what a stage wrote, or what it would have been given where the recipe does without it."""
        return self.ours[address] if address in self.ours else self.ours["merge_queries"]

    def agree(self, labels: Labels, name: str) -> None:
        theirs = self.theirs[f"{self.name}.{name}"].long() + self.shift
        assert labels.data.shape == theirs.shape
        assert (labels.data == theirs).double().mean() >= LABELS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = Recording(metafunc.config.getoption("--parity-dir") / "itaclip").facts["cases"]
    runs = {name: run for name, run in cases["slide"]["runs"].items() if "label_counts" in run}
    choices: dict[str, Any] = {
        "pamr_name": list(cases["pamr"]["dilations"]),
        "run_name": list(runs),
        "variant_name": [name for name, run in runs.items() if "prob_variant" in run],
    }
    for name, values in choices.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values)


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "itaclip")


@pytest.fixture(scope="module")
def backbone(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return recording.backbone(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def runs(recording: Recording, backbone: Clip) -> dict[str, Run]:
    return {}


def texts(recording: Recording, name: str, labels: list[int]) -> TextFeatures:
    return TextFeatures(recording.tensors("forward_feature")[name], tuple(labels))


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


def run_of(recording: Recording, backbone: Clip, runs: dict[str, Run], name: str) -> Run:
    """Run a recipe as a run was recorded, once."""
    if name not in runs:
        facts = recording.facts["cases"]["slide"]["runs"][name]
        has_background = facts["dataset_type"] == "with background"
        chain = Chain(
            recording, backbone, RECIPES[facts["dataset_type"]], settings_of(recording, facts)
        )
        labels = [label + (not has_background) for label in facts["query_idx"]]
        start: State = {
            "image": Image(torch.zeros(3, *recording.facts["cases"]["slide"]["ori_shape"])),
            "resized": recording.image("slide_voc"),
            "vocabulary": make_vocabulary(
                [f"class {label}" for label in range(1, max(labels) + 1)]
            ),
            "text_features": texts(
                recording, "text_voc" if has_background else "text_stuff", labels
            ),
        }
        runs[name] = Run(
            name,
            facts,
            recording.tensors(recording.file_of(name)),
            chain,
            start,
            chain.run(chain.stages, start),
        )
    return runs[name]


def sub(recording: Recording, maps: torch.Tensor) -> torch.Tensor:
    """Return the rows and columns that were recorded."""
    step = recording.facts["subsample"]
    return maps[..., ::step, ::step]


@pytest.mark.parametrize("case", ["square", "nonsquare"])
def test_views_of_one_crop(recording: Recording, backbone: Clip, case: str) -> None:
    facts, theirs = (
        recording.facts["cases"]["forward_feature"],
        recording.tensors("forward_feature"),
    )
    chain = Chain(recording, backbone, settings={"views.same_weight": facts["img_eng_coefficient"]})
    image = recording.image("encode", f"{case}.image")
    state = {
        "image": image,
        "text_features": texts(recording, facts["text"], theirs["query_idx_voc"].tolist()),
    }
    maps = chain.run(chain.views(), state)["views"].data[None]
    for size, name in (
        (image.size, f"{case}.logits_eng_on"),
        (tuple(facts["resized_to"]), f"{case}.logits_eng_on_resized"),
    ):
        key = f"{name}_sub{recording.facts['subsample']}"
        if key in theirs:
            close(
                sub(recording, torch.nn.functional.interpolate(maps, size, mode="bilinear")),
                theirs[key],
                **LOGITS,
            )


def test_every_map_of_a_run(
    recording: Recording, backbone: Clip, runs: dict[str, Run], run_name: str
) -> None:
    run = run_of(recording, backbone, runs, run_name)
    step = recording.facts["subsample"]
    recorded = [key.split(".")[1] for key in run.theirs if key.startswith(f"{run_name}.")]
    assert recorded
    for name in recorded:
        if name in LABEL_MAPS:
            run.agree(run.ours[LABEL_MAPS[name]], name)
        elif name != "labels_prob_variant":  # see below
            address, tolerance = MAPS[name.removesuffix(f"_sub{step}")]
            theirs = run.theirs[f"{run_name}.{name}"]
            close(sub(recording, run.wrote(address).data).view_as(theirs), theirs, **tolerance)


def test_statistics_of_whole_tensors(
    recording: Recording, backbone: Clip, runs: dict[str, Run], run_name: str
) -> None:
    run = run_of(recording, backbone, runs, run_name)
    for name, expected in run.facts["stats"].items():
        maps = run.wrote(STATISTICS[name]).data
        assert list(maps.shape) == expected["shape"][-3:]
        found = [
            float(one) for one in (maps.mean(), maps.double().std(), maps.double().abs().mean())
        ]
        wanted = [expected["mean"], expected["std"], expected["abs_sum"] / maps.numel()]
        close(torch.tensor(found), torch.tensor(wanted), **LOGITS)
    counts = (
        run.ours["close_labels"]
        .data.flatten()
        .bincount(minlength=len(run.facts["label_counts"]) + run.shift)
    )
    assert (counts[run.shift :] - torch.tensor(run.facts["label_counts"])).abs().sum() <= 2 * (
        1 - LABELS
    ) * counts.sum()


def test_windows_of_a_picture_smaller_than_a_window(recording: Recording, backbone: Clip) -> None:
    slide, theirs = recording.facts["cases"]["slide"], recording.tensors("slide_stuff")
    facts = slide["runs"]["small"]
    settings = {
        "sliding_window.stride": facts["stride"],
        "views.same_weight": facts["img_eng_coefficient"],
    }
    chain = Chain(
        recording, backbone, settings={"sliding_window.window": slide["crop"], **settings}
    )
    labels = recording.tensors("forward_feature")["query_idx_voc"].tolist()
    state = {
        "resized": recording.image("slide_stuff", "small.image"),
        "text_features": texts(recording, "text_voc", labels),
    }
    maps = chain.run(chain.stages[:1], state)["sliding_window"].data
    close(
        sub(recording, maps)[None],
        theirs[f"small.slide_logits_sub{recording.facts['subsample']}"],
        **LOGITS,
    )


def test_labels_by_another_threshold(
    recording: Recording, backbone: Clip, runs: dict[str, Run], variant_name: str
) -> None:
    run = run_of(recording, backbone, runs, variant_name)
    facts = run.facts["prob_variant"]
    settings = {
        "softmax.scale": facts["logit_scale"],
        "label_map.background_below": facts["prob_thd"],
    }
    chain = Chain(
        recording,
        backbone,
        settings=settings,
        removed={"drop_small_areas"} if facts["area_thd"] is None else set(),
    )
    ours = chain.run(chain.after("pamr"), {**run.start, "scores": run.ours["pamr"]})
    run.agree(ours["close_labels"], "labels_prob_variant")


def test_close(recording: Recording, run_name: str) -> None:
    theirs = recording.tensors(recording.file_of(run_name))
    closed = CloseLabels().run(Labels(theirs[f"{run_name}.labels_before_close"].long()))
    assert torch.equal(closed.data, theirs[f"{run_name}.labels"].long())


def test_pamr(recording: Recording, pamr_name: str) -> None:
    theirs, facts = recording.tensors("pamr"), recording.facts["cases"]["pamr"]
    dilations = tuple(facts["dilations"][pamr_name])
    picture = theirs["image"][0]
    close(deviation(picture, dilations)[:, ::8, ::8], theirs[f"{pamr_name}.std_sub8"], **LOGITS)
    close(affinity(picture, dilations)[:, ::8, ::8], theirs[f"{pamr_name}.affinity_sub8"], **LOGITS)
    stage = Pamr(steps=facts["iterations"], dilations=dilations, at="picture")
    for mask, out in (("mask", "out"), ("mask_low", "out_low")):
        if f"{pamr_name}.{out}" in theirs:
            maps = theirs[mask][0]
            refined = stage.run(Logits(maps, tuple(range(len(maps)))), Image(picture))
            close(refined.data, theirs[f"{pamr_name}.{out}"][0], **LOGITS)
