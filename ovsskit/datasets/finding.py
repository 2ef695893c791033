"""Find lists, images and masks in a folder by the patterns of a layout."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ovsskit.datasets.layout import Layout, Split
from ovsskit.errors import BadFile, Place, first_of, shorten
from ovsskit.files.reading import Unreadable, read_text


class Absent(Exception):
    """Tell which files of a layout are there and which are not."""

    def __init__(self, there: Sequence[str], missing: str) -> None:
        super().__init__(missing)
        self.there, self.missing = there, missing


def check_all_there(
    folder: Path, split: Split, found: Mapping[str, frozenset[str]], wanted: Sequence[str]
) -> None:
    """See that a folder has all files of a split; `found` are the ids of each pattern's files.

    Raises:
        BadFile: some are missing.
    """
    missing = [
        pattern.replace("{id}", one)
        for pattern, ids in found.items()
        for one in wanted
        if one not in ids
    ]
    if missing:
        be = "are" if missing[1:] else "is"
        what = f"{len(missing)} images or masks of the split {split.name} {be} missing."
        there = f"Such as: {first_of(missing, most=3)}. The split has {len(wanted)} images."
        fix = "Fetch them again: results on a part are not what papers report."
        raise BadFile(what, there=there, fix=fix, where=Place(str(folder)))


def fill(pattern: str, split: Split) -> str:
    """Return a pattern with the split's name put in."""
    return pattern.replace("{split}", split.name).replace("{list}", split.list or split.name)


def find_ids(folder: Path, pattern: str, id: str) -> frozenset[str]:
    """Return the ids, which are of the form `id`, of the files in a folder that a pattern names."""
    stars = "/".join("*" * (id.count("/") + 1))
    head, tail = map(re.escape, pattern.split("{id}"))
    matches = re.compile(f"{head}({id}){tail}").fullmatch
    literal = glob.escape(pattern).replace("{id}", stars)
    names = glob.iglob(literal, root_dir=folder)  # noqa: PTH207 - texts take less than paths
    found = (matches(name.replace(os.sep, "/")) for name in names)
    return frozenset(one[1] for one in found if one)


def read_list(path: Path, id: str) -> list[str]:
    """Return the ids in a list of images, one on each line.

    Raises:
        BadFile: it cannot be read, is empty, names an image twice, or names what is not an image.
    """
    try:
        lines = read_text(path).splitlines()
    except Unreadable as error:
        what = f"The list of images cannot be read: {error}."
        raise BadFile(what, where=Place(str(path))) from error
    ids = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        if not re.fullmatch(id, line):
            what = f"`{shorten(line)}` is not the name of an image of this data set."
            fix = "The list has one name on each line, without folder and ending."
            raise BadFile(what, fix=fix, where=Place(str(path), number))
        ids.append(line)
    if not ids:
        raise BadFile("The list of images is empty.", where=Place(str(path)))
    twice = [one for one, times in Counter(ids).items() if times > 1]
    if twice:
        what = f"The list names images more than once: {first_of(twice, most=3)}."
        raise BadFile(what, fix="Name each once.", where=Place(str(path)))
    return ids


def best_pattern(
    patterns: Sequence[str],
    layout: Layout,
    folder: Path,
    split: Split,
    wanted: Sequence[str] | None,
    there: list[str],
) -> tuple[str, frozenset[str]]:
    """Return the pattern that has most of the wanted files, and the ids of its files.

    The pattern is added to those that are `there`.

    Raises:
        Absent: no file matches.
    """
    filled = [fill(one, split) for one in patterns]
    found = [(one, find_ids(folder, one, layout.id)) for one in filled]
    chosen = max(found, key=lambda one: len(one[1] if wanted is None else one[1] & {*wanted}))
    if not chosen[1]:
        raise Absent(there, filled[0])
    there.append(chosen[0])
    return chosen
