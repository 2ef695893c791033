"""Tell a person how a tuning goes: a bar with the loss, then where the weights are."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, console, progress_bar, show, stderr
from ovsskit.fit.folder import Progress as Done

SMOOTH = 0.05
"""How much the last loss counts in the one that is shown."""
ENDS = 20
"""Steps over which the first and the last loss are averaged."""


class FitReport(LiveReport):
    """Show a progress bar, notices and a summary, or nothing."""

    def __init__(self, *, quiet: bool, recipe: str) -> None:
        self.quiet, self.recipe, self.loss = quiet, recipe, 0.0
        self.progress = progress_bar(
            "loss {task.fields[loss]}", shown=not quiet and stderr.is_terminal
        )
        self.live = self.progress
        self.task = self.progress.add_task("tuning", total=None, visible=False, loss="")

    def begin(self, total: int, done: int) -> None:
        """Show how many steps there are, and how many were done before."""
        if done:
            self.notice(f"going on after step {done}")
        self.progress.start()
        self.progress.reset(self.task, total=total, completed=done, visible=True, before=done)

    def tell(self, loss: float) -> None:
        """Show a finished step and the loss, smoothed."""
        self.loss = loss if not self.loss else (1 - SMOOTH) * self.loss + SMOOTH * loss
        self.progress.update(self.task, advance=1, loss=f"{self.loss:.3f}")

    def end(self, folder: Path, progress: Done, done_now: int) -> None:
        """Show what came out, what it cost, and how to use it."""
        self.progress.stop()
        if self.quiet:
            return
        if not done_now:
            console.print("Nothing to do: the tuning was finished before.", highlight=False)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_row("steps", str(len(progress.losses)))
        table.add_row("time", f"{progress.seconds:.1f} s")
        first, last = (
            sum(part) / len(part) for part in (progress.losses[:ENDS], progress.losses[-ENDS:])
        )
        table.add_row("loss", f"{first:.3f} at first, {last:.3f} at last")
        if progress.peak_memory:
            table.add_row("peak memory", f"{progress.peak_memory / 1e9:.2f} GB")
        if progress.peak_device_memory:
            table.add_row("peak memory of the GPU", f"{progress.peak_device_memory / 1e9:.2f} GB")
        table.add_row("folder", escape(str(folder)))
        table.add_row(
            "use it", escape(f"ovsskit run {self.recipe} ... --set backbone.weights={folder}")
        )
        show(table)
