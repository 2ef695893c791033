"""Mark the folders in which things are kept that can be made again."""

from __future__ import annotations

import re
from pathlib import Path

from ovsskit.errors import BadOutput, Place
from ovsskit.files.own.traces import PART_NAME
from ovsskit.files.writing import make_folder, write_text

TAG = "CACHEDIR.TAG"
TAGGED = """Signature: 8a477f597d28d172789f06886806bc55
# Kept by ovsskit. Whatever is missing here is made again.
"""
"""Mark of cache folders (bford.info/cachedir), with a line that names this package."""


def claim_cache(folder: Path, kept: re.Pattern[str]) -> None:
    """Make and mark a cache folder; `kept` matches the names of the files that it holds.

    Raises:
        BadOutput: it holds anything else, or cannot be written.
    """
    make_folder(folder)
    tag = folder / TAG
    try:
        if not tag.is_symlink() and tag.is_file() and tag.read_bytes() == TAGGED.encode():
            return
        names = [one.name for one in folder.iterdir() if not PART_NAME.fullmatch(one.name)]
    except OSError as error:
        what = f"The folder cannot be read: {error.strerror or error}."
        raise BadOutput(what, fix="Name another.", where=Place(str(folder))) from error
    strange = next((name for name in names if not kept.fullmatch(name)), None)
    if strange is not None:
        what = "The folder holds files that were not kept there by ovsskit."
        there = f"It has `{strange}`, but no `{TAG}` of ovsskit."
        raise BadOutput(what, there=there, fix="Name another.", where=Place(str(folder)))
    write_text(tag, TAGGED)
