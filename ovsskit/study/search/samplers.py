"""Set up Optuna's samplers and pruners: one sampler per trial, seeded by study and turn.

So a study tries the same candidates whether or not it was interrupted, and no two workers draw the
same numbers.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ovsskit.study.spec.search import Search, starting_values
from ovsskit.study.spec.space import grid, grid_size

FIRST_STEP, LAST_STEP = 0.5, 0.03
"""Steps of the annealing sampler in parts of a range, at its first and its last trial: ours."""

KEPT, RUNGS = 4, (Fraction(1, 24), Fraction(1, 5), Fraction(2, 3))
"""Successive halving keeps the best of so many after these parts of the images."""

LAST = 20
"""Successive halving compares a trial with this many before it.

Compared with all of them, more and more trials would go on as a search gets better.
"""

STARTUP = 10
"""Trials that a sampler which learns draws at random, before it has seen enough."""

MOST_POINTS = 10_000
"""Spaces with more points are not listed; in them equal candidates are rare."""

TURN = "turn"
"""The attribute of a trial that says which of the study's turns it takes."""


def make_sampler(search: Search, turn: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one trial."""
    settings = search.settings
    seed = int(numpy.random.SeedSequence([settings.seed, turn]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if settings.sampler == "tpe":
            alone = len(search.objectives) == 1
            return optuna.samplers.TPESampler(
                n_startup_trials=STARTUP,
                n_ei_candidates=24,
                multivariate=alone,
                group=alone and any(one.kind == "switch" for one in search.space),
                constant_liar=True,
                seed=seed,
            )
        if settings.sampler == "gp":
            return optuna.samplers.GPSampler(
                n_startup_trials=STARTUP, warn_independent_sampling=False, seed=seed
            )
        if settings.sampler == "cmaes":
            return optuna.samplers.CmaEsSampler(
                n_startup_trials=1, warn_independent_sampling=False, seed=seed
            )
        if settings.sampler == "annealing":
            return AnnealingSampler(search, turn, seed)
        return optuna.samplers.RandomSampler(seed=seed)


def make_pruner(search: Search) -> optuna.pruners.BasePruner:
    """Return the study's pruner.

    Wilcoxon compares single images, halving the mean gain so far.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if search.settings.pruner == "wilcoxon":
            return optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=4)
        if search.settings.pruner == "halving":
            return Halving()
        return optuna.pruners.NopPruner()


class Halving(optuna.pruners.BasePruner):
    """Prune a trial outside the best quarter of those that last reported at the same image.

    Equal trials share a place. Optuna's pruner lets all equal trials go on, and over a few images
    many are equal: a reward that counts wins takes few values there. It also compares with all
    earlier trials, and as a search gets better, ever more trials are among the best of those.
    Source: Li et al. 2020 (ASHA), without its promotion of earlier trials.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Say whether to leave the trial, by its last report."""
        step = trial.last_step
        if step is None:
            return False
        return is_left(study, trial.user_attrs.get(TURN), step, trial.intermediate_values[step])


def is_left(study: optuna.Study, turn: int | None, step: int, own: float) -> bool:
    """Say whether successive halving leaves a trial that reports this value at a step.

    What is left with one value is left with all that are worse.
    """
    reached = []
    for one in study.get_trials(deepcopy=False):
        is_other = one.state != TrialState.FAIL and one.user_attrs.get(TURN) != turn
        if is_other and step in one.intermediate_values:
            reached.append(one.intermediate_values[step])
    reached = reached[-LAST:]
    sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
    ahead = (
        sum(sign * other > sign * own for other in reached)
        + sum(other == own for other in reached) / 2
    )
    return ahead >= max(1, (len(reached) + 1) // KEPT)


def rungs(images: int) -> list[int]:
    """Return after how many images, of so many, successive halving leaves candidates."""
    return sorted({math.ceil(images * part) for part in RUNGS} - {images})


def points_of(search: Search) -> list[dict[str, Any]] | None:
    """Return all points of a space, shuffled, the unchanged recipe first.

    The result is None where there are too many points, or where groups divide them.
    """
    settings = search.settings
    size = grid_size(search.space)
    if settings.groups > 1 or size is None or (size > MOST_POINTS and settings.sampler != "grid"):
        return None
    points = list(grid(search.space))
    random.Random(settings.seed).shuffle(points)
    start = as_it_is(search) if settings.sampler != "grid" else {}
    points.sort(key=lambda point: point != start)
    return points


def takes_listed(search: Search, points: Sequence[Any], turn: int) -> bool:
    """Say whether a turn takes the next point of a list, and not what the sampler proposes.

    So it is where the study tries all points anyway, and where the sampler would draw at random, so
    that none is drawn twice.
    """
    settings = search.settings
    if settings.sampler in ("grid", "random") or len(points) <= settings.trials:
        return True
    return settings.sampler in ("tpe", "gp") and turn < STARTUP


def group_of(search: Search, turn: int) -> int:
    """Return the group that a turn belongs to."""
    return turn * search.settings.groups // search.settings.trials


def fixed_values(search: Search, turn: int) -> dict[str, Any]:
    """Return what is fixed for a turn: the unchanged recipe first, then values of the group."""
    settings = search.settings
    if settings.groups == 1:
        return as_it_is(search) if turn == 0 else {}
    divided = next((one for one in search.space if one.address == settings.split), None)
    if divided is None:
        return {}
    values, group = divided.values() or [], group_of(search, turn)
    first, last = (len(values) * end // settings.groups for end in (group, group + 1))
    drawn = random.Random(f"{settings.seed} {turn}").choice(values[first:last])
    return {divided.address: drawn}


def as_it_is(search: Search) -> dict[str, Any]:
    """Return the recipe's own values at the searched addresses.

    The result is empty if they are not wanted or not in the space.
    """
    start = starting_values(search)
    if not search.settings.as_it_is or not all(
        one.holds(start[one.address]) for one in search.space
    ):
        return {}
    return start


class AnnealingSampler(optuna.samplers.BaseSampler):
    """Step from the group's best trial so far, first far, then less and less (random annealing).

    After Gradient-Free-Optimizers' description of its random annealing, which the released code of
    PnP-OVSS uses: hill climbing in which a temperature shrinks the steps. The sizes of the steps
    are ours.
    """

    def __init__(self, search: Search, turn: int, seed: int) -> None:
        self.search, self.turn = search, turn
        self.random = numpy.random.default_rng(seed)
        mine = [
            one
            for one in range(search.settings.trials)
            if group_of(search, one) == group_of(search, turn)
        ]
        self.group = set(mine)
        self.step = FIRST_STEP * (LAST_STEP / FIRST_STEP) ** (
            mine.index(turn) / max(1, len(mine) - 1)
        )

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return nothing: every parameter steps by itself."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing: every parameter steps by itself."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a value near the best one of the group, or any at all for its first trial."""
        here = self._best(study, param_name)
        if isinstance(param_distribution, CategoricalDistribution):
            stays = here is not None and self.random.random() > self.step
            return (
                here
                if stays
                else param_distribution.choices[
                    self.random.integers(len(param_distribution.choices))
                ]
            )
        assert isinstance(param_distribution, FloatDistribution | IntDistribution)
        scale = math.log if param_distribution.log else float
        low, high = scale(param_distribution.low), scale(param_distribution.high)
        if here is None:
            place = self.random.uniform(low, high)
        else:
            place = self.random.normal(scale(here), self.step * (high - low))
            while not low <= place <= high:  # fold what falls over an end back in
                place = 2 * low - place if place < low else 2 * high - place
        value = math.exp(place) if param_distribution.log else place
        if param_distribution.step is not None:
            steps = round((value - param_distribution.low) / param_distribution.step)
            value = param_distribution.low + steps * param_distribution.step
        value = min(max(value, param_distribution.low), param_distribution.high)
        return int(value) if isinstance(param_distribution, IntDistribution) else float(value)

    def _best(self, study: optuna.Study, address: str) -> Any:
        done = []
        for one in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if one.user_attrs.get(TURN) in self.group and address in one.params:
                done.append(one)
        sign = self.search.objectives[0].sign
        return (
            max(done, key=lambda one: (sign * one.values[0], -one.number)).params[address]
            if done
            else None
        )
