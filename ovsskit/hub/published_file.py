"""Fetch a small file that its authors publish outside the model hub, and check it is the one."""

from __future__ import annotations

import hashlib
import urllib.error
from http.client import HTTPException

from ovsskit.errors import MissingWeights
from ovsskit.files.bringing import web_opener

SECONDS = 30.0
"""After so long without an answer the address is given up."""


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
        what = f"{address} is not the file that was published: it is changed, or came damaged."
        there = f"Its SHA-256 is {found}; {sha256} is expected."
        raise MissingWeights(what, there=there, fix="It is not used. Run the same command again.")
    return content
