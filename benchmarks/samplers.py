"""Compare samplers at equal cost, in the spaces of all recipes on embedded models.

    python benchmarks/samplers.py judge --keep judged       # takes longest; goes on if stopped
    python benchmarks/samplers.py compare --keep judged

First, random settings of every recipe are judged on newly painted scenes, and what each stage takes
is measured. Then the program's samplers search a model of each recipe, interpolated between these
settings, as if it were the recipe (a surrogate benchmark, Eggensperger et al., AAAI 2015). A
candidate costs what the stages take that a study's store does not save, and what the judge takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import optuna
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

from ovsskit.study.search.samplers import TURN, as_it_is, make_sampler
from ovsskit.study.spec.plan import StudyPlan
from ovsskit.study.spec.search import starting_values
from ovsskit.study.spec.space import suggest
from search import keep, recall
from searching.costs import Costs
from searching.model import Model
from searching.spaces import Grid
from searching.table import Judging, key_of, paint

RECIPES = (
    "quickstart", "ifseg_tiny", "itaclip_tiny", "naclip_tiny", "clearclip_tiny", "sclip_tiny",
    "clip_baseline_tiny", "maskclip_tiny", "gem_tiny", "proxyclip_tiny", "radseg_tiny",
    "pearl_tiny", "lposs_tiny", "lposs_plus_tiny", "corrclip_tiny", "ovsskit_clip_tiny", "car_tiny",
)  # fmt: skip
"""Recipes on embedded models whose spaces have more points than a study has trials."""
SEED = 270_000_000
"""The seed of the first scene: far from all others."""
REWARDS = ("share", "reference")
"""The factors of what these recipes' studies search by."""
SAMPLERS = ("tpe", "gp", "random", "annealing", "cmaes")
BUDGETS = (10, 20, 40)
"""What so many candidates cost that have nothing in common with others, the unchanged recipe's."""
MOST = 60
"""Candidates at most, where they are cheap."""
DRAWN = 2000
"""Random points among which the best of a model is looked for."""
console = Console(width=150)


def judge(recipe: str, folder: Path, scenes: int, drawn: int) -> Judging:
    """Judge the unchanged recipe and random settings, those that are not kept in the folder yet."""
    with tempfile.TemporaryDirectory() as name:
        paint(Path(name) / recipe, scenes, SEED, "training", backgrounds=recipe == "ifseg_tiny")
        judging = Judging.of(Grid(recipe, "", ""), Path(name) / recipe, REWARDS)
        judging.drawn = drawn
        recall(judging, folder, recipe)
        begun, known = time.process_time(), len(judging.known)
        judging.all(recipe)
        if len(judging.known) > known:
            keep(judging, folder, recipe)
        spent = time.process_time() - begun
        print(f"{recipe}: {len(judging.known)} settings, {spent:.0f} s now", flush=True)
    return judging


@dataclass(frozen=True)
class Track:
    """Hold what a search found after each budget, as shares of the gain there is, and its end."""

    gains: list[float]
    miou: float
    candidates: int
    seconds: float

    @classmethod
    def of(
        cls, plan: StudyPlan, model: Model, costs: Costs, best: float, sampler: str, seed: int
    ) -> Track:
        """Search the model until the largest budget is spent; `best` is the greatest reward."""
        begun = time.process_time()
        found = search(plan, model, costs, sampler, seed)
        seconds = time.process_time() - begun
        (first, _), spent = found[0][1], [*accumulate(cost for cost, _ in found)]
        gains, last = [], found[0][1]
        for budget in BUDGETS:
            within = [
                worth for (_, worth), until in zip(found, spent, strict=True) if until <= budget
            ]
            last = max(within or found[0][1:])
            gains.append((last[0] - first) / (best - first))
        return cls(gains, last[1], len(found), seconds / len(found))


def search(
    plan: StudyPlan, model: Model, costs: Costs, sampler: str, seed: int
) -> list[tuple[float, tuple[float, float]]]:
    """Return what each candidate costs, in units of the budget, and its reward and mIoU."""
    costs = costs.afresh()
    unit = costs.afresh().spend(starting_values(plan.search))
    trials = min(MOST, round(BUDGETS[-1] * unit / mean(map(costs.afresh().spend, model.settings))))
    settings = plan.search.settings.model_copy(
        update={"sampler": sampler, "seed": seed, "trials": trials}
    )
    searched = replace(plan.search, settings=settings)
    study, spent = optuna.create_study(direction="maximize"), 0.0
    start = as_it_is(searched)
    if start:
        study.enqueue_trial({one.address: one.hold(start[one.address]) for one in searched.space})
    found: list[tuple[float, tuple[float, float]]] = []
    known: dict[str, tuple[float, float]] = {}
    most = trials if sampler == "annealing" else MOST  # whose steps follow from how many there are
    while spent <= BUDGETS[-1] and len(found) < most:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = make_sampler(searched, len(found))
            trial = study.ask()
            trial.set_user_attr(TURN, len(found))
            values = suggest(searched.space, trial)
        key = key_of(values)
        cost = 0.0 if key in known else costs.spend(values) / unit
        known.setdefault(key, model(values))
        spent += cost
        found.append((cost, known[key]))
        study.tell(trial, known[key][0])
    return found


def fits(sampler: str, plan: StudyPlan) -> bool:
    """Say whether a sampler takes a space, as a study would."""
    if sampler == "cmaes":
        return not any(one.choices for one in plan.search.space)
    return sampler != "gp" or not any(one.kind == "switch" for one in plan.search.space)


def model_of(judging: Judging) -> Model:
    """Return the model of a recipe whose settings were judged."""
    settings, worth = judging.points(), []
    scenes = range(len(judging.plan.images))
    for one in settings:
        judged = judging.judge(one)
        products = np.prod([judged.rewards[name] for name in REWARDS], 0)
        worth.append((float(np.nanmean(products)), judged.miou(scenes)))
    return Model(judging.plan.search.space, settings, np.array(worth))


def compare(recipe: str, asked: Any, known: Mapping[tuple[str, str], Any], file: Path) -> None:
    """Search a recipe by every sampler that was not asked before, and note what came out."""
    missing = [one for one in asked.samplers if (recipe, one) not in known]
    if not missing:
        return
    judging = judge(recipe, asked.keep, asked.scenes, asked.settings)
    plan, model, costs = judging.plan, model_of(judging), Costs.of(judging)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [model(suggest(plan.search.space, study.ask()))[0] for _ in range(DRAWN)]
    best = max(*drawn, *(model(one)[0] for one in model.settings))
    start = model(starting_values(plan.search))
    for sampler in missing:
        runs = [
            vars(Track.of(plan, model, costs, best, sampler, seed))
            for seed in range(asked.seeds)
            if fits(sampler, plan)
        ]
        about = {"rank_correlation": model.rank_correlation, "start": start, "best": best}
        with file.open("a") as lines:
            lines.write(json.dumps({"recipe": recipe, "sampler": sampler, **about, "runs": runs}))
            lines.write("\n")


def read(file: Path) -> dict[tuple[str, str], Any]:
    """Return what was noted, by recipe and sampler."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {(one["recipe"], one["sampler"]): one for one in map(json.loads, lines)}


def tell(known: Mapping[tuple[str, str], Any], samplers: Sequence[str]) -> None:
    """Print what every sampler found in every recipe, and over all of them."""
    columns = [f"{name} {budget}" for name in samplers for budget in BUDGETS[1:]]
    shown = Table("recipe", "foretold", "reward", "best", "candidates", *columns)
    shown.title = f"share of the gain there is after {BUDGETS[1]} and {BUDGETS[2]} candidates' cost"
    recipes = list(dict.fromkeys(recipe for recipe, _ in known))
    for recipe in recipes:
        mine = {name: known[recipe, name] for name in samplers if (recipe, name) in known}
        one = next(iter(mine.values()))
        count = mean(run["candidates"] for run in one["runs"])
        cells = [f"{one['rank_correlation']:.2f}", f"{one['start'][0]:.3f}", f"{one['best']:.3f}"]
        cells.append(f"{count:.0f}")
        for name in samplers:
            for place in range(1, len(BUDGETS)):
                runs = mine.get(name, {}).get("runs") or []
                cells.append(f"{mean(run['gains'][place] for run in runs):.2f}" if runs else "")
        shown.add_row(recipe, *cells)
    console.print(shown)
    everywhere = [
        name for name in samplers if all(known.get((one, name), {}).get("runs") for one in recipes)
    ]
    for title, names, some in (
        ("all recipes", everywhere, recipes),
        ("recipes that every sampler but cmaes takes", samplers[:4], _of_all(known, samplers[:4])),
        ("recipes that every sampler takes", samplers, _of_all(known, samplers)),
    ):
        if some and names:
            summary(f"{title}: {len(some)}", known, names, some)


def _of_all(known: Mapping[tuple[str, str], Any], samplers: Sequence[str]) -> list[str]:
    recipes = dict.fromkeys(recipe for recipe, _ in known)
    return [
        one for one in recipes if all(known.get((one, name), {}).get("runs") for name in samplers)
    ]


def summary(
    title: str,
    known: Mapping[tuple[str, str], Any],
    samplers: Sequence[str],
    recipes: Sequence[str],
) -> None:
    """Print means over recipes: shares of the gain, the rank among the samplers, own seconds."""
    shown = Table("sampler", title=title)
    for budget in BUDGETS:
        shown.add_column(f"gain, {budget}")
    for budget in BUDGETS[1:]:
        shown.add_column(f"rank, {budget}")
    shown.add_column("mIoU gained, last")
    shown.add_column("own s a candidate")
    runs = {name: [known[recipe, name]["runs"] for recipe in recipes] for name in samplers}
    means = np.array(
        [[np.mean([run["gains"] for run in one], 0) for one in runs[name]] for name in samplers]
    )
    ranks = rankdata(-means, axis=0).mean(1)
    for place, name in enumerate(samplers):
        gained = mean(
            100 * (mean(run["miou"] for run in one) - known[recipe, name]["start"][1])
            for recipe, one in zip(recipes, runs[name], strict=True)
        )
        own = mean(run["seconds"] for one in runs[name] for run in one)
        cells = [f"{value:.3f}" for value in means[place].mean(0)]
        cells += [f"{value:.1f}" for value in ranks[place][1:]]
        shown.add_row(name, *cells, f"{gained:+.1f}", f"{own:.3f}")
    console.print(shown)


def main() -> None:
    """Judge the recipes, or compare samplers on what was judged."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("judge", "compare", "tell"))
    parser.add_argument("--keep", type=Path, required=True, help="folder of what was judged")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=SAMPLERS)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--settings", type=int, default=30, help="settings of each recipe")
    parser.add_argument("--seeds", type=int, default=30)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = asked.keep / "compared.jsonl"
    for recipe in asked.recipes if asked.part != "tell" else ():
        if asked.part == "judge":
            judge(recipe, asked.keep, asked.scenes, asked.settings)
        else:
            compare(recipe, asked, read(file), file)
    if asked.part != "judge":
        tell(read(file), SAMPLERS)


if __name__ == "__main__":
    main()
