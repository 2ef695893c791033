"""Measure whether studies find better settings by rewards, and whether they do harm.

    python benchmarks/search.py quickstart
    python benchmarks/search.py quickstart_coarse --parts samplers halving
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
from ovsskit.study.search.trials import best_row
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.plan import StudyPlan, make_plan
from ovsskit.study.spec.search import starting_values
from reward import rank_correlation
from searching.costs import Costs
from searching.lookup import is_numeric, nearest, point_of, study_of
from searching.spaces import GRIDS, Grid
from searching.table import USES, Judged, Judging, key_of, paint

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
BY_RULE = ("share * reference", "share * regions * edges", "reference * regions * edges")
"""What a study without an objective may choose."""
PARTS = ("ranks", "studies", "starts", "samplers", "halving")
"""What is measured: rewards over the grid, studies, studies from bad starts, samplers, halving."""
SAMPLERS = ("tpe", "gp", "random", "annealing", "cmaes")
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
        self.judging = Judging.of(chosen, folder)
        self.indices = range(len(self.judging.plan.images))

    def miou(self, point: Mapping[str, Any]) -> float:
        """Return the mIoU of a point."""
        return self.judging.judge(point).miou(self.indices)


def rank(
    asked: Any, table: Mapping[str, Judged], comparison: Comparison, points: Mapping[str, Any]
) -> None:
    """Print rank correlation, regret and cost of every reward over the grid."""
    images = range(len(next(iter(table.values())).matrices))
    scores = [one.miou(images) for one in table.values()]
    best = max(scores)
    shown = Table(
        "reward", "rank correlation", "mIoU where it is best", "of the best", "s an image"
    )
    for name, factors in chosen_objectives(asked).items():
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


def chosen_objectives(asked: Any) -> dict[str, tuple[str, ...]]:
    """Return the rewards and products that are asked for, with their factors."""
    return {name: OBJECTIVES[name] for name in asked.only if name in OBJECTIVES}


def confirmations(asked: Any, name: str) -> list[str]:
    """List the rewards that confirm an objective, of those that were judged."""
    listed = CONFIRMED.get(name, ())
    return [one for one in listed if {*OBJECTIVES[one]} <= {*asked.rewards}]


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
    parser.add_argument("--rewards", nargs="+", choices=[*USES], help="judge by these alone")
    parser.add_argument("--budgets", nargs="+", type=int, default=[2, 4, 8, 16])
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=SAMPLERS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:3])
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    asked.rewards = asked.rewards or [*USES]
    asked.only = [
        name for name in asked.only or names if {*OBJECTIVES.get(name, ())} <= {*asked.rewards}
    ]
    torch.set_num_threads(asked.threads)
    chosen = GRIDS[asked.recipe]
    chosen = replace(chosen, reference=asked.reference or chosen.reference)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "searched"
        paint(folder, asked.images, SEARCHED, "training", backgrounds=chosen.backgrounds)
        judging = Judging.of(chosen, folder, asked.rewards)
        begun = time.perf_counter()
        recall(judging, asked.keep, "searched")
        table = judging.all("grid")
        keep(judging, asked.keep, "searched")
        print(
            f"{asked.recipe}, reference {chosen.reference}: {len(judging.plan.images)} scenes, ",
            end="",
        )
        print(f"{len(table)} points judged in {time.perf_counter() - begun:.0f} s")
        points = {key_of(point): point for point in judging.points()}
        if {*PARTS[:3]} & {*asked.parts}:
            compare_on_new_scenes(asked, chosen, folder, table, points)
        if "samplers" in asked.parts:
            compare_samplers(asked, chosen, folder, table, judging)
        if "halving" in asked.parts:
            measure_halving(asked, chosen, folder, table)


def compare_on_new_scenes(
    asked: Any, chosen: Grid, folder: Path, table: Mapping[str, Judged], points: Mapping[str, Any]
) -> None:
    """Print what the rewards and studies find on scenes that no study saw."""
    sides = {
        "unseen": Comparison(chosen, folder.with_name("unseen"), asked.unseen, "training"),
        "held-out drawings": Comparison(
            chosen, folder.with_name("other"), asked.unseen, "held-out"
        ),
    }
    for side, comparison in sides.items():
        recall(comparison.judging, asked.keep, side)
    if "ranks" in asked.parts:
        rank(asked, table, sides["unseen"], points)
    if "studies" in asked.parts:
        search_by_rewards(asked, chosen, folder, table, points, sides)
    if "starts" in asked.parts:
        search_from_bad_starts(asked, chosen, folder, table, points, sides["unseen"])
    for side, comparison in sides.items():
        keep(comparison.judging, asked.keep, side)


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
    for name in asked.only:
        factors = OBJECTIVES.get(name, ())
        for confirm in ("", *confirmations(asked, name)):
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
    for name in [one for one in BY_RULE if one in asked.only]:
        confirm = confirmations(asked, name)[0]
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
    costs = Costs.of(judging)
    print(f"a plain run takes {costs.plain:.1f} s; of it, and of what is judged, parts by stage:")
    parts = sorted(costs.seconds.items(), key=lambda one: -one[1])
    print(", ".join(f"{stage} {some / costs.plain:.3f}" for stage, some in parts))
    for name in [one for one in BY_RULE if one in asked.only]:
        factors = OBJECTIVES[name]
        plan = plan_of(folder, chosen, factors)
        numbers = all(map(is_numeric, plan.search.space))
        most = max(_mean(one, factors) for one in table.values())
        shown = Table("sampler", title=f"{name}: reward of the best candidate, share of the most")
        for budget in asked.budgets:
            shown.add_column(f"{budget} plain runs")
        shown.add_column("mIoU after the last")
        shown.add_column("candidates")
        for sampler in asked.samplers:
            if sampler == "cmaes" and not numbers:
                continue
            runs = [
                best_after(plan, table, costs.afresh(), asked.budgets, sampler, seed)
                for seed in track(range(asked.seeds), sampler)
            ]
            cells = [
                shares([_mean(table[run[budget][0]], factors) / most for run in runs])
                for budget in asked.budgets
            ]
            last = [run[asked.budgets[-1]] for run in runs]
            images = range(len(judging.plan.images))
            found = spread([table[point].miou(images) for point, _ in last])
            shown.add_row(sampler, *cells, found, f"{mean(count for _, count in last):.0f}")
        console.print(shown)


def best_after(
    plan: StudyPlan,
    table: Mapping[str, Judged],
    costs: Costs,
    budgets: Sequence[int],
    sampler: str,
    seed: int,
) -> dict[int, tuple[str, int]]:
    """Return the best point of a study, and its candidates, after each budget of plain runs.

    All images are searched. The last candidate may exceed the budget, as it would in a study that
    is given so much time; it does not count.
    """
    start = starting_values(plan.search)
    choices = {one.address: one.choices for one in plan.search.space}
    spent: list[float] = []

    def is_spent(state: StudyState) -> bool:
        values = {**start, **nearest(choices, state.rows[-1].params)}
        known = state.rows[-1].candidate in {row.candidate for row in state.rows[:-1]}
        spent.append((spent or [0.0])[-1] + (0.0 if known else costs.spend(values)))
        return spent[-1] > budgets[-1]

    again = sum(costs.seconds[one] for one in costs.depends if one not in costs.kept)
    trials = round(budgets[-1] * costs.plain / again)  # from which annealing takes its steps
    state = study_of(
        plan, table, start, seed, ranges=True, enough=is_spent, sampler=sampler, trials=trials
    )
    found = {}
    for budget in budgets:
        rows = state.rows[: max(1, sum(one <= budget for one in spent))]
        found[budget] = point_of(start, choices, best_row(rows, 1)), len(rows)
    return found


def shares(values: Sequence[float]) -> str:
    """Return mean, median and lowest tenth of shares as text."""
    tenth = sorted(values)[len(values) // 10]
    return f"{mean(values):.3f} ({median(values):.3f}, {tenth:.3f})"


def measure_halving(asked: Any, chosen: Grid, folder: Path, table: Mapping[str, Judged]) -> None:
    """Print how many images studies of 100 trials judge with halving, and what they find."""
    shown = Table("objective", "judge", "images", "judged", "reward of the best", "mIoU")
    images = range(len(next(iter(table.values())).matrices))
    for name in [one for one in CONFIRMED if one in asked.only]:
        plan = plan_of(folder, chosen, OBJECTIVES[name], confirmations(asked, name)[0])
        start = starting_values(plan.search)
        choices = {one.address: one.choices for one in plan.search.space}
        worth = {point: _mean(one, OBJECTIVES[name]) for point, one in table.items()}
        for late in (False, True) if "share" in OBJECTIVES[name] else (False,):
            options: dict[str, Any] = {"trials": 100, "pruner": "halving", "late": late}
            states = [
                study_of(plan, table, start, seed, ranges=True, **options)
                for seed in track(range(asked.seeds), name)
            ]
            found = [point_of(start, choices, state.best) for state in states]
            counts = [
                mean(sum(row.result[key] for row in state.rows) for state in states)
                for key in ("calls", "judge_calls")
            ]
            rewards = shares([worth[one] / max(worth.values()) for one in found])
            gained = spread([table[one].miou(images) for one in found])
            cells = [f"{count:.0f}" for count in counts]
            shown.add_row(name, "late" if late else "always", *cells, rewards, gained)
    console.print(shown)


if __name__ == "__main__":
    main()
