"""Compare our ITACLIP with a plain loop on a full-size CLIP with random weights.

Run `python benchmarks/itaclip.py`.
The plain loop does what the released code does, in its order: one window at a time, five passes
through the encoder for each, every neighbour of every pixel laid out for PAMR. Settings are a
recipe's, on a smooth random image; the texts' vectors are made of those of some patches, so that
labels vary. Each side runs in a process of its own, so that peak memory can be told. The time is
the processor's for one image (other programs hardly disturb it), without reading weights and
encoding texts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch.nn import functional

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.driver import Driver, State
from ovsskit.engine.stage import Stage, Wrapper
from ovsskit.engine.values import Image, TextFeatures
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.resize_image import ResizeImage

MODEL = "ViT-B-16-quickgelu"
GIVEN = {"encode_text", "expand_text"}
"""Stages whose results both sides are given."""

SPREAD = 0.05
"""Standard deviation of how alike patches and texts are, as a trained model might have it."""


def make_weights(folder: Path) -> None:
    """Write a ViT-B/16 with random weights."""
    from ovsskit._lazy import open_clip

    torch.manual_seed(0)
    network = open_clip.create_model(MODEL)
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()},
        folder / "weights.safetensors",
    )


def random_image(height: int, width: int) -> Image:
    """Return a smooth random image with some texture."""
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros(3, height, width)
    for cells, share in ((5, 0.5), (16, 0.3), (60, 0.2)):
        coarse = torch.rand(1, 3, cells, cells * width // height, generator=generator)
        total += share * functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    return Image((total.clamp(0, 1) * 255).round() / 255, "image")


def make_texts(backbone: Clip, recipe: Recipe, image: Image) -> TextFeatures:
    """Return one vector for every text of the recipe: those of patches, less their mean."""
    vocabulary = recipe.plan.vocabulary
    labels = [label for label, _ in vocabulary.queries]
    chain = {stage.address: stage for stage in flat(recipe.plan.stages)}
    small = ResizeImage(short_side=224).run(image)
    state: State = {"image": Image(small.data[:, :224, :224])}
    inside = [
        chain[name]
        for name in ("encode_hidden", "self_similarity", "self_attention", "merge_layers", "attend")
    ]
    models = {"backbone": backbone}
    [state] = Driver(models, recipe.plan.models_of, device=backbone.device).run(inside, [state])
    patches = functional.normalize(state["patch_features"].data, dim=0).flatten(1).T
    chosen = patches[
        torch.randperm(len(patches), generator=torch.Generator().manual_seed(2))[: len(labels)]
    ]
    directions = functional.normalize(chosen - patches.mean(0), dim=1)
    return TextFeatures(directions * SPREAD / (patches @ directions.T).std(), tuple(labels))


def flat(stages: Any) -> list[Stage]:
    """List stages, and those inside wrappers."""
    return [
        one
        for stage in stages
        for one in (stage, *(flat(stage.inner) if isinstance(stage, Wrapper) else ()))
    ]


@dataclass
class PlainLoop:
    """Segment as the released code does, with a recipe's settings."""

    backbone: Clip
    texts: TextFeatures
    recipe: Recipe
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.visual = self.backbone.visual
        self.stages: dict[str, Any] = {
            stage.address: stage for stage in flat(self.recipe.plan.stages)
        }
        self.middle = self.stages["self_similarity"].layers[:-1]

    def self_self(self, block: Any, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the attention of queries to queries plus keys to keys, and the values."""
        packed = functional.linear(tokens, block.attn.in_proj_weight, block.attn.in_proj_bias)
        heads = block.attn.num_heads
        query, key, value = (
            part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in packed.chunk(3, -1)
        )
        scale = query.shape[-1] ** -0.5
        maps = [(one @ one.transpose(-1, -2) * scale).softmax(-1) for one in (query, key)]
        return maps[0] + maps[1], value

    def encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """Return the projected tokens of one normalised crop, class token first, of unit length."""
        visual = self.visual
        patches = visual.conv1(pixels)
        grid = (patches.shape[2], patches.shape[3])
        first = visual.class_embedding.expand(1, 1, -1)
        places = visual.positional_embedding
        if grid[0] * grid[1] + 1 != len(places):
            table = places[1:].T.unflatten(1, visual.grid_size)[None]
            scale = [
                (side + 0.1) / before for side, before in zip(grid, visual.grid_size, strict=True)
            ]
            resized = (
                functional.interpolate(table, scale_factor=scale, mode="bicubic")[0].flatten(1).T
            )
            places = torch.cat([places[:1], resized])
        tokens = visual.ln_pre(torch.cat([first, patches.flatten(2).transpose(1, 2)], 1) + places)
        kept = []
        *blocks, last = visual.transformer.resblocks
        for number, block in enumerate(blocks, 1):
            if number in self.middle:
                kept.append(self.self_self(block, block.ln_1(tokens))[0])
            tokens = block(tokens)
        own, value = self.self_self(last, last.ln_1(tokens))
        maps = 0.5 * own + 0.5 * torch.stack(kept).mean(0)
        tokens = tokens + last.attn.out_proj((maps @ value).transpose(1, 2).flatten(2))
        tokens = visual.ln_post(tokens) @ visual.proj
        return tokens / tokens.norm(dim=-1, keepdim=True), grid

    def crop(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits of one crop: five passes, one after another."""
        views = self.stages["views"]
        red, green, blue = pixels.unbind(1)
        grey = (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None].expand(-1, 3, -1, -1)
        line = torch.exp(-((torch.arange(11.0) - 5) ** 2) / (2 * 5.0**2))
        kernel = torch.outer(line / line.sum(), line / line.sum()).expand(3, 1, 11, 11)
        blurred = functional.conv2d(
            functional.pad(pixels, (5, 5, 5, 5), mode="reflect"), kernel, groups=3
        )
        first = [self.encode(one) for one in (pixels, grey, blurred)]
        grid = first[0][1]
        mean = torch.stack([tokens for tokens, _ in first]).mean(0)
        same = self.enlarge(mean, grid, pixels)
        altered = []
        for axis in (2, 3):
            tokens, grid = self.encode(pixels.flip(axis))
            altered.append(self.enlarge(tokens, grid, pixels).flip(axis))
        weight: float = views.same_weight
        return weight * same + (1 - weight) * torch.stack(altered).mean(0)

    def enlarge(
        self, tokens: torch.Tensor, grid: tuple[int, int], pixels: torch.Tensor
    ) -> torch.Tensor:
        """Compare patches with all texts, and enlarge the maps to the crop."""
        maps = (tokens[:, 1:] @ self.texts.data.T).transpose(1, 2).unflatten(2, grid)
        return functional.interpolate(maps, pixels.shape[2:], mode="bilinear")

    def slide(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the mean logits of all windows."""
        window, stride = self.stages["sliding_window"].window, self.stages["sliding_window"].stride
        height, width = pixels.shape[2:]
        total, count = (
            torch.zeros(1, len(self.texts.data), height, width),
            torch.zeros(1, 1, height, width),
        )
        for row in range(max(height - window + stride - 1, 0) // stride + 1):
            for column in range(max(width - window + stride - 1, 0) // stride + 1):
                bottom, right = (
                    min(row * stride + window, height),
                    min(column * stride + window, width),
                )
                top, left = max(bottom - window, 0), max(right - window, 0)
                logits = self.crop(pixels[:, :, top:bottom, left:right])
                total += functional.pad(logits, (left, width - right, top, height - bottom))
                count[:, :, top:bottom, left:right] += 1
        return total / count

    def neighbours(self, maps: torch.Tensor, with_centre: bool) -> torch.Tensor:
        """Lay out every neighbour of every pixel: image, class, neighbour, height, width."""
        places = [index for index in range(9) if with_centre or index != 4]
        kernel = torch.eye(9)[places].view(-1, 1, 3, 3)
        batch, classes, height, width = maps.shape
        flat_maps = maps.reshape(batch * classes, 1, height, width)
        found = [
            functional.conv2d(
                functional.pad(flat_maps, (step,) * 4, mode="replicate"), kernel, dilation=step
            )
            for step in self.stages["pamr"].dilations
        ]
        return torch.cat(found, 1).view(batch, classes, -1, height, width)

    def pamr(self, pixels: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Refine the maps."""
        spread = self.neighbours(pixels, True).std(2, keepdim=True)
        difference = (self.neighbours(pixels, False) - pixels[:, :, None]).abs() / (
            1e-8 + 0.1 * spread
        )
        weights = (-difference).mean(1, keepdim=True).softmax(2)
        for _ in range(self.stages["pamr"].steps):
            maps = (self.neighbours(maps, False) * weights).sum(2)
        return maps

    def run(self, image: Image) -> torch.Tensor:
        """Return the label map."""
        pixels = self.backbone.pixels(self.stages["resize_image"].run(image))[None]
        maps = functional.interpolate(self.slide(pixels), image.size, mode="bilinear")
        start = time.process_time()
        maps = self.pamr(functional.interpolate(pixels, image.size, mode="bilinear"), maps)[0]
        self.seconds["pamr"] = time.process_time() - start
        maps = (maps * self.stages["softmax"].scale).softmax(0)
        numbers = torch.tensor(self.texts.labels)
        scores = torch.stack(
            [maps[numbers == label].amax(0) for label in numbers.unique().tolist()]
        )
        first = int(numbers.min())
        if "drop_small_areas" in self.stages:
            counts = (
                (scores.argmax(0) + first).flatten().bincount(minlength=len(scores) + first)[first:]
            )
            foreground = counts[1 - first :].sum()
            for index in range(1 - first, len(scores)):
                if counts[index] <= self.stages["drop_small_areas"].fraction * foreground:
                    scores[index] = 0
        best, labels = scores.max(0)
        labels = labels + first
        labels[best < self.stages["label_map"].background_below] = 0
        wide = functional.max_pool2d(labels[None, None].float(), 3, 1, 1)
        return -functional.max_pool2d(-wide, 3, 1, 1)[0, 0].long()


def measure(arguments: argparse.Namespace) -> None:
    """Run one side, write its labels, and print seconds and peak memory as JSON."""
    torch.set_num_threads(arguments.threads)
    backbone = Clip(weights=str(arguments.folder / "weights.safetensors"), model=MODEL)
    overrides = [] if arguments.stride is None else [f"sliding_window.stride={arguments.stride}"]
    recipe = load_recipe(arguments.recipe, overrides)
    image = random_image(arguments.height, arguments.width)
    stored = arguments.folder / "texts.safetensors"
    if not stored.exists():
        with torch.no_grad():
            texts = make_texts(backbone, recipe, image)
        save_file({"data": texts.data, "labels": torch.tensor(texts.labels)}, stored)
    tensors = load_file(stored)
    texts = TextFeatures(tensors["data"], tuple(tensors["labels"].tolist()))
    backbone.encode_image(
        [Image(image.data[:, :64, :64])]
    )  # what is done at first use is no part of an image's time
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.process_time()
    with torch.no_grad():
        if arguments.side == "plain":
            plain = PlainLoop(backbone, texts, recipe)
            labels, parts = plain.run(image), plain.seconds
        else:
            labels, parts = run_ours(backbone, texts, recipe, image, arguments.batch)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(arguments.folder / f"{arguments.side}.npy", labels.numpy())
    print(json.dumps({"seconds": seconds, "peak": peak, "loaded": before, "parts": parts}))


def run_ours(
    backbone: Clip, texts: TextFeatures, recipe: Recipe, image: Image, batch: int
) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the labels that the recipe gives, and the seconds of every stage."""
    pipeline = Pipeline.of(recipe.plan.stages, {"backbone": backbone}, device="cpu", batch=batch)
    seconds: dict[str, float] = defaultdict(float)
    last = time.process_time()

    def watch(stage: Stage, states: Any, spent: float) -> None:
        nonlocal last
        seconds[stage.address] += time.process_time() - last
        last = time.process_time()

    stages = [stage for stage in pipeline.plan.stages if stage.address not in GIVEN]
    state = {"image": image, "vocabulary": recipe.plan.vocabulary, "text_features": texts}
    [found] = Driver(dict(pipeline.models), pipeline.plan.models_of, pipeline.batch, watch).run(
        stages, [state]
    )
    labels: torch.Tensor = found["labels"].ids
    return labels, seconds


def compare(arguments: argparse.Namespace) -> None:
    """Run the sides and print their times, the ratios, and the share of equal labels."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_weights(folder)
        results: dict[str, dict[str, Any]] = {}
        for side in arguments.sides:
            options = {"side": side, "folder": folder}
            options |= {
                key: getattr(arguments, key)
                for key in ("recipe", "height", "width", "threads", "batch")
            }
            options |= {} if arguments.stride is None else {"stride": arguments.stride}
            command = [
                sys.executable,
                __file__,
                *(f"--{key}={value}" for key, value in options.items()),
            ]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            results[side] = {
                **json.loads(printed.splitlines()[-1]),
                "labels": np.load(folder / f"{side}.npy"),
            }
    table = Table("", "s", "of which pamr", "peak MB", "of which weights", "labels")
    for side, result in results.items():
        present = f"{len(np.unique(result['labels']))} different"
        cells = (
            f"{result['seconds']:.1f}",
            f"{result['parts']['pamr']:.2f}",
            f"{result['peak']:.0f}",
            f"{result['loaded']:.0f}",
        )
        table.add_row(side, *cells, present)
    if len(results) == 2:
        plain, ours = results["plain"], results["ours"]
        faster = f"{plain['parts']['pamr'] / ours['parts']['pamr']:.1f} x"
        equal = f"{(plain['labels'] == ours['labels']).mean():.3%} equal"
        table.add_row(
            "ratio",
            f"{plain['seconds'] / ours['seconds']:.1f} x",
            faster,
            f"{plain['peak'] / ours['peak']:.1f} x",
            "",
            equal,
        )
    console = Console(width=110)
    console.print(table)
    for address, spent in sorted(results["ours"]["parts"].items(), key=lambda item: -item[1]):
        console.print(f"{address:20} {spent:8.2f} s")


def main() -> None:
    """Compare the two sides, or (called by itself) measure one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="itaclip")
    parser.add_argument("--stride", type=int, help="another than the recipe's")
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sides", nargs="+", choices=["plain", "ours"], default=["plain", "ours"])
    parser.add_argument("--side", choices=["plain", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        measure(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
