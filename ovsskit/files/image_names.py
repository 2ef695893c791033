"""Name images for the files that are made of them: as they lie in the folders that were named."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ovsskit.files.names import safe_name
from ovsskit.files.remote import RemotePath


def name_images(
    paths: Sequence[Path],
    name_of: Callable[[str], str | None],
    taken: Iterable[str],
    roots: Sequence[Path] = (),
) -> list[str]:
    """Give every image a unique name: its path below the outermost root, without its ending.

    Parts of a name are separated by `/`. Outside of all roots it is the stem. Images that would
    share a name get the name of their folder before it, else their ending after it, else a digest
    of their path; so no name depends on the order of the images. `name_of` returns the name that
    was given to a full path before, or None; `taken` are all those names, and they are kept.
    """
    tops = sorted({str(_whole(root)) for root in roots}, key=len)
    names = {source: name for source in map(_full, paths) if (name := name_of(source))}
    used = {name.casefold() for name in taken}
    missing = {source: path for path in paths if (source := _full(path)) not in names}
    for form in FORMS:
        tried = {source: form(path, tops) for source, path in missing.items()}
        counts = Counter(name.casefold() for name in tried.values())
        given = {
            source: name
            for source, name in tried.items()
            if counts[name.casefold()] == 1 and name.casefold() not in used
        }
        used |= {name.casefold() for name in given.values()}
        names |= given
        missing = {source: path for source, path in missing.items() if source not in given}
    return [names[_full(path)] for path in paths]


def _full(path: Path) -> str:
    return str(path.absolute())


def _whole(path: Path) -> Path:
    if isinstance(path, RemotePath):
        return path
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are


def _mirror(path: Path, tops: Sequence[str]) -> str:
    """Return the path below the outermost root, in parts that every file system takes."""
    whole = _whole(path)
    top = next((one for one in tops if whole.is_relative_to(one)), whole.parent)
    *folders, last = whole.relative_to(top).parts or (whole.name,)
    stem = safe_name(Path(last).stem) or "image"
    return "/".join([*(safe_name(one) or "folder" for one in folders), stem])


def _with_folder(path: Path, tops: Sequence[str]) -> str:
    name = _mirror(path, tops)
    depth = name.count("/") + 1
    parents = _whole(path).parents
    return f"{safe_name(parents[min(depth, len(parents)) - 1].name) or 'folder'}/{name}"


def _with_ending(path: Path, tops: Sequence[str]) -> str:
    return _ended(_with_folder(path, tops), path.suffix.replace(".", "_").lower())


def _with_digest(path: Path, tops: Sequence[str]) -> str:
    digest = hashlib.sha256(os.fsencode(_full(path))).hexdigest()
    return _ended(_with_folder(path, tops), f"_{digest[:16]}")


def _ended(name: str, ending: str) -> str:
    folder, _, last = name.rpartition("/")
    return f"{folder}/{safe_name(last, safe_name(ending))}"


FORMS: tuple[Callable[[Path, Sequence[str]], str], ...] = (
    _mirror,
    _with_folder,
    _with_ending,
    _with_digest,
)
"""The names that are tried, from the plainest on; no two images have the same of the last."""
