"""Measure whether rewards rank settings as masks do.

Run `python benchmarks/reward.py`; its scenes were neither trained on nor packaged.
The quickstart runs at layers 1 to 3 and every head of its tiny BLIP and at several thresholds, on
newly painted scenes. Every reward is averaged over the images (those without a reward left out) and
compared with the mIoU against the true masks: the rank correlation over the grid, and the mIoU at
the reward's best point as a share of the grid's best. The judge is the tiny CLIP. The networks of
the quickstart run once for each layer and head; the rest comes from a store.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import PrivateAttr
from rich.console import Console
from rich.progress import track
from rich.table import Table

import ovsskit
from ablation import Example, fresh
from ovsskit.backbones.clip.clip import Clip
from ovsskit.embedded import NOUNS
from ovsskit.engine.digests import digest_tensor
from ovsskit.engine.stage import Stage
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image
from ovsskit.files.writing import see_free
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.presence.presence_by_similarity import PresenceBySimilarity
from ovsskit.stages.reward.agreement_reward import AgreementReward
from ovsskit.stages.reward.clip_reward import ClipReward
from ovsskit.stages.reward.edge_reward import EdgeReward
from ovsskit.stages.reward.entropy_reward import EntropyReward
from ovsskit.stages.reward.region_reward import RegionReward

COLOURS = {1: "#1f77b4", 2: "#d95f02", 3: "#2ca02c"}
"""How layers are drawn; words of classes get no gradient in the last one."""
THRESHOLDS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8)
REWARDS: dict[str, dict[str, Stage]] = {
    "clip": {
        f"clip {form}, {against}, among {among}": ClipReward(
            form=form, against=against, among=among, name=f"{form}_{against}_{among}"
        )
        for against in ("complement", "blank")
        for among in ("none", "present", "all")
        for form in ("wins", "margin", "share")
    },
    "entropy": {
        "entropy": EntropyReward(balance=0.0, name="entropy"),
        "entropy, balance 1": EntropyReward(balance=1.0, name="balanced"),
    },
    "agreement": {
        "agreement": AgreementReward(name="agreement"),
        "agreement, flipped": AgreementReward(alterations=("horizontal_flip",), name="flipped"),
    },
    "image": {"regions": RegionReward(name="regions"), "edges": EdgeReward(name="edges")},
}
Point = tuple[int, int, float]


class Remembering(Clip):
    """Encode every masked image once, whichever rewards ask for it."""

    _known: dict[str, torch.Tensor] = PrivateAttr(default_factory=dict)

    def to(self, device: str) -> Remembering:
        """Return itself."""
        return self

    def encode_image(self, images: Sequence[Image]) -> torch.Tensor:
        """Return one vector per image, as `Clip` does."""
        keys = [digest_tensor(image.data) for image in images]
        fresh = {
            key: image for key, image in zip(keys, images, strict=True) if key not in self._known
        }
        if fresh:
            self._known.update(zip(fresh, super().encode_image(list(fresh.values())), strict=True))
        return torch.stack([self._known[key] for key in keys])


def evaluate(
    point: Point,
    examples: Sequence[Example],
    rewards: Mapping[str, Stage],
    presence: str,
    store: Store,
) -> dict[str, float]:
    """Return the mIoU and every mean reward of the quickstart at a point of the grid."""
    layer, head, at = point
    changes = [
        f"select_head.layer={layer}",
        f"select_head.head={head}",
        f"threshold.at={at}",
        'cross_attend.layers="all"',
    ]
    recipe = ovsskit.load("quickstart", *changes)
    models = {**recipe.plan.models, "judge": JUDGE}
    stages = list(recipe.plan.stages)
    if presence == "similarity":
        stages.append(PresenceBySimilarity(reads={"backbone": "judge"}))
    pipeline = Pipeline.of(
        [*stages, *rewards.values()], models, make_vocabulary(NOUNS), store=store, batch=8
    )
    names = {stage.address: name for name, stage in rewards.items()}
    found: dict[str, list[float]] = {name: [] for name in rewards}

    def watch(stage: Stage, states: Any, seconds: float) -> None:
        if stage.address in names:
            found[names[stage.address]] += [float(state["reward"].data) for state in states]

    total = torch.zeros(len(NOUNS) + 1, len(NOUNS) + 1, dtype=torch.int64)
    for first in range(0, len(examples), pipeline.batch):
        group = examples[first : first + pipeline.batch]
        states = pipeline.run_many(
            [example.image for example in group], make_vocabulary(NOUNS), watch
        )
        for example, state in zip(group, states, strict=True):
            total += confusion(example.truth, state["labels"].ids, len(NOUNS) + 1)
    known = {
        name: [value for value in values if not math.isnan(value)] for name, values in found.items()
    }
    return {
        "miou": mean_iou(total),
        **{name: sum(values) / max(1, len(values)) for name, values in known.items()},
    }


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Spearman's rank correlation; equal values share their mean rank."""
    ranks = torch.stack(
        [mean_ranks(torch.tensor(values, dtype=torch.float64)) for values in (one, other)]
    )
    return float(torch.corrcoef(ranks)[0, 1])


def mean_ranks(values: torch.Tensor) -> torch.Tensor:
    """Return the rank of every value, from 0; equal values share the mean of theirs."""
    below, same = (values[:, None] > values).sum(1), (values[:, None] == values).sum(1)
    return below + (same - 1) / 2


def plot(points: Mapping[Point, Mapping[str, float]], rewards: Sequence[str], path: Path) -> None:
    """Draw every point's mIoU over its rewards, one panel each; colours mark the layers."""
    scores = [100 * found["miou"] for found in points.values()]
    size, gap = 240, 40
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 '
        f'{(size + gap) * len(rewards) + gap} {size + 2 * gap}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for panel, name in enumerate(rewards):
        values = [found[name] for found in points.values()]
        low, high, top = min(values), max(values), max(scores)
        left, bottom = gap + panel * (size + gap), gap + size
        lines.append(f'<path d="M{left} {gap}V{bottom}H{left + size}" fill="none" stroke="grey"/>')
        title = f"{name}: {rank_correlation(values, scores):.2f}"
        lines.append(f'<text x="{left}" y="{gap - 12}">{title}</text>')
        lines.append(f'<text x="{left}" y="{bottom + 18}">{low:.3g}</text>')
        lines.append(
            f'<text x="{left + size}" y="{bottom + 18}" text-anchor="end">{high:.3g}</text>'
        )
        for (layer, _, _), value, score in zip(points, values, scores, strict=True):
            x, y = left + size * (value - low) / (high - low), bottom - size * score / top
            lines.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[layer]}" '
                'fill-opacity="0.7"/>'
            )
    lines.append(
        f'<text x="4" y="{gap - 28}">mIoU, 0 to {max(scores):.1f}, over the reward; layers '
    )
    lines += [f'<tspan fill="{colour}">{layer} </tspan>' for layer, colour in COLOURS.items()]
    path.write_text("".join([*lines, "</text></svg>\n"]))


def main() -> None:
    """Print one table, and write every point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--seed", type=int, default=70_000_000)
    parser.add_argument("--drawings", choices=["training", "held-out"], default="training")
    parser.add_argument(
        "--presence",
        choices=["matching", "similarity"],
        default="matching",
        help="who says what is judged",
    )
    parser.add_argument("--rewards", nargs="+", choices=list(REWARDS), default=["clip", "entropy"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--plot",
        nargs=2,
        metavar=("REWARDS", "FILE"),
        help="draw these, between semicolons, as SVG",
    )
    parser.add_argument("--out", type=Path, default=Path("reward.json"))
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    arguments = parser.parse_args()
    for path in (arguments.out, *map(Path, (arguments.plot or ())[1:])):
        see_free(path, force=arguments.force)
    torch.set_num_threads(arguments.threads)
    examples = fresh(arguments.images, arguments.drawings, arguments.seed)
    rewards = {name: stage for group in arguments.rewards for name, stage in REWARDS[group].items()}
    grid = list(itertools.product(COLOURS, range(4), THRESHOLDS))
    store = Store(memory_bytes=4 << 30)
    points: dict[Point, dict[str, float]] = {}
    for point in track(grid, "points"):
        points[point] = evaluate(point, examples, rewards, arguments.presence, store)
        arguments.out.write_text(
            json.dumps([[point, found] for point, found in points.items()], indent=1)
        )
    scores = [found["miou"] for found in points.values()]
    title = (
        f"{len(examples)} scenes, {len(grid)} points, best mIoU {100 * max(scores):.1f}, median "
        f"{100 * sorted(scores)[len(scores) // 2]:.1f}"
    )
    table = Table(
        "reward", "rank correlation", "mIoU at its best", "share of the grid's best", title=title
    )
    for name in rewards:
        values = [found[name] for found in points.values()]
        best = scores[values.index(max(values))]
        table.add_row(
            name,
            f"{rank_correlation(values, scores):.2f}",
            f"{100 * best:.1f}",
            f"{best / max(scores):.2f}",
        )
    Console(width=100).print(table)
    if arguments.plot:
        plot(points, arguments.plot[0].split(";"), Path(arguments.plot[1]))
    print(f"network calls: {store.calls}, saved: {store.hits}")


JUDGE = Remembering(weights="embedded")

if __name__ == "__main__":
    main()
