"""Tell a person how a training goes: a bar with the loss, then what it came to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from rich.table import Table

from ovsskit.cli.console import LiveReport, console, progress_bar, show, stderr
from ovsskit.run.output.training import Progress as Done

SMOOTH = 0.05
"""How much the last loss counts in the one that is shown."""
ENDS = 20
"""Steps over which the first and the last loss are averaged."""


class TrainingReport(LiveReport, ABC):
    """Show a progress bar, notices and a summary, or nothing."""

    doing = "training"
    """What the bar says is being done."""
    finished_before = "Nothing to do: the training has already finished."

    def __init__(self, *, quiet: bool) -> None:
        self.quiet, self.loss = quiet, 0.0
        self.progress = progress_bar(
            "loss {task.fields[loss]}", shown=not quiet and stderr.is_terminal
        )
        self.live = self.progress
        self.task = self.progress.add_task(self.doing, total=None, visible=False, loss="")

    def begin(self, total: int, done: int) -> None:
        """Show how many steps there are, and how many were done before."""
        if done:
            self.notice(f"resuming after step {done}")
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
            console.print(self.finished_before, highlight=False)
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
        for label, text in self.rows(folder, progress):
            table.add_row(label, text)
        show(table)

    @abstractmethod
    def rows(self, folder: Path, progress: Done) -> list[tuple[str, str]]:
        """Return what else is to be shown, and in the end how to use it."""
