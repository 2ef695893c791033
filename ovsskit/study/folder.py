"""The folder of a study, and the record of what was written into it.

study.json      the record: what the folder is, and every file that the study published
study.journal   the trials, unless a server keeps them
trials.json     the trials, from which studies are compared
best.toml       the best recipe; front/ holds those of the Pareto front
index.html      the report
plotly.min.js   the script that draws its plots
store/          what networks wrote
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ovsskit.files.own.kinds import STUDY
from ovsskit.files.own.written import Files, measure_text, read_files
from ovsskit.run.output.recorded import RecordedFolder


class StudyFolder(RecordedFolder):
    """Hold the folder of one study, locked, or raise BadOutput."""

    def __init__(self, path: Path, title: str) -> None:
        super().__init__(path, STUDY, {})
        self.title = title
        try:
            self._note(self._published)
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self._published: Files = {}

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says."""
        self._published = read_files(plain["files"])

    def publish(self, texts: Mapping[str, str]) -> None:
        """Write files, each named by its path in the folder.

        The record names a file before it is there, so that a study killed between still knows it.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self._note({**self._published, **{name: measure_text(one) for name, one in texts.items()}})
        for name, text in texts.items():
            self.write_text(name, text, flush=True)

    def retire(self, names: Collection[str]) -> None:
        """Remove what was published except these names; a changed file stays.

        Raises:
            CannotWrite: the folder cannot be written any more.
        """
        for name in self._published.keys() - names:
            if self.holds(name, self._published[name], verify=True):
                self.delete(name)
        self._note({name: self._published[name] for name in names})

    def _note(self, files: Files) -> None:
        self._published = files
        self.write_record(study=self.title, files=files)
