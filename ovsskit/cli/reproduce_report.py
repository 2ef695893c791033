"""Tell a person, or a program, how measured numbers compare with published ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import console, show
from ovsskit.cli.eval_report import METRICS, EvalReport
from ovsskit.reproduce.comparison import Comparison

COLOURS = {"within": "green", "outside": "red", "not comparable": "yellow", "not measured": "dim"}


class ReproduceReport(EvalReport):
    """Show a progress bar for each evaluation, and one table at the end; or JSON; or nothing."""

    def end(self, folder: Path, record: dict[str, Any]) -> None:
        """Show what was left out of an evaluation."""
        self.progress.stop()
        if not self.as_json:
            self._left_out(record)

    def compare(self, found: Sequence[Comparison]) -> None:
        """Show every published number beside the measured one, and why some do not compare."""
        if self.as_json:
            print(json.dumps([one.to_plain() for one in found]))
        elif not self.quiet:
            reasons = list(dict.fromkeys(reason for one in found for reason in one.reasons))
            show(_numbers(found, reasons))
            for number, reason in enumerate(reasons, 1):
                console.print(escape(f"({number}) {reason}"), highlight=False)


def _numbers(found: Sequence[Comparison], reasons: Sequence[str]) -> Table:
    """Return a row for each number; the last cell names reasons by their place, from 1."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("recipe", "data set", "metric"):
        table.add_column(name)
    for name in ("published", "measured", "interval", "difference"):
        table.add_column(name, justify="right")
    table.add_column("outcome")
    for one in found:
        number = one.published
        quoted = "" if number.certainty == "sure" else f", {number.certainty}"
        why = ", ".join(map(str, sorted(reasons.index(reason) + 1 for reason in one.reasons)))
        table.add_row(
            escape(one.recipe),
            number.dataset,
            METRICS[number.metric],
            f"{number.value}",
            "" if one.measured is None else f"{one.measured:.2f}",
            "" if one.interval is None else "{:.2f} to {:.2f}".format(*one.interval),
            "" if one.difference is None else f"{one.difference:+.2f}",
            f"[{COLOURS[one.outcome]}]{one.outcome}[/]{quoted}{f' ({why})' if why else ''}",
        )
    return table
