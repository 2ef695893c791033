"""Read a recording of PnP-OVSS's released code, and run our recipes as it was run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file

from ovsskit.backbones.blip_itm import BlipItm
from ovsskit.pipeline import Pipeline
from ovsskit.recipe import Recipe, load_recipe
from ovsskit.stage import Stage
from ovsskit.stages.maps.min_max import MinMax
from ovsskit.values import Caption, Captions, Image, Vocabulary
from ovsskit.vocabulary import make_vocabulary

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


@dataclass
class Run:
    """Hold what every stage wrote, and which patches were hidden before each pass; by pass and picture."""

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
    """Keep what a method returned for each set of arguments, on the object itself."""

    def call(self: Any, *arguments: Any) -> T:
        key = (method.__name__, *arguments)
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
        return load_file(self.folder / f"{name}.safetensors")

    def images(self, names: Sequence[str] = ("a", "b")) -> list[Image]:
        pictures = self.tensors("images")
        return [
            Image(pictures[f"image{i}"].permute(2, 0, 1).float() / 255, name)
            for i, name in enumerate(names)
        ]

    @remembered
    def backbone(self) -> BlipItm:
        return BlipItm(weights=str(self.folder), image_size=self.facts["image_size"])

    def captions(self) -> list[Captions]:
        return [Captions((Caption(text, ()),)) for text in self.facts["itm"]["captions"]]

    def recipe(self, data_type: str, *overrides: str) -> Recipe:
        return load_recipe(RECIPES[data_type], overrides)

    def vocabulary(self, data_type: str) -> Vocabulary:
        table = self.recipe(data_type).vocabulary
        return make_vocabulary(table.names, table.ids, table.background)

    @remembered
    def run(self, case_name: str, kind: str, scratch: Path) -> Run:
        """Run a case as released: `agg`, all rounds, or `single`, the first alone, which the code scales."""
        case, crf = self.facts["cases"][case_name], self.facts["crf"]
        answers = scratch / f"{case_name}_{kind}.json"
        answers.write_text(json.dumps(dict(zip(case["image_ids"], case["gpt4o"], strict=True))))
        recipe = self.recipe(
            case["data_type"],
            f"backbone.weights={self.folder}",
            f"backbone.image_size={self.facts['image_size']}",
            f"presence_from_file.file={answers}",
            f"caption.prompt={json.dumps(self.facts['prompt_prefix'])}",
            f"cross_attention.pad_to={max(map(self.backbone().count_tokens, case['captions']))}",
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
            stage for stage in recipe.stages if stage.address not in REMOVED[case["postprocess"]]
        ]
        if kind == "single" and "class_scale" not in [stage.address for stage in stages]:
            place = [stage.address for stage in stages].index("upsample") + 1
            stages.insert(place, MinMax(name="class_scale", only_map="keep", constant="nan"))
        run = Run()
        pipeline = Pipeline(stages, recipe.models, device="cpu", batch=2)
        pipeline.run_many(
            self.images(case["image_ids"]), self.vocabulary(case["data_type"]), run.watch
        )
        return run

    def is_halving(self, case: dict[str, Any]) -> bool:
        rounds = case.get("dropped_patches_per_round")
        return bool(rounds) and len(rounds[0][0]) != self.facts["drop_per_round"]
