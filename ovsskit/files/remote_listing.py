"""List the images below remote folders, and those that remote globs name."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ovsskit.errors import NoImages, Place
from ovsskit.files.own.kinds import HEAD, KINDS
from ovsskit.files.remote import (
    RemotePath,
    bare,
    file_system,
    remote_path,
    see_address,
    stamp_from,
    telling,
)
from ovsskit.files.videos import CONTAINERS

Takes = Callable[[Path], bool]


def list_remote(text: str, takes: Takes, found_results: Callable[[Path], None]) -> list[RemotePath]:
    """Return the images that a remote file, folder or glob names, sorted.

    `takes` tells images from other files of folders and globs. Hidden files are left out, and so
    are folders of earlier results, of which `found_results` is told.

    Raises:
        NoImages: it cannot be listed, or is a video.
        MissingExtra: a package is missing.
    """
    see_address(text)
    with telling(text, NoImages):
        files, stem = file_system(text), bare(text)
        if glob.has_magic(text) and not files.exists(stem):
            found = files.glob(stem, detail=True)
            each = [(name, info) for name, info in found.items() if info["type"] == "file"]
            paths = (_path(text, name, info) for name, info in each)
            return sorted(path for path in paths if takes(path))
        try:
            info = files.info(stem)
        except FileNotFoundError:
            return []
        if info["type"] != "directory":
            if remote_path(text).suffix.lower() in CONTAINERS:
                fix = "Copy it to this machine, and name the copy."
                raise NoImages("Videos cannot be read remotely.", fix=fix, where=Place(text))
            return [remote_path(text, stamp_from(info))]
        return sorted(_walk(text, stem, takes, found_results))


def root_of(text: str) -> RemotePath:
    """Return the folder below which a remote file, folder or glob names images."""
    path = remote_path(text.rstrip("/"))
    with telling(text, NoImages):
        if file_system(text).isdir(bare(text)):
            return path
    parts = path.parts
    magic = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return remote_path(f"{parts[0]}//{'/'.join(parts[1:magic])}")


def _walk(
    text: str, stem: str, takes: Takes, found_results: Callable[[Path], None]
) -> Iterator[RemotePath]:
    for where, folders, names in file_system(text).walk(stem, detail=True, on_error="raise"):
        listed = {name: _path(text, info["name"], info) for name, info in names.items() if name}
        if any(HEAD.match(listed[one].read_start(200)) for one in KINDS if one in listed):
            found_results(remote_path(_address(text, where)))
            folders.clear()
            continue
        for name in [one for one in folders if one.startswith(".")]:
            del folders[name]
        yield from (path for name, path in listed.items() if name[0] != "." and takes(path))


def _path(text: str, name: str, info: dict[str, Any]) -> RemotePath:
    return remote_path(_address(text, name), stamp_from(info))


def _address(text: str, name: str) -> str:
    """Return the address of a file that a file system names, in the scheme of another address."""
    return f"{text.partition('://')[0]}://{name.lstrip('/')}"
