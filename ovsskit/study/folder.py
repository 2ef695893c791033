"""The folder of a study, and the record of what was written into it.

study.json      the record: what the folder is, and every file that the study published
study.journal   the trials, unless a server keeps them
trials.json     the trials, from which studies are compared
best.toml       the best recipe; front/ holds those of the Pareto front
index.html      the report
store/          what networks wrote
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from ovsskit._version import __version__
from ovsskit.files.own import STUDY, Files, OwnFolder, Written, measure_text, read_files


class StudyFolder(OwnFolder):
    """Hold the folder of one study, locked."""

    def __init__(self, path: Path, title: str) -> None:
        """Make, lock and read the folder.

        Raises:
            BadOutput: it cannot be written, another study is writing into it, or it holds something else.
        """
        super().__init__(path, STUDY)
        self.title = title
        try:
            self._published = self._read()
            self._note(self._published)
        except BaseException:
            self.close()
            raise

    def publish(self, texts: Mapping[str, str]) -> None:
        """Write files, each named by its path in the folder.

        The record names a file before it is there, so that a study killed meanwhile knows it later.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self._note({**self._published, **{name: measure_text(one) for name, one in texts.items()}})
        for name, text in texts.items():
            self.write_text(name, text, flush=True)

    def retire(self, names: Collection[str]) -> None:
        """Remove what was published but for these names; a file that somebody has changed since stays.

        Raises:
            CannotWrite: the folder cannot be written any more.
        """
        for name in self._published.keys() - names:
            if self.holds(name, self._published[name], verify=True):
                self.delete(name)
        self._note({name: self._published[name] for name in names})

    def _note(self, files: Files) -> None:
        self._published = files
        plain = {"ovsskit": __version__, "study": self.title, "files": files}
        self.write_text(STUDY, json.dumps(plain, indent=1), flush=True)

    def _read(self) -> dict[str, Written]:
        if not self.is_claimed:
            return {}
        try:
            plain = json.loads((self.path / STUDY).read_text(encoding="utf-8"))
            return dict(read_files(plain["files"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self.broken() from error
