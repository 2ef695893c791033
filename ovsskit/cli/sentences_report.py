"""Tell a person how a choice of sentences goes: a bar, then what was written."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from ovsskit.cli.console import LiveReport, console, progress_bar, stderr
from ovsskit.sentences.recipe import Choice


class SentencesReport(LiveReport):
    """Show a progress bar, notices and a summary, or nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.progress = progress_bar(shown=not quiet and stderr.is_terminal)
        self.live = self.progress
        self.task = self.progress.add_task("sentences on images", total=None, visible=False)

    def begin(self, total: int) -> None:
        """Show how often the recipe will run."""
        self.progress.start()
        self.progress.reset(self.task, total=total, visible=True)

    def tell(self) -> None:
        """Show that a sentence was tried on an image."""
        self.progress.advance(self.task)

    def end(self, path: Path, choice: Choice) -> None:
        """Show what was written, and how to use it."""
        self.progress.stop()
        if self.quiet:
            return
        count, of = len(choice.chosen), len(choice.experts)
        file = escape(str(path))
        console.print(f"wrote {file}: sentences for {count} of {of} classes", highlight=False)
        console.print(f"use it: ovsskit run {file} ...", highlight=False)
