"""A folder of ours with a record in JSON, which says what the folder is and what is in it.

The record is flushed to disk before it is renamed: after a power cut it is whole.
"""

from __future__ import annotations

import json
import platform
from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ovsskit._version import __version__
from ovsskit.engine.identity import differences
from ovsskit.errors import BadFile, BadOutput, Place
from ovsskit.files.own.kinds import KINDS
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.files.own.owner import broken_record
from ovsskit.files.shard import WHOLE, Shard

PACKAGES = (
    "torch",
    "transformers",
    "open_clip_torch",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "numpy",
    "pillow",
    "pillow-heif",
    "imagecodecs",
    "tifffile",
    "kornia",
    "scikit-image",
    "rasterio",
)
SHOWN = 4
"""Differences to another identity that are named."""


class RecordedFolder(OwnFolder, ABC):
    """Hold a folder that is locked for what has this identity, and go on from its record."""

    def __init__(
        self, path: Path, record: str, identity: dict[str, Any], shard: Shard = WHOLE
    ) -> None:
        """Make, lock and read the folder.

        Raises:
            BadOutput: it cannot be written, is in use, or holds other files or work of another
                identity.
        """
        super().__init__(path, record, shard)
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        try:
            self.begin()
            if not (self.is_claimed and self._read()) and not shard.is_whole:
                self.claim()
            self.share()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def begin(self) -> None:
        """Hold what a new folder holds."""

    @abstractmethod
    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says; any error of its form is told as that of a broken record."""

    def claim(self) -> None:
        """Write the record of a folder in which nothing is done yet, for all shards.

        Only folders that shards may share need it.
        """
        raise NotImplementedError

    def share(self) -> None:
        """Let other shards work in the folder, also."""
        if not self.shard.is_whole:
            self.let_others()

    @property
    def holds_work(self) -> bool:
        """Tell whether something would be lost if the folder became another's."""
        return True

    def write_record(self, **plain: Any) -> None:
        """Write the record.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        text = json.dumps({"ovsskit": __version__, **plain}, indent=1)
        self.write_text(self.record, text, flush=True)

    def _read(self) -> bool:
        """Go on from the record; return whether it is of the same identity."""
        try:
            plain = json.loads((self.path / self.record).read_text(encoding="utf-8"))
            changed = differences(plain["identity"], self.identity) if self.identity else []
            self.restore(plain)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadFile) as error:
            raise broken_record(self.where, self.record) from error
        if changed and (self.others or self.holds_work):
            more = [f"and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else []
            raise BadOutput(
                f"The folder holds another {KINDS[self.record]}.",
                there="; ".join([*changed[:SHOWN], *more]),
                fix="Name another folder with --out, or remove this one.",
                where=Place(str(self.where)),
            )
        if changed:
            self.begin()
        return not changed


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
