"""Tell a person how a distillation goes: the teacher's run, the student's losses, the scores."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from ovsskit.cli.run_report import Report
from ovsskit.cli.training_report import TrainingReport
from ovsskit.distil.folder import RECIPE
from ovsskit.run.output.training import Progress as Done


class DistilReport(TrainingReport):
    """Show the teacher's run, then a progress bar and a summary; or nothing."""

    doing = "teaching"
    finished_before = "Nothing to do: the student has already been taught."

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.teacher = Report(quiet=quiet, as_json=False)

    def __exit__(self, *what: object) -> None:
        """Take away what is shown."""
        self.teacher.live.stop()
        super().__exit__(*what)

    def rows(self, folder: Path, progress: Done) -> list[tuple[str, str]]:
        """Return what the student is worth on images that it was not taught on, and its recipe."""
        scores = [
            (f"mIoU, {name}", f"[bold]{100 * score:.1f}[/] on held-out images")
            for name, score in progress.scores.items()
        ]
        recipe = folder / RECIPE
        use = f"ovsskit run {recipe} ..."
        return [*scores, ("recipe", escape(str(recipe))), ("use it", escape(use))]
