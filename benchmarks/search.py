"""Measure whether studies find better settings by rewards, and whether they do harm.

    python benchmarks/search.py quickstart
    python benchmarks/search.py quickstart --samplers
    python benchmarks/search.py itaclip_tiny --seeds 30 --trials 40 --keep judged

A recipe is judged once at every point of a grid, on newly painted scenes, by every reward and by
the true masks. Then whole studies of many seeds, with their held-back images and their acceptance,
search that table. What they leave is compared with the unchanged recipe on scenes that no study
saw, and on scenes of drawings that no model was trained on.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trials import Row, best_row
from ovsskit.study.spec.plan import StudyOptions, StudyPlan, make_plan
from ovsskit.study.spec.search import starting_values
from reward import rank_correlation
from searching.lookup import point_of, study_of
from searching.spaces import GRIDS, Grid
from searching.table import NAMES, Judged, Judging, key_of, paint

SEARCHED, UNSEEN = 210_000_000, 220_000_000
"""Seeds of the first scene to search on, and of the first to compare on: far from all others."""
HARM = 0.005
"""A loss of more than half a point of mIoU is harm."""
OBJECTIVES = {
    "wins": ("wins",),
    "share": ("share",),
    "regions": ("regions",),
    "edges": ("edges",),
    "reference": ("reference",),
    "agreement": ("agreement",),
    "regions * edges": ("regions", "edges"),
    "share * reference": ("share", "reference"),
    "share * regions * edges": ("share", "regions", "edges"),
    "reference * regions * edges": ("reference", "regions", "edges"),
}
CONFIRMED = {
    "share * regions * edges": ("agreement", "reference"),
    "reference * regions * edges": ("share", "agreement"),
    "share * reference": ("regions * edges", "agreement"),
    "reference": ("regions * edges",),
    "wins": ("regions * edges", "reference"),
}
"""Rewards of other kinds that confirm an objective, tried one by one."""
USES = {
    "wins": 'use = "clip_reward"',
    "share": 'use = "clip_reward", form = "share", among = "all"',
    "regions": 'use = "region_reward"',
    "edges": 'use = "edge_reward"',
    "reference": 'use = "reference_reward"',
    "agreement": 'use = "agreement_reward", alterations = ["horizontal_flip"]',
}
SAMPLERS = ("tpe", "gp", "random", "annealing", "cmaes")
BUDGETS = (2, 4, 8, 16)
console = Console(width=150)


def plan_of(folder: Path, chosen: Grid, factors: Sequence[str], confirm: str = "") -> StudyPlan:
    """Return the study of a grid by a product of rewards, or by the masks without any."""
    objective = f"[objective]\n{_product(factors)}\n"
    if not factors:
        objective = '[objective]\nmetric = "miou"\nmasks = "masks"\n'
    entry = f"[confirm]\n{_product(OBJECTIVES[confirm])}\n" if confirm else ""
    accept = "proved" if confirm else "best"
    path = folder / "study.toml"
    path.write_text(
        f'recipe = "recipe.toml"\nreference = "{chosen.reference}"\nimages = ["*.png"]\n'
        f'pruner = "none"\naccept = "{accept}"\n{objective}{entry}'
        f"[space]\n{chosen.space}"
    )
    return make_plan(StudyOptions(str(path)))


def _product(factors: Sequence[str]) -> str:
    stages = [f'{{ {USES[one]}, name = "{one}" }}' for one in factors]
    return f"product = [{', '.join(stages)}]"


def spread(values: Sequence[float]) -> str:
    """Return median and quartiles of mIoU as text, in points."""
    low, _, high = quantiles(values, method="inclusive")
    return f"{100 * median(values):.1f} ({100 * low:.1f} to {100 * high:.1f})"


def gains(before: float, after: Sequence[float]) -> list[str]:
    """Return mean gain in points, and the share of harm, as text."""
    harm = mean(one < before - HARM for one in after)
    return [f"{100 * (mean(after) - before):+.1f}", f"{100 * harm:.0f} %"]


class Comparison:
    """Compare points on scenes that no study saw."""

    def __init__(self, chosen: Grid, folder: Path, count: int, drawings: str) -> None:
        paint(folder, count, UNSEEN, drawings, backgrounds=chosen.backgrounds)
        self.judging = Judging.of(chosen, folder, rewards=False)
        self.indices = range(len(self.judging.plan.images))

    def miou(self, point: Mapping[str, Any]) -> float:
        """Return the mIoU of a point."""
        return self.judging.judge(point).miou(self.indices)


def rank(table: Mapping[str, Judged], comparison: Comparison, points: Mapping[str, Any]) -> None:
    """Print rank correlation, regret and cost of every reward over the grid."""
    images = range(len(next(iter(table.values())).matrices))
    scores = [one.miou(images) for one in table.values()]
    best = max(scores)
    shown = Table(
        "reward", "rank correlation", "mIoU where it is best", "of the best", "s an image"
    )
    for name, factors in OBJECTIVES.items():
        means = [_mean(one, factors) for one in table.values()]
        place = means.index(max(means))
        cost = sum(
            min(one.seconds.get(factor, 0.0) for one in table.values()) / len(images)
            for factor in factors
        )
        shown.add_row(
            name,
            f"{rank_correlation(means, scores):.2f}",
            f"{100 * scores[place]:.1f}",
            f"{scores[place] / best:.2f}",
            f"{cost:.4f}",
        )
    shown.title = (
        f"{len(table)} points: mIoU best {100 * best:.1f}, median {100 * median(scores):.1f}"
    )
    console.print(shown)
    unseen = comparison.miou(points[[*table][scores.index(best)]])
    print(f"the point that is best by the masks of the searched scenes: {100 * unseen:.1f} unseen")


def _mean(judged: Judged, factors: Sequence[str]) -> float:
    found = []
    for values in zip(*(judged.rewards[name] for name in factors), strict=True):
        product = 1.0
        for value in values:
            product *= value
        if product == product:
            found.append(product)
    return mean(found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=[*GRIDS])
    parser.add_argument("--images", type=int, default=24, help="to search on and to hold back")
    parser.add_argument("--unseen", type=int, default=48, help="scenes to compare on")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--reference", default="", help="another recipe to compare labels with")
    parser.add_argument("--keep", type=Path, help="folder that keeps what was judged")
    names = [*OBJECTIVES, "true masks"]
    parser.add_argument("--only", nargs="+", choices=names, help="search by these objectives alone")
    parser.add_argument("--samplers", action="store_true", help="compare samplers, too")
    parser.add_argument("--pruning", action="store_true", help="say what halving costs and finds")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    chosen = GRIDS[asked.recipe]
    chosen = replace(chosen, reference=asked.reference or chosen.reference)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "searched"
        paint(folder, asked.images, SEARCHED, "training", backgrounds=chosen.backgrounds)
        judging = Judging.of(chosen, folder)
        begun = time.perf_counter()
        recall(judging, asked.keep, "searched")
        table = judging.all("grid")
        keep(judging, asked.keep, "searched")
        print(
            f"{asked.recipe}, reference {chosen.reference}: {len(judging.plan.images)} scenes, ",
            end="",
        )
        print(f"{len(table)} points judged in {time.perf_counter() - begun:.0f} s")
        sides = {
            "unseen": Comparison(chosen, Path(name) / "unseen", asked.unseen, "training"),
            "held-out drawings": Comparison(chosen, Path(name) / "other", asked.unseen, "held-out"),
        }
        points = {key_of(point): point for point in judging.points()}
        for side, comparison in sides.items():
            recall(comparison.judging, asked.keep, side)
        rank(table, sides["unseen"], points)
        search_by_rewards(asked, chosen, folder, table, points, sides)
        for side, comparison in sides.items():
            keep(comparison.judging, asked.keep, side)
        search_from_bad_starts(asked, chosen, folder, table, points, sides["unseen"])
        if asked.samplers:
            compare_samplers(asked, chosen, folder, table, judging)
        if asked.pruning:
            measure_halving(asked, chosen, folder, table)


def recall(judging: Judging, folder: Path | None, name: str) -> None:
    """Take what was judged before from a folder."""
    path = None if folder is None else folder / f"{name}.pt"
    if path is not None and path.exists():
        torch.serialization.add_safe_globals([Judged])
        judging.known = torch.load(path)


def keep(judging: Judging, folder: Path | None, name: str) -> None:
    """Keep what was judged in a folder."""
    if folder is not None:
        folder.mkdir(exist_ok=True)
        torch.save(judging.known, folder / f"{name}.pt")


def search_by_rewards(
    asked: Any,
    chosen: Grid,
    folder: Path,
    table: Mapping[str, Judged],
    points: Mapping[str, Any],
    sides: Mapping[str, Comparison],
) -> None:
    """Print what studies find by every objective, unproved and proved, and the harm done."""
    shown = Table("objective", "confirmed by", "accepted", title=f"{asked.seeds} seeds, TPE")
    before = {}
    for side, comparison in sides.items():
        start = starting_values(comparison.judging.plan.search)
        before[side] = comparison.miou(start)
        for column in (f"{side}: {100 * before[side]:.1f}", "gain", "harm"):
            shown.add_column(column)
    objectives = {**OBJECTIVES, "true masks": ()}
    for name, factors in ((one, objectives[one]) for one in asked.only or objectives):
        for confirm in ("", *CONFIRMED.get(name, ())):
            plan = plan_of(folder, chosen, factors, confirm)
            start = starting_values(plan.search)
            choices = {one.address: one.choices for one in plan.search.space}
            states = [
                study_of(plan, table, start, seed, trials=asked.trials)
                for seed in track(range(asked.seeds), f"{name} {confirm}")
            ]
            found = [points[point_of(start, choices, state.chosen)] for state in states]
            accepted = mean(state.chosen is not None for state in states)
            cells = [name, confirm or "-", f"{100 * accepted:.0f} %" if confirm else "-"]
            for side, comparison in sides.items():
                after = [comparison.miou(point) for point in found]
                cells += [spread(after), *gains(before[side], after)]
            shown.add_row(*cells)
            if confirm:
                counts = Counter(point_of(start, choices, state.chosen) for state in states)
                for point, count in counts.most_common(3):
                    print(f"  {name} confirmed by {confirm}: {count} times {point}")
    console.print(shown)


def search_from_bad_starts(
    asked: Any,
    chosen: Grid,
    folder: Path,
    table: Mapping[str, Judged],
    points: Mapping[str, Any],
    comparison: Comparison,
) -> None:
    """Print what studies find from a recipe whose settings were drawn at random."""
    images = range(len(next(iter(table.values())).matrices))
    best = max(comparison.miou(points[key]) for key in _best(table, images, 5))
    keys = [*points]
    for name in ("share * reference", "share * regions * edges"):
        confirm = CONFIRMED[name][0]
        plan = plan_of(folder, chosen, OBJECTIVES[name], confirm)
        choices = {one.address: one.choices for one in plan.search.space}
        before, after = [], []
        for seed in track(range(asked.seeds), f"bad starts, {name}"):
            start = points[random.Random(seed).choice(keys)]
            search = replace(plan.search, tables=plan.search.change(start, ()))
            state = study_of(replace(plan, search=search), table, start, seed, trials=asked.trials)
            before.append(comparison.miou(start))
            after.append(comparison.miou(points[point_of(start, choices, state.chosen)]))
        worse = mean(now < was - HARM for was, now in zip(before, after, strict=True))
        print(
            f"from random starts by {name}: {spread(before)} before, {spread(after)} after, "
            f"{100 * worse:.0f} % harmed; shares of the best point's {100 * best:.1f}: median "
            f"{median(after) / best:.2f}, tenth {sorted(after)[len(after) // 10] / best:.2f}"
        )


def _best(table: Mapping[str, Judged], images: range, count: int) -> list[str]:
    return sorted(table, key=lambda key: -table[key].miou(images))[:count]


def compare_samplers(
    asked: Any, chosen: Grid, folder: Path, table: Mapping[str, Judged], judging: Judging
) -> None:
    """Print how good the best candidate is after equal cost, for every sampler."""
    plan = plan_of(folder, chosen, OBJECTIVES["share * reference"])
    start, images = starting_values(plan.search), range(len(judging.plan.images))
    choices = {one.address: one.choices for one in plan.search.space}
    cheap, dear = costs(judging, chosen)
    shown = Table("sampler", title="mIoU of the best candidate by the reward, after equal cost")
    for budget in BUDGETS:
        shown.add_column(f"{budget} plain runs")
    numbers = all(isinstance(value, float | int) for one in choices.values() for value in one)
    for sampler in SAMPLERS if numbers else SAMPLERS[:-1]:
        found: dict[int, list[float]] = {budget: [] for budget in BUDGETS}
        for seed in track(range(asked.seeds), sampler):
            options = {"sampler": sampler, "trials": asked.trials * 2}
            state = study_of(plan, table, start, seed, **options)
            for budget in BUDGETS:
                row = best_row(affordable(state, budget, cheap / dear, chosen.network), 1)
                found[budget].append(table[point_of(start, choices, row)].miou(images))
        shown.add_row(sampler, *(spread(found[budget]) for budget in BUDGETS))
    console.print(shown)
    print(f"a candidate whose networks' results are known costs {cheap / dear:.2f} of a plain run")


def measure_halving(asked: Any, chosen: Grid, folder: Path, table: Mapping[str, Judged]) -> None:
    """Print how many images studies of 100 trials judge with halving, and what they find."""
    images = range(len(next(iter(table.values())).matrices))
    for name in [one for one in CONFIRMED if not asked.only or one in asked.only]:
        plan = plan_of(folder, chosen, OBJECTIVES[name], CONFIRMED[name][0])
        start = starting_values(plan.search)
        choices = {one.address: one.choices for one in plan.search.space}
        worth = {point: _mean(one, OBJECTIVES[name]) for point, one in table.items()}
        states = [
            study_of(plan, table, start, seed, trials=100, pruner="halving")
            for seed in track(range(asked.seeds), name)
        ]
        found = [point_of(start, choices, state.best) for state in states]
        judged = mean(len(row.result["images"]) for state in states for row in state.rows)
        print(
            f"halving, {name}: {100 * judged:.0f} images judged in 100 trials; the best trial has "
            f"{mean(worth[point] for point in found) / max(worth.values()):.3f} of the best "
            f"point's reward, and {100 * mean(table[point].miou(images) for point in found):.1f} "
            "mIoU"
        )


def affordable(state: StudyState, budget: float, cheap: float, network: Sequence[str]) -> list[Row]:
    """Return the first trials that a budget of plain runs pays for, the first in any case."""
    seen: set[str] = set()
    spent = 0.0
    rows: list[Row] = []
    for row in sorted(state.rows, key=lambda row: row.turn):
        key = key_of({address: row.params[address] for address in network})
        spent += cheap if key in seen else 1.0
        seen.add(key)
        if spent > budget and rows:
            break
        rows.append(row)
    return rows


def costs(judging: Judging, chosen: Grid) -> tuple[float, float]:
    """Return the median seconds of points whose networks' results were known, and of the others."""
    seen: set[str] = set()
    seconds: tuple[list[float], list[float]] = [], []
    for point in judging.points():
        key = key_of({address: point[address] for address in chosen.network})
        judged = judging.judge(point)
        spent = [one for address, one in judged.seconds.items() if address not in NAMES]
        seconds[key not in seen].append(sum(spent))
        seen.add(key)
    return median(seconds[False]), median(seconds[True])


if __name__ == "__main__":
    main()
