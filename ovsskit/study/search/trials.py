"""What became of the trials of a study: plain rows, the best of them, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from ovsskit.study.search.queue import CANDIDATE, ERROR, RESULT, is_spent
from ovsskit.study.search.samplers import TURN
from ovsskit.study.spec.search import Search

State = Literal["done", "pruned", "failed"]
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Row:
    """Hold a trial that is over: its turn, what it tried, what that was worth, and what it cost.

    `at` is the seconds of work on trials until then, all workers added up. `broken` names the
    constraints that it breaks.
    """

    turn: int
    number: int
    state: State
    params: dict[str, Any]
    values: list[float] | None
    took: float
    at: float
    reason: str = ""
    broken: tuple[str, ...] = ()
    candidate: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Say whether the trial may be the best: judged on all images, no constraint broken."""
        return self.state == "done" and not self.broken

    def plain(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        return asdict(self)


def read_rows(study: optuna.Study, search: Search) -> list[Row]:
    """Return the finished trials in the order in which they ended; of a repeated turn the last."""
    ours = [trial for trial in study.get_trials(deepcopy=False) if TURN in trial.user_attrs]
    spent = [*filter(is_spent, ours)]
    spent.sort(key=lambda trial: (trial.datetime_complete or trial.datetime_start, trial.number))
    rows, at = [], 0.0
    for trial in spent:
        took = trial.duration.total_seconds() if trial.duration is not None else 0.0
        at += took
        rows.append(_row(trial, search, took, at))
    return rows


def _row(trial: FrozenTrial, search: Search, took: float, at: float) -> Row:
    return Row(
        turn=trial.user_attrs[TURN],
        number=trial.number,
        state=STATES[trial.state],
        params={
            one.address: one.value_of(trial.params[one.address])
            for one in search.space
            if one.address in trial.params
        },
        values=list(trial.values) if trial.state == TrialState.COMPLETE else None,
        took=took,
        at=at,
        reason=trial.user_attrs.get(ERROR, ""),
        broken=tuple(name for name, excess in trial.constraints.items() if excess > 0),
        candidate=trial.user_attrs.get(CANDIDATE, ""),
        result=dict(trial.user_attrs.get(RESULT, {})),
    )


def best_row(rows: Sequence[Row], sign: int) -> Row | None:
    """Return the row with the best first value, the earliest of equals; None if none counts."""
    counting = [row for row in rows if row.counts]
    return (
        max(counting, key=lambda row: (sign * (row.values or [0.0])[0], -row.turn))
        if counting
        else None
    )


def front(rows: Sequence[Row], signs: Sequence[int]) -> list[Row]:
    """Return the rows that no other beats in every objective (the Pareto front), by first value."""
    scored = [
        (row, [sign * value for sign, value in zip(signs, row.values or (), strict=True)])
        for row in rows
        if row.counts
    ]
    kept = [
        row
        for row, mine in scored
        if not any(
            all(b >= a for a, b in zip(mine, other, strict=True)) and other != mine
            for _, other in scored
        )
    ]
    return sorted(kept, key=lambda row: -signs[0] * (row.values or [0.0])[0])


def progress(rows: Sequence[Row], sign: int) -> list[tuple[int, float, float]]:
    """Return trials, seconds, and best first value so far, after each trial that counts."""
    steps: list[tuple[int, float, float]] = []
    best: float | None = None
    for count, row in enumerate(rows, 1):
        if row.counts and row.values:
            value = row.values[0]
            best = value if best is None or sign * value > sign * best else best
        if best is not None:
            steps.append((count, row.at, best))
    return steps
