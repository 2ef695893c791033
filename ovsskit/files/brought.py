"""Read a folder that a command left: on this machine where it is, else file by file as needed."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import OrderedDict
from pathlib import Path

from ovsskit.errors import BadFile, CannotWrite
from ovsskit.files.remote import meant_path
from ovsskit.files.remote_folder import open_remote

MOST = 16
"""How many files of a remote folder are on this machine at a time, beside those that stay."""


class Brought:
    """Find the files of a folder on this machine; those of a remote one are brought here.

    `folder` holds those that stay, under their names. The others are gone when `MOST` more have
    been asked for, and all when this object is.
    """

    def __init__(self, folder: Path, *stays: str) -> None:
        """Bring what stays, if it is there.

        Raises:
            BadFile: the folder cannot be reached.
        """
        self._remote = open_remote(folder)
        self.folder = meant_path(folder)
        if self._remote is not None:
            self.folder = Path(tempfile.mkdtemp(prefix="ovsskit-"))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._stays = stays
        self._others: OrderedDict[str, Path] = OrderedDict()
        self._count = 0
        for name in stays:
            self._bring(name, self.folder / name)

    def path(self, name: str) -> Path:
        """Return where a file is; there is none at that place if there is none in the folder.

        Raises:
            BadFile: the folder cannot be reached.
        """
        if self._remote is None or name in self._stays:
            return self.folder / name
        if name not in self._others:
            if len(self._others) == MOST:
                self._others.popitem(last=False)[1].unlink(missing_ok=True)
            self._count += 1
            self._others[name] = self.folder / f"{self._count}{Path(name).suffix}"
            self._bring(name, self._others[name])
        self._others.move_to_end(name)
        return self._others[name]

    def _bring(self, name: str, path: Path) -> None:
        if self._remote is not None:
            try:
                self._remote.bring(name, path)
            except CannotWrite as error:
                raise BadFile(error.what, fix=error.fix, where=error.where) from error
