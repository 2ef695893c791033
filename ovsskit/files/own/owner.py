"""Refuse folders of other people, and those that hold what another command left."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ovsskit.errors import BadOutput, Place
from ovsskit.files.own.kinds import HEAD, KINDS, is_record, one_of
from ovsskit.files.own.traces import PARTS, is_trace, links_in
from ovsskit.files.remote_folder import RemoteFolder
from ovsskit.files.remote_journal import JOURNAL

FIX = "Name another folder with --out."


def see_owner(path: Path, record: str, may_be_link: Callable[[Path], bool]) -> None:
    """Check that a folder of this machine is not there, is empty, or is marked by this record.

    `may_be_link` tells of a symbolic link whether it is one that was made there.

    Raises:
        BadOutput: it holds anything else or a symbolic link, or cannot be read.
    """
    if not path.is_dir():
        return
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208 - names are what is asked for
        link = next((one for one in links_in(path) if not may_be_link(one)), None)
    except OSError as error:
        what = f"The output folder cannot be read: {error.strerror or error}."
        raise BadOutput(what, fix=FIX, where=Place(str(path))) from error
    records = [name for name in KINDS if is_record(path / name)]
    _see_foreign(path, record, records, [one for one in names if not is_trace(path / one)])
    if record in records and link is not None:
        what = "A symbolic link is in the folder, and nothing is written through links."
        fix = "Remove the link, or name another folder with --out."
        raise BadOutput(what, fix=fix, where=Place(str(link)))


def see_remote_owner(remote: RemoteFolder, where: Path, record: str) -> None:
    """Check that a remote folder is not there, is empty, or is marked by this record.

    Raises:
        BadOutput: it holds anything else.
        CannotWrite: it cannot be reached.
    """
    entries = remote.entries()
    names = [one.name for one in entries if one.name not in (PARTS, JOURNAL)]
    sizes = {one.name: one.size for one in entries if not one.is_folder}
    heads = {name: remote.read(name, min(sizes[name], 200)) for name in KINDS if sizes.get(name)}
    _see_foreign(where, record, [name for name, head in heads.items() if HEAD.match(head)], names)


def broken_record(where: Path, record: str) -> BadOutput:
    """Return the error that says that the record cannot be read."""
    what = f"The record of the {KINDS[record]} in this folder is broken."
    fix = "Name another folder with --out, or remove this one."
    return BadOutput(what, fix=fix, where=Place(str(where / record)))


def _see_foreign(where: Path, record: str, records: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a folder by the records of ours that are in it, and what else there is."""
    if record in records:
        return
    if record in names:
        raise broken_record(where, record)
    if records:
        what = f"The folder holds {one_of(records[0])}, not {one_of(record)}."
        raise BadOutput(what, fix=FIX, where=Place(str(where)))
    if names:
        what = f"The folder holds files that belong to no {KINDS[record]}."
        there = f"It has `{names[0]}`, but no `{record}`."
        raise BadOutput(what, there=there, fix=FIX, where=Place(str(where)))
