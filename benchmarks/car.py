"""Compare our CaR with a plain loop on full-size CLIPs with random weights.

Run `python benchmarks/car.py`.
The plain loop does what the released code does, in its order: in every round it goes forward and
back through the proposer's last block for each text, makes the affinity of patches anew for each,
and shows the classifier all marked images once for every sentence. Both sides have the recipe's
settings, one smooth random image, and texts whose vectors are made of what the classifier sees in
the first round, so that classes are dropped in several rounds. What both do alike, the marks and
the dense CRF, is the same code. The time is the processor's, without reading weights.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import PrivateAttr
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch.nn import functional

from itaclip import flat, random_image
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences, Image, Vocabulary
from ovsskit.ops.boxes import inside_boxes
from ovsskit.ops.marks import draw_marks
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.stretch_image import StretchImage
from ovsskit.texts.templates import CAR

Tensor = torch.Tensor
ORIGAMI = CAR[0]
NEGATIVES = 23


class Given(Clip):
    """Be a CLIP with a vector for every text, and count the images that it sees whole."""

    _vectors: dict[str, Tensor] = PrivateAttr(default_factory=dict)
    _seen: list[int] = PrivateAttr(default_factory=list)

    def encode_text(self, texts: str | Sequence[str]) -> Tensor:
        """Return the vectors of texts."""
        return torch.stack([self._vectors[text] for text in texts])

    def encode_image(self, images: Sequence[Image]) -> Tensor:
        """Return the vectors of images, and count them."""
        self._seen.append(len(images))
        return super().encode_image(images)


@dataclass
class Found:
    """Hold what one side computed: classes kept by round, labels, passes and seconds."""

    kept: list[list[int]] = field(default_factory=list)
    labels: Tensor = field(default_factory=lambda: torch.empty(0))
    passes: int = 0
    seconds: float = 0.0


def make_weights(model: str, folder: Path) -> Path:
    """Write a CLIP with random weights."""
    from ovsskit._lazy import open_clip

    torch.manual_seed(0)
    network = open_clip.create_model(model)
    file = folder / f"{model}.safetensors"
    save_file({name: one.contiguous() for name, one in network.state_dict().items()}, file)
    return file


def make_models(proposer: str, classifier: str, folder: Path) -> dict[str, Given]:
    """Return both models as the recipe describes them, with random weights."""
    recipe, made = load_recipe("car"), dict[str, Given]()
    for slot, model in (("backbone", proposer), ("classifier", classifier)):
        fields = recipe.plan.models[slot].model_dump(exclude={"weights", "model"})
        made[slot] = Given(weights=str(make_weights(model, folder)), model=model, **fields)
        made[slot].prepare()
    return made


def give_texts(models: dict[str, Given], words: Vocabulary, image: Image) -> None:
    """Give every text a vector; the classifier's are what sets the marked images apart.

    The further behind a class stands, the less its vectors are so.
    """
    draw = torch.Generator().manual_seed(3)
    width = models["backbone"].network.visual.proj.shape[1]
    proposer = models["backbone"]._vectors
    for word in (*words.names, *words.negatives):
        proposer[word] = torch.randn(width, generator=draw)
        proposer[ORIGAMI.format(word)] = proposer[word] + 0.1 * torch.randn(width, generator=draw)
    width = models["classifier"].network.visual.proj.shape[1]
    judge = models["classifier"]
    judge._vectors = {
        one.format(name): torch.randn(width, generator=draw) for one in CAR for name in words.names
    }
    marked: list[Image] = []

    def watch(stage: Stage, states: Sequence[State], seconds: float) -> None:
        if stage.address == "presence_by_sentences":
            marked.extend(state["image"] for state in states)

    pipeline_of(models, rounds=1).run_many([image], words, watch)
    seen = functional.normalize(judge.encode_image(marked), dim=-1)
    mean = functional.normalize(seen.mean(0), dim=0)
    own = functional.normalize(seen - (seen @ mean)[:, None] * mean, dim=-1)
    for place, name in enumerate(words.names):
        for one in CAR:
            other = torch.randn(width, generator=draw)
            other = functional.normalize(other - (other @ mean) * mean, dim=0)
            judge._vectors[one.format(name)] = own[place] + 0.1 * place * other
    judge._seen.clear()


def pipeline_of(models: dict[str, Given], rounds: int = 0) -> Pipeline:
    """Return the recipe with these models."""
    stages = load_recipe("car", [f"filter_texts.rounds={rounds}"]).plan.stages
    return Pipeline.of(stages, models, device="cpu")


def ours(models: dict[str, Given], words: Vocabulary, image: Image) -> Found:
    """Run the recipe."""
    found = Found()

    def watch(stage: Stage, states: Sequence[State], seconds: float) -> None:
        if stage.address == "visual_prompts":
            found.kept.append([label - 1 for label in states[0]["present"].labels])

    models["classifier"]._seen.clear()
    start = time.process_time()
    [slots] = pipeline_of(models).run_many([image], words, watch)
    found.seconds = time.process_time() - start
    found.labels, found.passes = slots["labels"].ids, sum(models["classifier"]._seen)
    return found


def plain(models: dict[str, Given], words: Vocabulary, image: Image) -> Found:
    """Run the plain loop."""
    loop = PlainLoop(models["backbone"], models["classifier"], words)
    models["classifier"]._seen.clear()
    start = time.process_time()
    found = loop.segment(image)
    found.seconds = time.process_time() - start
    found.passes = sum(models["classifier"]._seen)
    return found


class PlainLoop:
    """Segment as the released code does, with the recipe's settings."""

    def __init__(self, proposer: Given, classifier: Given, words: Vocabulary) -> None:
        self.proposer, self.classifier, self.words = proposer, classifier, words
        self.stages: dict[str, Any] = {
            stage.address: stage for stage in flat(load_recipe("car").plan.stages)
        }

    def segment(self, image: Image) -> Found:
        """Filter the texts, and give every pixel a class."""
        found, texts, before = Found(), list(range(len(self.words.names))), 0
        tokens, attention, grid = self.look(StretchImage().run(image))
        while True:
            wording = ORIGAMI if found.kept else "{}"
            maps = [
                self.map(tokens, attention, grid, texts, row, wording) for row in range(len(texts))
            ]
            large = functional.interpolate(torch.stack(maps)[None], image.size, mode="bilinear")[0]
            marked = [self.mark(image, one) for one in large]
            score = self.score(marked, texts)
            above = self.stages["presence_by_sentences"].above
            rows = [row for row, one in enumerate(score) if one > above]
            rows = rows or [int(torch.tensor(score).argmax())]
            kept = [texts[row] for row in rows]
            found.kept.append(kept)
            if len(kept) == before:
                break
            texts, before = kept, len(kept)
        rest = torch.cat([1 - large.amax(0, keepdim=True), large])
        scores = Confidences(rest, (0, *(text + 1 for text in texts)))
        refined = self.stages["dense_crf"].run(image, scores)
        found.labels = torch.tensor(refined.labels)[refined.data.argmax(0)]
        return found

    def look(self, image: Image) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Return what enters the last block, and the mean attention of the blocks that spread."""
        visual, kept = self.proposer.visual, []
        pixels = self.proposer.pixels(image)[None]
        with torch.no_grad():
            tokens, grid = vision.embed(visual, pixels, self.proposer.positions)
            for number, block in enumerate(vision.blocks_of(visual), 1):
                queries, keys, values = vision.project(block, tokens)
                weights = (queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5).softmax(-1)
                if number in self.stages["patch_attention"].layers:
                    kept.append(weights[0].mean(0)[1:, 1:])
                entering = tokens
                tokens = vision.feed_forward(
                    block, tokens + vision.join_heads(block, weights @ values)
                )
        return entering, torch.stack(kept).mean(0), grid

    def map(
        self,
        tokens: Tensor,
        attention: Tensor,
        grid: tuple[int, int],
        texts: Sequence[int],
        row: int,
        wording: str,
    ) -> Tensor:
        """Return the map of one text, from 0 to 1, on the grid of patches."""
        mine = [wording.format(self.words.names[text]) for text in texts]
        against = [ORIGAMI.format(word) for word in self.words.negatives]
        cam = self.cam(tokens, grid, [*mine, *against], row)
        if not cam.any():
            cam = self.cam(tokens, grid, mine, row)
        step = self.stages["spread_by_attention"]
        for _ in range(step.divisions):
            attention = attention / attention.sum(0, keepdim=True)
            attention = attention / attention.sum(1, keepdim=True)
        both = (attention + attention.T) / 2
        spread = (both @ both) @ (cam * inside_boxes(cam[None], [step.box_at])[0]).flatten()
        return stretched(spread.view(grid))

    def cam(self, tokens: Tensor, grid: tuple[int, int], texts: Sequence[str], row: int) -> Tensor:
        """Return what speaks for a text: forward and back through the last block."""
        visual = self.proposer.visual
        block = vision.blocks_of(visual)[-1]
        with torch.enable_grad():
            inside = block.ln_1(tokens).detach().requires_grad_()
            attended, _ = block.attn(inside, inside, inside, need_weights=False)
            after = vision.feed_forward(block, tokens + attended)
            whole = vision.project_to_text(visual, after)[0, 1:].mean(0)
            vectors = functional.normalize(self.proposer.encode_text(texts), dim=-1)
            logits = self.stages["explain_queries"].scale * (
                vectors @ functional.normalize(whole, dim=0)
            )
            [gradient] = torch.autograd.grad(logits.softmax(0)[row], inside)
        weights = gradient[0, 1:].mean(0)
        summed = (inside.detach()[0, 1:] @ weights).clamp(min=0)
        return stretched(stretched(summed.view(grid)))

    def mark(self, image: Image, one: Tensor) -> Image:
        """Return the image with the marks of one class."""
        step = self.stages["visual_prompts"]
        if one.sum() <= 1:
            return image
        mask = (one > step.at).numpy()[None]
        [drawn] = draw_marks(image.pixels.numpy(), mask, step.marks)
        return Image(torch.from_numpy(drawn).permute(2, 0, 1).float() / 255)

    def score(self, marked: Sequence[Image], texts: Sequence[int]) -> list[float]:
        """Return the score of each text in its own image: all images anew for every sentence."""
        total = torch.zeros(len(texts), len(texts))
        for sentence in CAR:
            filled = [sentence.format(self.words.names[text]) for text in texts]
            vectors = functional.normalize(self.classifier.encode_text(filled), dim=-1)
            seen = functional.normalize(self.classifier.encode_image(marked), dim=-1)
            total += (self.stages["presence_by_sentences"].scale * seen @ vectors.T).softmax(-1)
        scores: list[float] = total.softmax(-1).diagonal().tolist()
        return scores


def stretched(one: Tensor) -> Tensor:
    """Return a map, stretched to 0 to 1; one of zeros stays."""
    above = one - one.min()
    return above / (above.max() + 1e-15)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proposer", default="ViT-B-16-quickgelu")
    parser.add_argument("--classifier", default="ViT-L-14-quickgelu")
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    arguments = parser.parse_args()
    image = random_image(arguments.height, arguments.width)
    names = [f"class {number}" for number in range(arguments.classes)]
    words = make_vocabulary(names, negatives=[f"negative {one}" for one in range(NEGATIVES)])
    console, sides = Console(width=100), dict[str, Found]()
    with tempfile.TemporaryDirectory() as folder:
        models = make_models(arguments.proposer, arguments.classifier, Path(folder))
        give_texts(models, words, image)
        for name, side in (("ovsskit", ours), ("plain loop", plain)):
            sides[name] = side(models, words, image)
    table = Table("", "classes kept", "passes of the classifier", "s")
    for name, one in sides.items():
        counts = ", ".join(str(len(kept)) for kept in one.kept)
        table.add_row(name, counts, str(one.passes), f"{one.seconds:.1f}")
    console.print(table)
    first, second = sides.values()
    differing = float((first.labels != second.labels).float().mean())
    console.print(f"kept alike: {first.kept == second.kept}; pixels that differ: {differing:.2%}")
    console.print(
        f"passes: {second.passes / first.passes:.1f} times fewer; "
        f"time: {second.seconds / first.seconds:.1f} times less"
    )


if __name__ == "__main__":
    main()
