"""Compare our TagCLIP and CLIP-ES with a plain loop on a full-size CLIP with random weights.

Run `python benchmarks/tagclip.py`.
The plain loop does what the released code does, in its order: the network once for the classes and
once for the maps, attention of all heads, one pass for every second look, and for every class that
is present a pass forward and back through the last block (gradients of its weights too, which the
released code never switches off), with the attention balanced anew. Both sides are given the
vectors of the words and stop before the CRF, which is the same. The image is smooth and random, and
the words' vectors are made of those of some patches, so that labels vary.
Times are the processor's, of one thread (other programs hardly disturb them).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from itaclip import MODEL, make_weights
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import NEGATIVE, Image, Present, TextFeatures
from ovsskit.ops.boxes import inside_boxes, rectangle_of, scale
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.stretch_image import StretchImage

SCALE = 100.0
EPSILON = 1e-7
VOTERS, SPREADERS = (9, 10, 11), (5, 6, 7, 8, 9, 10, 11)
Tensor = torch.Tensor


class GivenText(Stage, writes="text_features"):
    """Give the vectors of the words."""

    texts: Any

    def run(self, image: Image) -> TextFeatures:
        """Return the vectors."""
        found: TextFeatures = self.texts
        return found


@dataclass(frozen=True)
class Found:
    """Hold which classes were found, which of them has every pixel, and the seconds it took."""

    present: tuple[int, ...]
    labels: Tensor
    seconds: float
    looks: int = 0


def make_image(height: int, width: int) -> Image:
    """Return smooth random colours."""
    coarse = torch.rand(1, 3, height // 40, width // 40, generator=torch.Generator().manual_seed(0))
    fine = functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)
    return Image((fine * 255).round() / 255)


def make_texts(backbone: Clip, image: Image, classes: int, negatives: int) -> TextFeatures:
    """Return vectors of words that are like some patches more than like others."""
    pixels = backbone.pixels(StretchImage().run(image))[None]
    with torch.no_grad():
        features, _ = plain_tower(backbone.visual, pixels)
    patches = functional.normalize(features[1:], dim=-1)
    own = functional.normalize(patches - patches.mean(0), dim=-1)
    places = torch.linspace(0, len(own) - 1, classes + negatives).long()
    noise = torch.randn(len(places), own.shape[1], generator=torch.Generator().manual_seed(1))
    mixed = functional.normalize(own[places] + 0.05 * noise, dim=-1)
    labels = (*range(1, classes + 1), *[NEGATIVE] * negatives)
    return TextFeatures(mixed, labels)


def ours(backbone: Clip, image: Image, texts: TextFeatures, fraction: float) -> Found:
    """Run the recipe without its CRF."""
    stages: list[Stage] = []
    for stage in load_recipe("tagclip", [f"presence_by_patches.fraction={fraction}"]).plan.stages:
        if stage.writes == "text_features":
            stages.append(GivenText(name=stage.address, texts=texts))
        elif stage.address != "dense_crf":
            stages.append(stage)
    kept: dict[str, Any] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        kept[stage.address] = states[-1][stage.writes]

    count = max(texts.labels)
    names = [f"class {number}" for number in range(count)]
    pipeline = Pipeline.of(stages, {"backbone": backbone}, device="cpu")
    start = time.process_time()
    pipeline.run_many([image], make_vocabulary(names), keep)
    seconds = time.process_time() - start
    present: Present = kept["presence_by_patches"]
    return Found(present.labels, kept["label_map"].ids, seconds)


def plain_tower(
    visual: Any, pixels: Tensor, mask: Tensor | None = None, positions: Any = "half"
) -> tuple[Tensor, list[Tensor]]:
    """Return all tokens among the texts, and every block's attention, heads averaged.

    Without a mask for the class token every token looks at itself alone in the last block.
    """
    tokens, _ = vision.embed(visual, pixels, positions)
    blocks, maps = vision.blocks_of(visual), []
    for number, block in enumerate(blocks):
        states = block.ln_1(tokens)
        mixed, weights = block.attn(states, states, states, need_weights=True, attn_mask=mask)
        if mask is None and number == len(blocks) - 1:
            alone = torch.full((states.shape[1],) * 2, -100.0).fill_diagonal_(0)
            mixed, _ = block.attn(states, states, states, need_weights=True, attn_mask=alone)
        tokens = tokens + mixed
        tokens = tokens + block.mlp(block.ln_2(tokens))
        maps.append(weights[0])
    return (visual.ln_post(tokens) @ visual.proj)[0], maps


def plain_tags(
    backbone: Clip, pixels: Tensor, texts: TextFeatures, grid: tuple[int, int], fraction: float
) -> tuple[tuple[int, ...], int]:
    """Say which classes are present, text by text and box by box."""
    features, maps = plain_tower(backbone.visual, pixels)
    attention = torch.stack([one[1:, 1:] for one in maps])
    coarse = (SCALE * functional.normalize(features[1:], dim=-1) @ texts.data.T).softmax(-1)
    votes = sum((one > one.mean()).float() for one in attention)
    weights = torch.mean(attention[[layer - 1 for layer in VOTERS]], 0) * (votes >= 4)
    scores = weights @ coarse
    for text in range(scores.shape[1]):
        one = scale(scores[:, text].view(grid))
        box = inside_boxes(one[None], [float(one.mean())]).flatten()
        scores[:, text] = (weights * box) @ coarse[:, text]
    classes = [row for row, label in enumerate(texts.labels) if label > 0]
    peaks, looks = scores.amax(0)[classes], 0
    least = scores.min() + fraction * (scores.max() - scores.min())
    for text in classes:
        if peaks[text] <= least:
            continue
        region = scale(scores[:, text].view(grid)) > 0.5
        rows, columns = rectangle_of(region)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            break
        crop = pixels[
            :, :, rows.start * 16 : rows.stop * 16, columns.start * 16 : columns.stop * 16
        ]
        crop = functional.interpolate(crop, (224, 224), mode="bilinear")
        seen = functional.interpolate(region[rows, columns][None, None].float(), (14, 14)).flatten()
        mask = torch.zeros(197, 197)
        mask[0, 1:][seen == 0] = -1000
        vectors, _ = plain_tower(backbone.visual, crop, mask, "size")
        unit = functional.normalize(vectors[0], dim=0)
        peaks[text] = (peaks[text] + (SCALE * texts.data @ unit).softmax(0)[text]) / 2
        looks += 1
    enough = peaks > peaks.min() + fraction * (peaks.max() - peaks.min())
    found = enough.nonzero()[:, 0].tolist() or [int(peaks.argmax())]
    return tuple(place + 1 for place in found), looks


def plain_maps(
    backbone: Clip,
    pixels: Tensor,
    texts: TextFeatures,
    present: tuple[int, ...],
    grid: tuple[int, int],
) -> Tensor:
    """Find where each class is, one after the other, forward and back through the last block."""
    visual = backbone.visual
    tokens, _ = vision.embed(visual, pixels, "half")
    *blocks, last = vision.blocks_of(visual)
    last.requires_grad_(True)
    attention = []
    with torch.no_grad():
        for block in blocks:
            states = block.ln_1(tokens)
            mixed, weights = block.attn(states, states, states, need_weights=True)
            tokens = tokens + mixed
            tokens = tokens + block.mlp(block.ln_2(tokens))
            attention.append(weights[0, 1:, 1:])
    negatives = [row for row, label in enumerate(texts.labels) if label == NEGATIVE]
    rows = [*(label - 1 for label in present), *negatives]
    found = []
    for place in range(len(present)):
        channels = last.ln_1(tokens).detach().requires_grad_()
        mixed, _ = last.attn(channels, channels, channels, need_weights=True)
        left = tokens + mixed
        left = left + last.mlp(last.ln_2(left))
        vector = (visual.ln_post(left) @ visual.proj)[0, 1:].mean(0)
        logits = SCALE * texts.data[rows] @ functional.normalize(vector, dim=0)
        last.zero_grad()
        logits.softmax(0)[place].backward()
        gradient = channels.grad
        assert gradient is not None
        weights = gradient[0, 1:].mean(0)
        cam = (channels.detach()[0, 1:] @ weights).clamp(min=0).view(grid)
        cam = scale(scale(cam, EPSILON), EPSILON)
        balanced = torch.mean(torch.stack([attention[layer - 1] for layer in SPREADERS]), 0)
        for _ in range(3):
            balanced = balanced / balanced.sum(0, keepdim=True)
            balanced = balanced / balanced.sum(1, keepdim=True)
        balanced = (balanced + balanced.T) / 2
        balanced = balanced @ balanced
        box = inside_boxes(cam[None], [0.4]).flatten()
        found.append(scale(((balanced * box) @ cam.flatten()).view(grid), EPSILON))
    last.zero_grad()
    last.requires_grad_(False)
    return torch.stack(found)


def plain(backbone: Clip, image: Image, texts: TextFeatures, fraction: float) -> Found:
    """Do what the released code does."""
    start = time.process_time()
    prepared = StretchImage().run(image)
    pixels = backbone.pixels(prepared)[None]
    grid = (prepared.size[0] // 16, prepared.size[1] // 16)
    with torch.no_grad():
        present, looks = plain_tags(backbone, pixels, texts, grid, fraction)
    maps = plain_maps(backbone, pixels, texts, present, grid)
    large = functional.interpolate(maps[None], image.size, mode="bilinear")[0].half()
    stacked = torch.cat([1 - large.amax(0, keepdim=True), large])
    labels = torch.tensor([0, *present])[stacked.float().argmax(0)]
    return Found(present, labels, time.process_time() - start, looks)


def best(run: Callable[[], Found], times: int) -> Found:
    """Return the quickest of several runs."""
    return min((run() for _ in range(times)), key=lambda found: found.seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--negatives", type=int, default=25)
    parser.add_argument("--fraction", type=float, default=0.5, help="COCO-Stuff: 0.1")
    parser.add_argument("--times", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_weights(folder)
        weights = str(folder / "weights.safetensors")
        backbone = Clip(weights=weights, model=MODEL, positions="half")
        image = make_image(arguments.height, arguments.width)
        texts = make_texts(backbone, image, arguments.classes, arguments.negatives)
        given = (backbone, image, texts, arguments.fraction)
        mine = best(lambda: ours(*given), arguments.times)
        theirs = best(lambda: plain(*given), arguments.times)
    table = Table("", "processor's seconds", "classes found", "second looks")
    table.add_row(
        "plain loop", f"{theirs.seconds:.2f}", str(len(theirs.present)), str(theirs.looks)
    )
    table.add_row("ours", f"{mine.seconds:.2f}", str(len(mine.present)), "")
    Console().print(table)
    equal = float((mine.labels == theirs.labels).float().mean())
    facts = {"same classes": mine.present == theirs.present, "same labels": round(equal, 5)}
    facts["times faster"] = round(theirs.seconds / mine.seconds, 2)
    Console().print(json.dumps(facts))


if __name__ == "__main__":
    main()
