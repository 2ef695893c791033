"""How a study stands while it goes on, and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from ovsskit.study.search.acceptance import Acceptance
from ovsskit.study.search.knee import knee_of
from ovsskit.study.search.samplers import group_of
from ovsskit.study.search.trials import Row, best_row, front
from ovsskit.study.spec.plan import StudyPlan

SHOWN = 8
"""How many of the best trials a table lists."""

KNEE = " knee"
"""What a table has behind the number of the trial at the knee of the front."""


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass
class StudyState:
    """Say how a study stands: its rows, what the unchanged recipe was worth, and what was saved.

    At the end `acceptance` says whether the best trial replaces the unchanged recipe; it stays None
    where the best trial is taken unproved.
    """

    plan: StudyPlan
    total: int
    out: Path
    rows: list[Row] = field(default_factory=list)
    default: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    acceptance: Acceptance | None = None

    @property
    def proposed(self) -> Row | None:
        """Return the trial that was compared with the unchanged recipe at the end, or the best."""
        turn = None if self.acceptance is None else self.acceptance.turn
        return next((row for row in self.rows if row.turn == turn), self.best)

    @property
    def chosen(self) -> Row | None:
        """Return the trial that becomes the result; None where the unchanged recipe is kept."""
        if self.acceptance is None:
            return self.best
        return self.proposed if self.acceptance.is_accepted else None

    @property
    def best(self) -> Row | None:
        """Return the best trial."""
        return best_row(self.rows, self.plan.search.objectives[0].sign)

    @property
    def recipe(self) -> Path | None:
        """Return the file of the best recipe, or None where no trial counts."""
        return self.out / "best.toml" if self.best else None

    @property
    def leaders(self) -> list[Row]:
        """Return the trials that count, the best first; of several objectives, the Pareto front."""
        first, *others = self.plan.search.objectives
        if others:
            return self.front
        counting = [row for row in self.rows if row.counts]
        return sorted(counting, key=lambda row: (-first.sign * (row.values or [0.0])[0], row.turn))

    @property
    def shown(self) -> list[Row]:
        """Return the leaders that a table lists: the first of them, and the knee."""
        first, knee = self.leaders[:SHOWN], self.knee
        return first if knee is None or knee in first else [*first, knee]

    def table(self) -> list[list[str]]:
        """Return the head of a table, the unchanged recipe, and a row for each leader it lists."""
        search = self.plan.search
        addresses = [one.address for one in search.space]
        head = ["trial", *(one.name for one in search.objectives), *addresses, "s"]
        start = map(cell, map(self.start.get, addresses))
        rows = [["unchanged", *map(cell, self.default.get("values", [])), *start, ""]]
        knee = self.knee
        for row in self.shown:
            found = map(cell, [*(row.values or []), *map(row.params.get, addresses)])
            rows.append([f"{row.turn}{KNEE * (row is knee)}", *found, f"{row.took:.1f}"])
        return [head, *rows]

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        head, *rows = ([escape(text) for text in row] for row in self.table())
        lines = [f"<tr><th>{'</th><th>'.join(head)}</th></tr>"]
        lines += [f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows]
        return f"<table>{''.join(lines)}</table>"

    @property
    def front(self) -> list[Row]:
        """Return the Pareto front."""
        return front(self.rows, [one.sign for one in self.plan.search.objectives])

    @property
    def knee(self) -> Row | None:
        """Return the knee of the Pareto front; None if it has none, as of one objective."""
        return knee_of(self.front, [one.sign for one in self.plan.search.objectives])

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
        """Return how many calls of networks were made and saved, the recipe's and the judges'."""
        results = [self.default, *(row.result for row in self.rows)]
        return {
            key: sum(one.get(key, 0) for one in results)
            for key in ("calls", "saved", "judge_calls", "judge_saved")
        }
