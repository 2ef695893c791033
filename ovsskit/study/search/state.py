"""How a study stands while it goes on, and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovsskit.study.search.samplers import group_of
from ovsskit.study.search.trials import Row, best_row, front
from ovsskit.study.spec.plan import StudyPlan


@dataclass
class StudyState:
    """Say how a study stands: its rows, what the recipe as it is was worth, and what the store saved."""

    plan: StudyPlan
    total: int
    out: Path
    rows: list[Row] = field(default_factory=list)
    default: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    @property
    def best(self) -> Row | None:
        """Return the best trial."""
        return best_row(self.rows, self.plan.search.objectives[0].sign)

    @property
    def front(self) -> list[Row]:
        """Return the Pareto front."""
        return front(self.rows, [one.sign for one in self.plan.search.objectives])

    @property
    def groups(self) -> list[Row | None]:
        """Return the best trial of each group."""
        search = self.plan.search
        mine = [
            [row for row in self.rows if group_of(search, row.turn) == group]
            for group in range(search.settings.groups)
        ]
        return [best_row(rows, search.objectives[0].sign) for rows in mine]

    @property
    def calls(self) -> dict[str, int]:
        """Return how many calls of networks, each for one image, were made and saved: the recipe's and the judges'."""
        results = [self.default, *(row.result for row in self.rows)]
        return {
            key: sum(one.get(key, 0) for one in results)
            for key in ("calls", "saved", "judge_calls", "judge_saved")
        }
