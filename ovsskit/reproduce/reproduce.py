"""One `ovsskit reproduce`: find all that is wrong, measure, and compare with what is published."""

from __future__ import annotations

from ovsskit.datasets.dataset import Dataset
from ovsskit.engine.notices import Silent, hearing
from ovsskit.errors import NoDataset, OvsskitError, Problems, all_at_once, report
from ovsskit.eval.callbacks import EvalCallbacks
from ovsskit.eval.eval import check, evaluate
from ovsskit.reproduce.comparison import Comparison, compare
from ovsskit.reproduce.evaluations import Evaluation, find_evaluations
from ovsskit.reproduce.options import ReproduceOptions, changed_by


def reproduce(options: ReproduceOptions, callbacks: EvalCallbacks) -> list[Comparison]:
    """Measure what recipes' methods are published to reach, and compare number by number.

    Every evaluation has a folder of its own, and goes on where it was stopped. Numbers whose data
    set is not below the root are not measured.

    Raises:
        OvsskitError: something is wrong with a recipe, data set, output folder, device or weights.
    """
    with hearing(Silent()):
        evaluations = find_evaluations(options)
        _check(options, evaluations)
    there = [one for one in evaluations if isinstance(one.dataset, Dataset)]
    found = []
    for evaluation in evaluations:
        if isinstance(evaluation.dataset, NoDataset):
            found += _not_found(evaluation, evaluation.dataset, options.tolerance)
            continue
        place = f"{there.index(evaluation) + 1} of {len(there)}"
        name = evaluation.dataset.facts.name
        callbacks.notice(f"{place}: {evaluation.recipe.title} on {name}")
        found += _measure(evaluation, options, callbacks)
    return found


def _check(options: ReproduceOptions, evaluations: list[Evaluation]) -> None:
    """Look for all that stands against evaluations; what does is reported once."""
    seen: set[str] = set()
    with all_at_once():
        for evaluation in evaluations:
            if isinstance(evaluation.dataset, NoDataset):
                continue
            try:
                check(evaluation.options(options))
            except OvsskitError as error:
                problems = error.problems if isinstance(error, Problems) else [error]
                report(*(one for one in problems if str(one) not in seen))
                seen |= {str(one) for one in problems}


def _measure(
    evaluation: Evaluation, options: ReproduceOptions, callbacks: EvalCallbacks
) -> list[Comparison]:
    asked = evaluation.options(options)
    assert asked.out is not None
    changed = ", ".join(changed_by(options.overrides, evaluation.recipe.plan.stages))
    reasons = [f"the recipe was changed: {changed}"] if changed else []
    record = evaluate(asked, callbacks)
    title, tolerance = evaluation.recipe.title, options.tolerance
    return [
        compare(title, number, tolerance, record, asked.out, reasons)
        for number in evaluation.numbers
    ]


def _not_found(evaluation: Evaluation, absent: NoDataset, tolerance: float) -> list[Comparison]:
    where = f" in {absent.where}" if absent.where else ""
    reason = f"the data set was not found{where}: {absent.reason}"
    title = evaluation.recipe.title
    return [
        Comparison(title, number, tolerance, reasons=(*number.differs, reason))
        for number in evaluation.numbers
    ]
