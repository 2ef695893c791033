"""Find the images that a person names: files, folders, globs and lists."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ovsskit.errors import BadImage, NoImages, Place, shorten
from ovsskit.files.names import safe_name
from ovsskit.files.own import is_ours
from ovsskit.files.reading import Unreadable, read_text, why_no_path

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
    | {".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".heic", ".heif", ".hif"}
)
"""Endings by which folders and globs tell images from other files, in any case."""

MAX_PIXELS = 50_000_000
"""The largest image that is read by default (8660 x 5773): half a gigabyte as numbers."""


def see_size(width: int, height: int, max_pixels: int) -> None:
    """See that an image is not too large.

    Raises:
        BadImage: it is.
    """
    if width * height > max_pixels:
        what = f"It is {width} x {height} pixels large, more than the {max_pixels:,} that are read."
        raise BadImage(what, fix="Make it smaller, or allow more with --max-pixels.")


def find_images(inputs: str | Sequence[str]) -> list[Path]:
    """Return the images that these inputs name, in order and each once.

    A file is taken whatever its ending. A folder gives every image in it and in its folders,
    sorted, hidden ones left out; so does a glob (`**` goes into folders). Both leave out folders
    that are ours (`is_ours`), and say so; what is inside one counts only where it is named itself.
    A `.txt` file is a list: one file, folder or glob on each line, relative to the list; blank
    lines and lines that start with `#` are passed over, and what a list names need not exist yet.

    Raises:
        NoImages: an input does not exist, or holds no image.
    """
    found: dict[str, Path] = {}
    results: set[Path] = set()
    for text in [inputs] if isinstance(inputs, str) else inputs:
        images = list(_read_list(Path(text), results) if _is_list(text) else _expand(text, results))
        if not images:
            raise _nothing(text, _left_out(results))
        for path in images:
            found.setdefault(os.path.realpath(path), path)
    if results:
        log.info("%s", _left_out(results))
    return list(found.values())


def name_images(paths: Sequence[Path], known: Mapping[str, str]) -> list[str]:
    """Give every image a unique name for its files: its stem, if needed with folder or number.

    `known` holds the names given before, by full path; they are kept.
    """
    sources = [str(path.absolute()) for path in paths]
    taken = {name.casefold() for name in known.values()}
    stems = Counter(path.stem.casefold() for path in paths)
    names = []
    for path, source in zip(paths, sources, strict=True):
        name = known.get(source, "")
        if not name:
            stem = path.stem
            if stems[stem.casefold()] > 1:
                stem = f"{path.absolute().parent.name}_{stem}"
            name = next(one for one in _numbered(stem) if one.casefold() not in taken)
            taken.add(name.casefold())
        names.append(name)
    return names


def _numbered(stem: str) -> Iterator[str]:
    first = safe_name(stem) or "image"
    yield first
    number = 2
    while True:
        yield safe_name(first, f"_{number}")
        number += 1


def _is_list(text: str) -> bool:
    return text.lower().endswith(".txt") and not why_no_path(text) and Path(text).is_file()


def _expand(text: str, results: set[Path]) -> list[Path]:
    """Return the images that a file, folder or glob names.

    Folders of earlier results are left out and collected in a set.
    """
    if why_no_path(text):
        return []
    path = Path(text).expanduser()
    if path.is_dir():
        return sorted(_walk(path, results))
    if path.exists() or not glob.has_magic(text):
        return [path] if path.exists() else []
    matches = glob.glob(_pattern(path), recursive=True)  # noqa: PTH207 - takes absolute ones too
    root, known, found = _named(path), dict[Path, Path | None](), []
    for one in sorted(map(Path, matches)):
        if one.suffix.lower() in SUFFIXES and one.is_file():
            result = _result_around(one.parent, root, known)
            if result is None:
                found.append(one)
            else:
                results.add(result)
    return found


def _named(path: Path) -> Path:
    """Return the folder that a glob names by its very name."""
    return next(folder for folder in (*path.parents, Path()) if folder.is_dir())


def _result_around(folder: Path, root: Path, known: dict[Path, Path | None]) -> Path | None:
    """Return the folder of earlier results that is or holds this folder; `known` caches answers."""
    if folder not in known:
        if is_ours(folder):
            known[folder] = folder
        else:
            inside = folder != root and folder != folder.parent
            known[folder] = _result_around(folder.parent, root, known) if inside else None
    return known[folder]


def _left_out(results: Collection[Path]) -> str:
    """Say which folders of earlier results were left out; nothing if there are none."""
    if not results:
        return ""
    count = "1 folder" if len(results) == 1 else f"{len(results)} folders"
    names = ", ".join(sorted(map(str, results))[:3])
    return f"left out: {count} of earlier results ({names}{', ...' if len(results) > 3 else ''})"


def _pattern(path: Path) -> str:
    """Return a glob that takes the names of existing folders literally, even with brackets."""
    there = _named(path)
    return str(Path(glob.escape(str(there))) / path.relative_to(there))


def _walk(folder: Path, results: set[Path]) -> Iterator[Path]:
    refused: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=refused.append):
        if is_ours(Path(where)):
            results.add(Path(where))
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in SUFFIXES and name[0] != ".":
                yield Path(where, name)
    if refused:
        names = ", ".join(str(error.filename) for error in refused[:3])
        more = ", ..." if refused[3:] else ""
        count = "1 folder" if len(refused) == 1 else f"{len(refused)} folders"
        log.warning("%s cannot be read, and what is in it is left out: %s%s", count, names, more)


def _read_list(path: Path, results: set[Path]) -> Iterator[Path]:
    try:
        lines = read_text(path).splitlines()
    except Unreadable as error:
        what = f"The list of images cannot be read: {error}."
        raise NoImages(what, where=Place(str(path))) from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            if reason := why_no_path(line):
                what = f"No file has the name `{shorten(line)}`: {reason}."
                raise NoImages(what, where=Place(str(path), number))
            entry = str(path.parent / line)
            yield from _expand(entry, results) or [Path(entry)]


def _nothing(text: str, left_out: str) -> NoImages:
    there = f"{left_out[:1].upper()}{left_out[1:]}"
    if reason := why_no_path(text):
        return NoImages(f"No file has such a name: {reason}.", where=Place(shorten(text)))
    if _is_list(text):
        return NoImages(
            "The list names no image.", fix="Write one file on each line.", where=Place(text)
        )
    if Path(text).is_dir():
        return NoImages(
            "This folder holds no image.",
            there=there,
            fix=f"Looked for: {' '.join(sorted(SUFFIXES))}",
            where=Place(text),
        )
    what = "No image matches." if glob.has_magic(text) else "There is no such file or folder."
    fix = "Name files, folders, globs, or a list (.txt)."
    return NoImages(what, there=there, fix=fix, where=Place(text))
