"""Bring images from the network or from standard input into a file, where they are kept.

An address is fetched once: the file stays among the caches, so that a run goes on with the same.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import Any

from ovsskit.errors import NoImages, Place, shorten
from ovsskit.files.cache import cache_folder
from ovsskit.files.names import safe_name
from ovsskit.files.writing import write_whole

MOST_BYTES = 500_000_000
"""The largest file that is brought."""
CHUNK = 1 << 20
SECONDS = 60.0
"""After so long without an answer an address is given up."""
STANDARD_INPUT = "-"

log = logging.getLogger(__name__)


def is_address(text: str) -> bool:
    """Tell whether a text is the address of a file on the network."""
    return text.lower().startswith(("http://", "https://"))


def fetch(address: str) -> Path:
    """Return the file that an address names, fetched unless it was before.

    Raises:
        NoImages: there is no such file, it cannot be had, or it has more than `MOST_BYTES`.
        CannotWrite: the caches cannot be written.
    """
    last = urllib.parse.unquote(address.partition("?")[0].partition("#")[0]).rpartition("/")[2]
    path = _place(hashlib.sha256(address.encode()).hexdigest(), safe_name(last) or "image")
    if path.is_file():
        return path
    where = Place(shorten(address))
    try:
        with web_opener().open(address, timeout=SECONDS) as answer:
            write_whole(path, lambda file: _copy(answer, file, where))
    except urllib.error.HTTPError as error:
        error.close()
        what = f"The address answers {error.code}: {error.reason}."
        raise NoImages(what, where=where) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NoImages(f"The address cannot be reached: {reason}.", where=where) from error
    log.info("%s is kept as %s", address, path)
    return path


def keep_input() -> Path:
    """Return a file with what standard input holds, named for its content.

    Raises:
        NoImages: it holds nothing, or more than `MOST_BYTES`.
        CannotWrite: the caches cannot be written.
    """
    content, where = BytesIO(), Place("standard input")
    _copy(sys.stdin.buffer, content, where)
    if not content.getbuffer():
        raise NoImages("Standard input is empty.", fix="Send the bytes of an image.", where=where)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()
    path = _place(digest, f"stdin_{digest[:16]}")
    if not path.is_file():
        write_whole(path, lambda file: file.write(content.getbuffer()))
    return path


def _place(digest: str, name: str) -> Path:
    return cache_folder() / "inputs" / digest[:16] / name


def _copy(source: Any, target: Any, where: Place) -> None:
    """Copy a stream, unless it is too long."""
    written = 0
    while content := source.read(CHUNK):
        written += len(content)
        if written > MOST_BYTES:
            what = f"It has more than {MOST_BYTES / 1e6:,.0f} MB."
            raise NoImages(what, fix="Save it as a file, and name that.", where=where)
        target.write(content)


def web_opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses of the web alone, also where one leads on to another."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "ovsskit")]
    return opener
