"""Fetch small files published outside the model hub, and check that they are the right ones."""

from __future__ import annotations

import hashlib
import urllib.error
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from ovsskit.errors import BadWeights, MissingWeights, Place
from ovsskit.files.bringing import web_opener
from ovsskit.files.cache import cache_folder
from ovsskit.files.writing import write_whole
from ovsskit.hub.weights import Published, WeightsInfo, describe_part

PUBLISHED = "published"
"""What a parameter says that means the file of the authors."""
SECONDS = 30.0
"""After so long without an answer the address is given up."""


class PublishedFile(NamedTuple):
    """Hold where a file is published, its SHA-256, its bytes, and the name it is kept under."""

    address: str
    sha256: str
    size: int
    kept_as: str

    @property
    def path(self) -> Path:
        """Return where the file is kept, under a name that changes with its content."""
        name = Path(self.kept_as)
        return cache_folder() / "weights" / f"{name.stem}_{self.sha256[:16]}{name.suffix}"


def need_file(
    named: str,
    published: PublishedFile,
    fix: str,
    convert: Callable[[bytes], bytes] = bytes,
) -> Path:
    """Return a file that is named, or the published one, which is fetched once and kept converted.

    Raises:
        MissingWeights: it cannot be fetched, or is not the file that was published.
        BadWeights: there is no file of this name.
        CannotWrite: the user's caches cannot be written.
    """
    path = published.path if named == PUBLISHED else Path(named).expanduser()
    if path.is_file():
        return path
    if named != PUBLISHED:
        raise BadWeights("There is no such file.", fix=fix, where=Place(str(path)))
    content = convert(fetch_published(*published[:3]))
    write_whole(path, lambda file: file.write(content))
    return path


def describe_file(named: str, published: PublishedFile, known: Published) -> WeightsInfo:
    """Say what is known of a file that is named, or of the published one; fetch nothing."""
    if named == PUBLISHED:
        return describe_part(Path(published.address).name, published.path, known)
    return describe_part(named, Path(named).expanduser(), None)


def fetch_published(address: str, sha256: str, size: int) -> bytes:
    """Return the content of a file of `size` bytes whose SHA-256 is known.

    Raises:
        MissingWeights: it cannot be fetched, or is not the file that is meant.
    """
    fix = "Connect to the network and run the same command again, or fetch it where there is one."
    try:
        with web_opener().open(address, timeout=SECONDS) as answer:
            content: bytes = answer.read(size + 1)
    except urllib.error.HTTPError as error:
        error.close()
        what = f"{address} cannot be fetched: it answers {error.code} ({error.reason})."
        raise MissingWeights(what, fix=fix) from error
    except (OSError, HTTPException, ValueError) as error:
        what = f"{address} cannot be fetched: {getattr(error, 'reason', error)}."
        raise MissingWeights(what, fix=fix) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        what = f"{address} is not the published file: it was changed, or damaged in transit."
        there = f"Its SHA-256 is {found}; {sha256} is expected."
        raise MissingWeights(what, there=there, fix="It is not used. Run the same command again.")
    return content
