"""Tell a person, or a program, how a study goes: a table while it runs, and one at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, console, progress_bar, show, stderr
from ovsskit.study.report.best import front_name
from ovsskit.study.search.state import KNEE, StudyState, cell
from ovsskit.study.search.trials import Row


class StudyReport(LiveReport):
    """Show the best trials and a progress bar; or lines of JSON; or nothing."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self.quiet, self.as_json = quiet, as_json
        self.progress = progress_bar()
        self.task = self.progress.add_task("trials", total=None)
        self.live: Live = Live(self.progress, console=stderr, transient=True, refresh_per_second=4)
        self.shows = not quiet and not as_json and stderr.is_terminal

    def begin(self, state: StudyState) -> None:
        """Show what is searched, and the values of the unchanged recipe."""
        if self.shows:
            self.live.start()
        done = len(state.rows)
        self.progress.reset(self.task, total=state.total, completed=done, before=done)
        if self.quiet or self.as_json:
            return
        search = state.plan.search
        names = ", ".join(f"{one.name} ({one.direction})" for one in search.objectives)
        stderr.print(
            escape(
                f"{search.title}: {len(state.plan.images)} images, "
                f"{len(search.space)} parameters, {names}"
            ),
            highlight=False,
        )
        if state.rows:
            stderr.print(
                f"resumes after {len(state.rows)} of {state.total} trials", highlight=False
            )

    def tell(self, state: StudyState, new: Sequence[Row]) -> None:
        """Show trials that ended."""
        if self.as_json:
            for row in new:
                print(json.dumps(row.plain()), flush=True)
        self.progress.update(self.task, completed=len(state.rows))
        self.live.update(Group(best_table(state), self.progress))

    def end(self, state: StudyState) -> None:
        """Show the best trials, what was saved, and where to look."""
        self.live.stop()
        calls = state.calls
        best = state.best
        if self.as_json:
            summary: dict[str, Any] = {
                "trials": len(state.rows),
                "default": state.default.get("values"),
                "best": None if best is None else best.plain(),
                "acceptance": None if state.acceptance is None else state.acceptance.plain(),
                "front": [row.turn for row in state.front]
                if len(state.plan.search.objectives) > 1
                else None,
                "knee": state.knee.turn if state.knee else None,
                "network_calls": calls,
                "out": str(state.out),
                "report": str(state.out / "index.html"),
                "recipe": str(state.recipe) if state.recipe else None,
            }
            print(json.dumps({"summary": summary}), flush=True)
        elif not self.quiet:
            show(best_table(state))
            for line in facts(state):
                console.print(escape(line), highlight=False)


def best_table(state: StudyState) -> Table:
    """Return a table of the unchanged recipe and the best trials, or the Pareto front."""
    head, *rows = state.table()
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in head:
        table.add_column(escape(column.replace(".", ".\n").replace("*", "*\n")), overflow="fold")
    best = str(state.chosen.turn) if state.chosen else "unchanged"
    for row in rows:
        table.add_row(
            *map(escape, row), style="bold green" if row[0].removesuffix(KNEE) == best else ""
        )
    return table


def facts(state: StudyState) -> list[str]:
    """Return in sentences what a study did and where its results are."""
    states = [row.state for row in state.rows]
    calls = state.calls
    pruned = f", {states.count('pruned')} pruned" if "pruned" in states else ""
    failed = f", {states.count('failed')} failed" if "failed" in states else ""
    broken = sum(bool(row.broken) for row in state.rows)
    lines = [
        f"trials          {states.count('done')} done{pruned}{failed}"
        + (f", {broken} break a limit" if broken else "")
    ]
    lines.append(f"network calls   {calls['calls']:,} made, {calls['saved']:,} saved")
    if calls["judge_calls"]:
        lines.append(
            f"judge's calls   {calls['judge_calls']:,} made, {calls['judge_saved']:,} saved"
        )
    if state.plan.search.settings.groups > 1:
        found = [
            f"{row.values[0]:.4g} (trial {row.turn})" if row and row.values else "none"
            for row in state.groups
        ]
        lines.append(f"groups          {', '.join(found)}")
    lines += state.acceptance.reasons if state.acceptance is not None else []
    lines.append(
        f"best recipe     {state.recipe}" if state.best else "best recipe     none: no trial counts"
    )
    if state.knee:
        lines.append(f"knee            {state.out / front_name(state.knee)}")
    return [*lines, f"report          {state.out / 'index.html'}"]


def comparison_tables(found: dict[str, Any]) -> list[Table]:
    """Return the tables of a comparison: each study's result, and the best value over time."""
    studies = found["studies"]
    names = [escape(f"{one['name']} ({one['sampler']})") for one in studies]
    whole = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in (
        "study",
        "trials",
        "seconds",
        "unchanged",
        escape(f"best {found['objective']}"),
        "parameters",
    ):
        whole.add_column(column, overflow="fold")
    for name, one in zip(names, studies, strict=True):
        params = ", ".join(
            f"{escape(address)} = {_number(value)}" for address, value in one["params"].items()
        )
        best = _number(one["best"][0]) if one["best"] else "-"
        whole.add_row(
            name, str(one["trials"]), f"{one['seconds']:.1f}", _number(one["default"]), best, params
        )
    tables = [whole]
    for key, word in (("by_trial", "trials"), ("by_second", "seconds")):
        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        for column in (f"best after {word}", *names):
            table.add_column(column, overflow="fold")
        for step in found[key]:
            table.add_row(
                f"{step['at']:g}" if key == "by_trial" else f"{step['at']:.1f}",
                *map(_number, step["best"]),
            )
        tables.append(table)
    return tables


def _number(value: Any) -> str:
    return escape(cell(value))
