"""Tell a person how a tuning goes: a bar with the loss, then where the weights are."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from ovsskit.cli.training_report import TrainingReport
from ovsskit.run.output.training import Progress as Done


class FitReport(TrainingReport):
    """Show a progress bar, notices and a summary, or nothing."""

    doing = "tuning"
    finished_before = "Nothing to do: the tuning has already finished."

    def __init__(self, *, quiet: bool, recipe: str) -> None:
        super().__init__(quiet=quiet)
        self.recipe = recipe

    def rows(self, folder: Path, progress: Done) -> list[tuple[str, str]]:
        """Return where the weights are, and how to use them."""
        use = f"ovsskit run {self.recipe} ... --set backbone.weights={folder}"
        return [("folder", escape(str(folder))), ("use it", escape(use))]
