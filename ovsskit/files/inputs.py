"""Find the images that a person names: files, folders, globs and lists."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ovsskit.errors import NoImages, Place, shorten
from ovsskit.files.bringing import STANDARD_INPUT, fetch, is_address, keep_input
from ovsskit.files.own.kinds import is_ours
from ovsskit.files.reading import Unreadable, read_text, why_no_path
from ovsskit.files.remote import RemotePath, as_local, image_path, is_remote, see_address
from ovsskit.files.remote_listing import list_remote, root_of
from ovsskit.files.signatures import begins_as_image
from ovsskit.files.sizes import MAX_PIXELS as MAX_PIXELS
from ovsskit.files.videos import is_video, list_frames

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"}
    | {".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".heic", ".heif", ".hif"}
)
"""Endings by which folders and globs tell images from other files, in any case."""


@dataclass
class LeftOut:
    """Collect what was met in folders and globs and is no image: folders of results, and files."""

    results: set[Path] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)

    def takes(self, path: Path) -> bool:
        """Tell whether a file is an image, by its ending or, without one, by how it begins."""
        ending = path.suffix.lower()
        if ending in SUFFIXES or (not ending and begins_as_image(path)):
            return True
        self.files.add(path)
        return False

    def describe(self) -> str:
        """Say what was left out; nothing if that is nothing."""
        endings = Counter(path.suffix.lower() or "without an ending" for path in self.files)
        kinds = sorted(endings.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{count} {ending}" for ending, count in kinds)
        files = f"{_count(len(self.files), 'file')} left out: {named}" if kinds else ""
        shown = ", ".join(sorted(map(str, self.results))[:3])
        shown += ", ..." if len(self.results) > 3 else ""
        folders = f"{_count(len(self.results), 'folder')} of earlier results left out: {shown}"
        return "; ".join(filter(None, (folders if self.results else "", files)))


@dataclass(frozen=True)
class Found:
    """Hold the images that were found, the folders that were looked through, and what is none."""

    images: list[Path]
    roots: tuple[Path, ...] = ()
    left_out: str = ""


def find_images(inputs: str | Sequence[str]) -> list[Path]:
    """Return the images that these inputs name; see `search_images`.

    Raises:
        NoImages: an input does not exist, or holds no image.
    """
    return search_images(inputs).images


def search_images(inputs: str | Sequence[str]) -> Found:
    """Find the images that these inputs name, in order and each once.

    A file is taken whatever its ending; of a video, every frame. A folder gives every image in it
    and in its folders, sorted, hidden ones left out; so does a glob (`**` goes into folders). Both
    leave out folders that `run`, `study` or `fit` wrote, and files of which neither ending nor
    content is an image's, and say so; what is inside a folder of results counts only where it is
    named itself. A `.txt` file is a list: one file, folder or glob on each line, relative to the
    list; blank lines and lines that start with `#` are passed over, and what a list names need not
    exist yet. Addresses (`https://...`) are fetched, and `-` is standard input. Remote files,
    folders, globs and lists (`s3://...`) are those of fsspec, and are read when they are needed.

    Raises:
        NoImages: an input does not exist, or holds no image.
    """
    found: dict[str, Path] = {}
    texts = [inputs] if isinstance(inputs, str) else inputs
    left_out, roots = LeftOut(), list[Path]()
    for text in map(_bring, texts):
        images = list(
            _read_list(image_path(text), left_out) if _is_list(text) else _expand(text, left_out)
        )
        if not images:
            raise _nothing(text, left_out.describe())
        roots.append(_root(text))
        for path in images:
            found.setdefault(_identity(path), path)
    left_out.files -= {*found.values(), *(path.parent for path in found.values())}
    said = left_out.describe()
    if said:
        log.info("%s", said)
    return Found(list(found.values()), tuple(roots), said)


def _bring(text: str) -> str:
    """Return the file into which an address or standard input was brought, else the text itself."""
    if text == STANDARD_INPUT:
        return str(keep_input())
    return str(fetch(text)) if is_address(text) else as_local(text)


def _identity(path: Path) -> str:
    return str(path) if isinstance(path, RemotePath) else os.path.realpath(path)


def _root(text: str) -> Path:
    """Return the folder below which an input names images."""
    if is_remote(text):
        return root_of(text)
    path = Path(text).expanduser()
    if path.is_dir():
        return path
    return _named(path) if glob.has_magic(text) and not path.exists() else path.parent


def _is_list(text: str) -> bool:
    if not text.lower().endswith(".txt"):
        return False
    return is_remote(text) or (not why_no_path(text) and Path(text).is_file())


def _expand(text: str, left_out: LeftOut) -> list[Path]:
    """Return the images that a file, folder or glob names.

    Folders of earlier results, and files that are no images, are left out and collected.
    """
    if is_remote(text):
        return [*list_remote(text, left_out.takes, left_out.results.add)]
    if why_no_path(text):
        return []
    path = Path(text).expanduser()
    if path.is_dir():
        return sorted(_walk(path, left_out))
    if path.exists() or not glob.has_magic(text):
        return list_frames(path) if is_video(path) else [path] if path.exists() else []
    matches = glob.glob(_pattern(path), recursive=True)  # noqa: PTH207 - takes absolute ones too
    root, known, found = _named(path), dict[Path, Path | None](), []
    for one in sorted(map(Path, matches)):
        if not one.is_file():
            continue
        result = _result_around(one.parent, root, known)
        if result is not None:
            left_out.results.add(result)
        elif left_out.takes(one):
            found.append(one)
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


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number > 1)}"


def _pattern(path: Path) -> str:
    """Return a glob that takes the names of existing folders literally, even with brackets."""
    there = _named(path)
    return str(Path(glob.escape(str(there))) / path.relative_to(there))


def _walk(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    refused: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=refused.append):
        if is_ours(Path(where)):
            left_out.results.add(Path(where))
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name[0] != "." and left_out.takes(Path(where, name)):
                yield Path(where, name)
    if refused:
        names = ", ".join(str(error.filename) for error in refused[:3])
        more = ", ..." if refused[3:] else ""
        text = "%s cannot be read, and its contents are left out: %s%s"
        log.warning(text, _count(len(refused), "folder"), names, more)


def _read_list(path: Path, left_out: LeftOut) -> Iterator[Path]:
    if isinstance(path, RemotePath):
        see_address(str(path))
    try:
        lines = read_text(path).splitlines()
    except Unreadable as error:
        what = f"The list of images cannot be read: {error}."
        raise NoImages(what, where=Place(str(path))) from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if is_address(line):
            yield fetch(line)
        elif is_remote(line):
            yield from _expand(as_local(line), left_out)
        elif line and not line.startswith("#"):
            if reason := why_no_path(line):
                what = f"No file has the name `{shorten(line)}`: {reason}."
                raise NoImages(what, where=Place(str(path), number))
            entry = str(path.parent / line)
            yield from _expand(entry, left_out) or [image_path(entry)]


def _nothing(text: str, left_out: str) -> NoImages:
    there = f"{left_out[:1].upper()}{left_out[1:]}"
    if reason := why_no_path(text):
        return NoImages(f"No file has such a name: {reason}.", where=Place(shorten(text)))
    if _is_list(text):
        return NoImages(
            "The list names no image.", fix="Write one file on each line.", where=Place(text)
        )
    if is_remote(text):
        what = "No image is there, or there is no such bucket, folder or file."
        return NoImages(what, there=there, where=Place(text))
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
