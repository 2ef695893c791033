"""Measure whether a search by a reward finds what masks would.

Run `python benchmarks/search.py`, on scenes painted for this.
The quickstart is judged once at every point of a grid of layer, head, threshold and blur, by a
reward and by the true masks.
Then studies with TPE and with random search, of many seeds each, search that table. What TPE found
is compared with the unchanged recipe on other scenes, which no search saw.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import optuna
import torch
from PIL import Image as Pillow
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ovsskit.engine.store import Store
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.queue import TrialQueue
from ovsskit.study.spec.plan import Search, StudyOptions, make_plan, read_search
from ovsskit.study.spec.space import grid
from reward import rank_correlation
from tiny_models.evaluate import evaluation_scenes

SEARCHED, UNSEEN = 80_000_000, 90_000_000
"""Seeds of the first scene to search on, and of the first to compare on: far from all others."""

GRID = """
[space]
"select_head.layer"   = { low = 1, high = 3 }
"select_head.head"    = { low = 0, high = 3 }
"threshold.at"        = { choices = [0.05, 0.2, 0.35, 0.45] }
"gaussian_blur.sigma" = { choices = [0.02, 0.05, 0.1] }
"""
Point = tuple[tuple[str, Any], ...]


@dataclass
class Memory:
    """Keep the trials of one study in memory, for one worker."""

    trials: Any = field(default_factory=optuna.storages.InMemoryStorage)
    shared: bool = False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let the only worker go on."""
        yield

    def begin(self, trial: optuna.Trial) -> None:
        """Note nothing."""

    def dead(self, study: optuna.Study) -> list[Any]:
        """Return none: no worker dies."""
        return []

    def close(self) -> None:
        """Hold nothing."""


def paint(folder: Path, count: int, seed: int, drawings: Any) -> None:
    """Write scenes and their masks."""
    (folder / "masks").mkdir(parents=True)
    for index, scene in enumerate(evaluation_scenes(count, drawings, seed)):
        scene.image.save(folder / f"{index:03d}.png")
        Pillow.fromarray(scene.things).save(folder / "masks" / f"{index:03d}.png")


def judge_of(folder: Path, reward: str) -> Evaluator:
    """Return what judges the quickstart on the scenes of a folder, by a reward and by the masks."""
    goals = f'[[objective]]\nuse = "{reward}"\n[[objective]]\nmetric = "miou"\nmasks = "masks"\n'
    (folder / "study.toml").write_text(
        f'recipe = "quickstart"\nimages = ["*.png"]\npruner = "none"\n{goals}{GRID}'
    )
    return Evaluator(make_plan(StudyOptions(str(folder / "study.toml"))), "cpu", 8, Store())


def point_of(values: Mapping[str, Any]) -> Point:
    """Return values as a key."""
    return tuple(sorted(values.items()))


def found_by(search: Search, table: Mapping[Point, Sequence[float]]) -> list[Point]:
    """Search the table by its rewards; return the best point after each trial."""
    queue = TrialQueue(search, Memory(), {})
    tried: list[Point] = []

    def look_up(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        tried.append(point_of(values))
        return table[tried[-1]][0]

    while not queue.finished():
        queue.take(look_up)
    return [
        max(tried[: index + 1], key=lambda point: table[point][0]) for index in range(len(tried))
    ]


def spread(values: Sequence[float]) -> str:
    """Return median and quartiles as text."""
    low, _, high = quantiles(values, method="inclusive")
    return f"{median(values):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=12, help="to search on")
    parser.add_argument("--unseen", type=int, default=48, help="scenes to compare on")
    parser.add_argument("--drawings", choices=["training", "held-out"], default="training")
    parser.add_argument("--reward", default="clip_reward")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as name:
        searched, unseen = Path(name) / "searched", Path(name) / "unseen"
        paint(searched, chosen.images, SEARCHED, chosen.drawings)
        paint(unseen, chosen.unseen, UNSEEN, chosen.drawings)
        evaluator = judge_of(searched, chosen.reward)
        order = range(len(evaluator.plan.images))
        points = sorted(grid(evaluator.plan.search.space), key=json.dumps)
        table = {
            point_of(point): evaluator.judge(point, order).values for point in track(points, "grid")
        }
        rewards, scores = zip(*table.values(), strict=True)
        best = max(scores)
        print(
            f"{len(order)} scenes, {len(points)} points; mIoU: best {best:.3f}, median "
            f"{median(scores):.3f}"
        )
        print(
            f"rank correlation of {chosen.reward} and mIoU: {rank_correlation(rewards, scores):.2f}"
        )
        at_best = scores[rewards.index(max(rewards))]
        print(
            f"mIoU where {chosen.reward} is best: {at_best:.3f}, {at_best / best:.2f} of the "
            "grid's best"
        )

        study = Path(name) / "search.toml"
        study.write_text(
            'recipe = "quickstart"\nas_it_is = false\npruner = "none"\n[objective]\n'
            f'use = "{chosen.reward}"\n{GRID}'
        )
        search = read_search(StudyOptions(str(study)))
        found: dict[str, list[list[Point]]] = {}
        for sampler in ("tpe", "random"):
            settings = {"sampler": sampler, "trials": chosen.trials}
            found[sampler] = [
                found_by(
                    replace(
                        search,
                        settings=search.settings.model_copy(update={**settings, "seed": seed}),
                    ),
                    table,
                )
                for seed in track(range(chosen.seeds), sampler)
            ]
        title = f"{chosen.seeds} seeds: median (quartiles)"
        outcome = Table(
            "trials",
            "sampler",
            "best reward",
            "mIoU of the found point",
            "share of the grid's best",
            title=title,
        )
        for trials in (chosen.trials // 4, chosen.trials // 2, chosen.trials):
            for sampler, paths in found.items():
                values = [table[path[trials - 1]] for path in paths]
                shares = [score / best for _, score in values]
                cells = [
                    spread([reward for reward, _ in values]),
                    spread([score for _, score in values]),
                    spread(shares),
                ]
                outcome.add_row(str(trials), sampler, *cells)
        console.print(outcome)

        evaluator = judge_of(unseen, chosen.reward)
        order = range(len(evaluator.plan.images))
        counts = Counter(path[-1] for path in found["tpe"])
        default = evaluator.judge({}, order).values[1]
        by_masks = max(table, key=lambda point: table[point][1])
        judged = {
            point: evaluator.judge(dict(point), order).values[1]
            for point in track([*counts, by_masks], "unseen")
        }
        everywhere = [judged[point] for point in counts.elements()]
        print(
            f"{len(order)} unseen scenes: mIoU unchanged {default:.3f}, found by TPE "
            f"{spread(everywhere)}"
        )
        print(f"the point that the masks of the searched scenes choose: {judged[by_masks]:.3f}")
        for point, count in counts.most_common():
            print(f"{count:3d} of {chosen.seeds} seeds found {dict(point)}: {judged[point]:.3f}")


if __name__ == "__main__":
    main()
