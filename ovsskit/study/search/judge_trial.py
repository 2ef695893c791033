"""Judge the candidate of a trial, unless an equal one has been judged."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from ovsskit.errors import reason_of
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.queue import ERROR, RESULT, Failed, TrialQueue
from ovsskit.study.search.reports import Report, reports_of
from ovsskit.study.search.samplers import TURN
from ovsskit.study.search.trial_result import TrialResult, by_index, describe
from ovsskit.study.spec.plan import StudyPlan


def order_of(plan: StudyPlan, turn: int) -> list[int]:
    """Return the shuffled order of a trial's images, another in each trial."""
    order = list(plan.searched)
    random.Random(f"{plan.search.settings.seed} {turn}").shuffle(order)
    return order


def judge_trial(
    plan: StudyPlan,
    evaluator: Evaluator,
    queue: TrialQueue,
    trial: optuna.Trial,
    values: Mapping[str, Any],
) -> list[float]:
    """Judge the candidate of a trial, unless an equal one has been judged, and note the result.

    Raises:
        Failed: it cannot be run; the reason is noted.
    """
    order, report = order_of(plan, trial.user_attrs[TURN]), reports_of(plan, trial)
    try:
        known = queue.known(trial)
        result = (
            evaluator.judge(values, order, report)
            if known is None
            else _again(*known, order, report)
        )
    except (
        Exception
    ) as error:  # stages may be anybody's, and one candidate's failure shall not stop the study
        trial.set_user_attr(ERROR, reason_of(error))
        raise Failed from error
    trial.set_user_attr(RESULT, describe(result))
    limits = plan.search.constraints
    if limits.seconds_per_image is not None:
        trial.set_constraint("seconds_per_image", result.seconds - limits.seconds_per_image)
    if limits.peak_megabytes is not None and result.megabytes is not None:
        trial.set_constraint("peak_megabytes", result.megabytes - limits.peak_megabytes)
    if not result.whole:
        raise optuna.TrialPruned
    return result.values


def _again(
    known: Mapping[str, Any], whole: bool, order: Sequence[int], report: Report | None
) -> TrialResult:
    """Return the result of an equal candidate, such as the unchanged recipe, for a trial."""
    images = by_index(known["images"])
    if report is not None:
        for index in filter(images.__contains__, order):
            report(index, images[index])
    counts = {"calls": 0, "saved": known["calls"] + known["saved"]}
    counts |= {"judge_calls": 0, "judge_saved": known["judge_calls"] + known["judge_saved"]}
    return TrialResult(**{**known, **counts, "images": images}, whole=whole)
