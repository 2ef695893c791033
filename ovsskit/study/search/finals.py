"""Judge the best candidates and the unchanged recipe on all images, and decide between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from ovsskit.study.search.acceptance import Acceptance, compare
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.search.queue import DEFAULT
from ovsskit.study.search.state import StudyState
from ovsskit.study.search.trial_result import by_index, in_json
from ovsskit.study.search.trials import Row
from ovsskit.study.spec.objectives import Objective, mean_of

FINALISTS = 3
"""How many candidates are judged on the images that were held back."""
FINALS = "finals"
"""The attribute of a study that holds what images gave for finalists, by candidate."""
CONFIRMED = "confirmed"
"""What stands behind a candidate that the other reward judged."""


class Finals:
    """Judge the finalists of a study; what was judged before is taken from its storage."""

    def __init__(self, state: StudyState, evaluator: Evaluator, study: optuna.Study) -> None:
        self.state, self.evaluator, self.study = state, evaluator, study
        self._known: dict[str, Mapping[str, float]] = dict(study.user_attrs.get(FINALS, {}))

    def decide(self) -> Acceptance:
        """Return which candidate is proposed, and how it compares with the unchanged recipe."""
        first, confirm = self.state.plan.search.objectives[0], self.state.plan.search.confirm
        finalists = [(row, self._images(*_of(row))) for row in self._finalists()]
        if not finalists:
            return Acceptance(None)
        before = self._images(DEFAULT, {}, self.state.default)
        row, after = max(finalists, key=lambda one: first.sign * mean_of([*one[1].values()]))
        found = [compare(first.name, first.sign, before, after)]
        if confirm is not None and found[0].is_better:
            images = range(len(self.state.plan.images))
            was, now = (
                by_index(self._judge(f"{candidate} {CONFIRMED}", values, confirm, images))
                for candidate, values in ((DEFAULT, {}), (row.candidate, row.params))
            )
            found.append(compare(confirm.name, confirm.sign, was, now))
        return Acceptance(row.turn, tuple(found))

    def _finalists(self) -> list[Row]:
        """Return the best rows that are better than the unchanged recipe, no candidate twice."""
        first, rows = self.state.plan.search.objectives[0], self.state.rows
        before = first.sign * self.state.default["values"][0]
        worth = {row.turn: first.sign * (row.values or [before])[0] for row in rows if row.counts}
        better = [row for row in rows if worth.get(row.turn, before) > before]
        better.sort(key=lambda row: (-worth[row.turn], row.turn))
        distinct = {row.candidate: row for row in reversed(better)}
        return sorted(distinct.values(), key=better.index)[:FINALISTS]

    def _images(
        self, candidate: str, values: Mapping[str, Any], searched: Mapping[str, Any]
    ) -> dict[int, float]:
        """Return what all images gave for the first objective, searched and held back."""
        held_back = self.state.plan.held_back
        first = self.state.plan.search.objectives[0]
        found = self._judge(candidate, values, first, held_back) if held_back else {}
        return {**by_index(searched["images"]), **by_index(found)}

    def _judge(
        self, key: str, values: Mapping[str, Any], goal: Objective, images: Sequence[int]
    ) -> Mapping[str, float]:
        """Return what images give for a goal, from the storage or else judged now and put there."""
        if key not in self._known:
            self._known[key] = in_json(self.evaluator.values_of(values, goal, images))
            self.study.set_user_attr(FINALS, self._known)
        return self._known[key]


def _of(row: Row) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return row.candidate, row.params, row.result
