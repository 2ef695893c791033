"""Read a recording of PnP-OVSS's released code, and run our recipes as it was run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from floor import Twice, in_double
from safetensors.torch import load_file

from ovsskit.backbones.matching.blip_itm import BlipItm
from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Caption, Captions, Image, Saliency, Vocabulary
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.min_max import MinMax

T = TypeVar("T")
RECIPES = {
    "voc": "pnp_blip_released",
    "psc": "pnp_blip_released_context",
    "ade20k": "pnp_blip_released_ade20k",
    "coco_object": "pnp_blip_released_coco_object",
    "coco_stuff": "pnp_blip_released_coco_stuff",
}
REMOVED = {
    "blur+crf": (),
    "blur": ("softmax", "dense_crf"),
    "crf": ("gaussian_blur", "min_max"),
    "none": ("gaussian_blur", "min_max", "softmax", "dense_crf"),
}
DECIDE = ("threshold", "background")
"""Stages that ask of each value whether it is large enough, or 0: what follows in double precision
takes their answers.
"""


@dataclass
class Run:
    """Hold what every stage wrote, and which patches were hidden before each pass; by pass and
    picture.
    """

    wrote: dict[str, list[Any]] = field(default_factory=dict)
    hidden: list[torch.Tensor] = field(default_factory=list)

    def watch(self, stage: Stage, states: Sequence[dict[str, Any]], seconds: float) -> None:
        self.wrote.setdefault(stage.address, []).extend(state[stage.writes] for state in states)
        if stage.address == "grad_cam":
            for state in states:
                nothing = torch.zeros(state["token_maps"].data.shape[1:], dtype=torch.bool)
                self.hidden.append(
                    nothing if state["image"].hidden is None else state["image"].hidden
                )


def remembered(method: Callable[..., T]) -> Callable[..., T]:
    """Keep what a method returned for each set of arguments and each precision, on the object
    itself.
    """

    def call(self: Any, *arguments: Any) -> T:
        key = (method.__name__, torch.get_default_dtype(), *arguments)
        if key not in self.memory:
            self.memory[key] = method(self, *arguments)
        found: T = self.memory[key]
        return found

    return call


class Recording:
    """Hold one recording: constants, pictures, tensors, and our runs on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory: dict[tuple[Any, ...], Any] = {}
        self.facts: dict[str, Any] = json.loads((folder / "case.json").read_text())

    @remembered
    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """Return a file's tensors; where the set has no such file, skip the test."""
        file = self.folder / f"{name}.safetensors"
        if not file.is_file():
            pytest.skip(f"{self.folder} has no {file.name}")
        return load_file(file)

    def images(self, names: Sequence[str] = ()) -> list[Image]:
        pictures = self.tensors("images")
        return [
            Image(pictures[f"image{i}"].permute(2, 0, 1).float() / 255, name)
            for i, name in enumerate(names or [str(i) for i in range(len(pictures))])
        ]

    @remembered
    def backbone(self, data_type: str = "voc") -> BlipItm:
        """Return the backbone of a data set's recipe, its network read."""
        fields = {"weights": str(self.folder), "image_size": self.facts["image_size"]}
        found = self.recipe(data_type).plan.models["backbone"].model_copy(update=fields)
        assert isinstance(found, BlipItm)
        assert found.network is not None
        return found

    def captions(self) -> list[Captions]:
        return [Captions((Caption(text, ()),)) for text in self.facts["itm"]["captions"]]

    def recipe(self, data_type: str, *overrides: str) -> Recipe:
        return load_recipe(RECIPES[data_type], overrides)

    def vocabulary(self, data_type: str) -> Vocabulary:
        table = self.recipe(data_type).vocabulary
        return make_vocabulary(table.names, table.ids, table.background)

    @remembered
    def stages(self, case_name: str, kind: str, scratch: Path) -> list[Stage]:
        """Return a case's stages as released: `agg`, all rounds, or `single`, the first alone,
        which the code scales.
        """
        case, crf = self.facts["cases"][case_name], self.facts["crf"]
        answers = scratch / f"{case_name}_{kind}.json"
        answers.write_text(json.dumps(dict(zip(case["image_ids"], case["gpt4o"], strict=True))))
        recipe = self.recipe(
            case["data_type"],
            f"presence_from_file.file={answers}",
            f"write_captions.prompt={json.dumps(self.facts['prompt_prefix'])}",
            f"cross_attend.pad_to={max(map(self.backbone().count_tokens, case['captions']))}",
            f"select_head.layer={case['layer_1based']}",
            f"select_head.head={case['head_0based']}",
            f"salience_dropout.rounds={case['drop_iter'] if kind == 'agg' else 1}",
            f"salience_dropout.count_first_twice={str(kind == 'agg').lower()}",
            f"salience_dropout.patches={self.facts['drop_per_round']}",
            f'salience_dropout.schedule="{"halving" if self.is_halving(case) else "fixed"}"',
            f"threshold.at={self.facts['threshold']}",
            f"gaussian_blur.sigma={self.facts['blur_scale']}",
            f"dense_crf.steps={crf['iterations']}",
            f"dense_crf.gaussian_sigma={crf['gaussian_sxy']}",
            f"dense_crf.gaussian_weight={crf['gaussian_compat']}",
            f"dense_crf.bilateral_sigma={crf['bilateral_sxy']}",
            f"dense_crf.bilateral_colour_sigma={crf['bilateral_srgb']}",
            f"dense_crf.bilateral_weight={crf['bilateral_compat']}",
        )
        stages = [
            stage
            for stage in recipe.plan.stages
            if stage.address not in REMOVED[case["postprocess"]]
        ]
        if kind == "single" and "class_scale" not in [stage.address for stage in stages]:
            place = [stage.address for stage in stages].index("upsample") + 1
            stages.insert(place, MinMax(name="class_scale", only_map="keep", constant="nan"))
        return stages

    def pipeline(self, case_name: str, stages: Sequence[Stage]) -> Pipeline:
        case = self.facts["cases"][case_name]
        backbone = self.backbone(case["data_type"])
        return Pipeline.of(
            stages, {"backbone": backbone}, device="cpu", batch=len(case["image_ids"])
        )

    @remembered
    def run(self, case_name: str, kind: str, scratch: Path) -> Run:
        """Run a case; in double precision as far as the network goes."""
        case, stages, run = (
            self.facts["cases"][case_name],
            self.stages(case_name, kind, scratch),
            Run(),
        )
        if torch.get_default_dtype() == torch.float64:
            stages = stages[: place_of("merge_tokens", stages) + 1]
        self.pipeline(case_name, stages).run_many(
            self.images(case["image_ids"]), self.vocabulary(case["data_type"]), run.watch
        )
        return run

    def refine(
        self, case_name: str, kind: str, scratch: Path, picture: int, maps: torch.Tensor
    ) -> Twice:
        """Run the stages between the network and the CRF on recorded maps of the
        present classes.
        """
        case, stages = self.facts["cases"][case_name], self.stages(case_name, kind, scratch)
        pipeline = self.pipeline(case_name, stages)
        [*_, last] = [stage for stage in stages if stage.address in ("background", "min_max")]
        some = stages[place_of("merge_tokens", stages) + 1 : stages.index(last) + 1]
        labels = tuple(1 + index for index in case["class_indices_0based"][picture])
        start = {
            "image": self.images(case["image_ids"])[picture],
            "vocabulary": self.vocabulary(case["data_type"]),
            "scores": Saliency(maps, labels),
        }

        def run(decided: Run | None) -> Run:
            found, state = Run(), start
            for stage in some:
                driver = Driver(pipeline.models, pipeline.plan.models_of, 1, found.watch)
                [state] = driver.run([stage], [state])
                if decided is not None and stage.address in DECIDE:
                    state["scores"] = in_default_precision(decided.wrote[stage.address][0])
            return found

        single = run(None)
        with in_double():
            start["scores"] = in_default_precision(start["scores"])
            return Twice(single, run(single))

    def run_twice(self, case_name: str, kind: str, scratch: Path) -> Twice:
        return Twice.of(lambda: self.run(case_name, kind, scratch))

    def is_halving(self, case: dict[str, Any]) -> bool:
        rounds = case.get("dropped_patches_per_round")
        return bool(rounds) and len(rounds[0][0]) != self.facts["drop_per_round"]


def place_of(address: str, stages: Sequence[Stage]) -> int:
    return [stage.address for stage in stages].index(address)


def in_default_precision(scores: Saliency) -> Saliency:
    return scores.with_data(scores.data.to(torch.get_default_dtype()))
