"""Name and read files in object stores and on other machines, through fsspec: `s3://bucket/key`.

Credentials and endpoints come from the environment, as each file system reads them, and are kept
nowhere.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from ovsskit.errors import (
    BadImage,
    CannotWrite,
    MissingExtra,
    NoImages,
    OvsskitError,
    Place,
    shorten,
)
from ovsskit.files.bringing import MOST_BYTES, is_address

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?=[^/])")
"""How a remote path begins; systems write two slashes as one."""
SECRET = re.compile(r"://[^/@]*:[^/@]*@")
LOCAL = re.compile(r"(file|local):(//)?(?=/)", re.IGNORECASE)
PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each further try of what broke off."""
TAGS = ("ETag", "etag", "generation", "md5Hash", "checksum", "sha256")
"""What file systems tell of a content; where there is none, the time of its change counts."""
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")

Stamp = tuple[int, int]

T = TypeVar("T")


class RemotePath(type(Path())):  # type: ignore[misc]  # the paths of this system
    """Hold the path of a remote file; parts of it are those of a local path.

    `stamp` is what a listing told: size, and a number that changes with the content.
    """

    address = ""
    stamp: Stamp | None = None

    def __str__(self) -> str:
        text = self.address or super().__str__().replace("\\", "/")
        return text if "://" in text else text.replace(":/", "://", 1)

    def __fspath__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return remote_path, (str(self), self.stamp)

    def absolute(self) -> RemotePath:
        """Return the path: it is whole."""
        return self

    def resolve(self, strict: bool = False) -> RemotePath:
        """Return the path: it is whole."""
        return self

    def open(self, mode: str = "rb", *more: Any, **options: Any) -> io.BytesIO:
        """Return the whole content, to be read; nothing is written here."""
        assert mode == "rb"
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Return the whole content; what breaks off is tried again.

        Raises:
            BadImage: it is not there, may not be read, breaks off again and again, or has more
                than `MOST_BYTES`.
        """
        size, _ = self.stamp or stamp_of_remote(self)
        with telling(self, BadImage):
            if size > MOST_BYTES:
                what = f"It has {size / 1e6:,.0f} MB, over the limit of {MOST_BYTES / 1e6:,.0f} MB."
                raise BadImage(what, where=Place(str(self)))

            def read() -> bytes:
                content: bytes = file_system(str(self)).cat_file(bare(self))
                if len(content) != size:
                    raise EOFError(f"{len(content)} of {size} bytes arrived")
                return content

            return trying(read)

    def read_start(self, most: int) -> bytes:
        """Return the first bytes; a smaller file gives what it has.

        Raises:
            OSError: it cannot be read.
        """
        size, _ = self.stamp or stamp_of_remote(self)
        if size == 0:
            return b""
        try:
            start: bytes = file_system(str(self)).head(bare(self), min(most, size))
        except OSError:
            raise
        except Exception as error:
            raise OSError(str(error)) from error
        return start


FINAL = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, ImportError, ValueError),
    NotImplementedError,
)
"""Errors that come again however often one tries."""


def trying(call: Callable[[], T]) -> T:
    """Return what a call gives; where it fails as networks do, it is tried three times more."""
    for pause in PAUSES:
        try:
            return call()
        except Exception as error:  # libraries raise whatever their networks do
            if isinstance(error, FINAL) or _lacks_credentials(error):
                raise
        time.sleep(pause)
    return call()


def is_remote(text: str) -> bool:
    """Tell whether a text names a remote file or folder that is not fetched from the web."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text)) and not is_address(text)


def as_local(text: str) -> str:
    """Return the path of a `file://` address, and any other text as it is."""
    return LOCAL.sub("", text)


def remote_path(address: str, stamp: Stamp | None = None) -> RemotePath:
    """Return the path of a remote file."""
    path = RemotePath(address)
    path.address, path.stamp = address, stamp
    return path


def meant_path(path: Path) -> Path:
    """Return the path that a person meant: of an address the remote path, or that of `file://`."""
    address = address_of(path)
    if LOCAL.match(address):
        return Path(as_local(address))
    return remote_path(address) if address else path


def image_path(source: str, stamp: Stamp | None = None) -> Path:
    """Return the path of an image by its full path or address."""
    return remote_path(source, stamp) if is_remote(source) else Path(source)


def address_of(path: Path) -> str:
    """Return the address that a path was meant to be (`s3:/bucket`); nothing for a plain one."""
    text = path.as_posix()
    if LOCAL.match(text):
        return SCHEME.sub(r"\1:///", text, count=1)
    return SCHEME.sub(r"\1://", text, count=1) if SCHEME.match(text) else ""


def file_system(address: str) -> Any:
    """Return what reads and writes an address.

    Raises:
        ImportError: a package is missing.
        ValueError: no file system has such a name.
    """
    import fsspec

    return fsspec.filesystem(address.partition("://")[0].lower(), use_listings_cache=False)


def bare(path: Path | str) -> str:
    """Return an address as its file system knows it, without the name of that."""
    text = str(path)
    found: str = file_system(text)._strip_protocol(text)
    return found


def stamp_of_remote(path: RemotePath) -> Stamp:
    """Return size and a number that changes with the content; zeros if there is no such file."""
    try:
        return stamp_from(file_system(str(path)).info(bare(path)))
    except FileNotFoundError:
        return 0, 0
    except Exception as error:
        raise _explain(error, path, BadImage) from error


def stamp_from(info: Mapping[str, Any]) -> Stamp:
    """Return the stamp of a file from what its file system tells of it."""
    size = int(info.get("size") or 0)
    for name in TAGS:
        if info.get(name):
            digest = hashlib.sha256(str(info[name]).strip('"').encode()).digest()
            return size, int.from_bytes(digest[:7])
    return size, next((_number(info[name]) for name in TIMES if info.get(name)), 0)


def _number(when: Any) -> int:
    if isinstance(when, datetime):
        when = when.timestamp()
    if isinstance(when, int | float):
        return round(when * 1e6)
    return int.from_bytes(hashlib.sha256(str(when).encode()).digest()[:7])


def see_address(text: str, kind: type[OvsskitError] = NoImages) -> None:
    """See that an address may be recorded, and that what it needs is installed.

    Raises:
        OvsskitError: of this kind; it holds a password, or there is no file system of this name.
        MissingExtra: a package is missing.
    """
    if SECRET.search(text):
        what = "The address holds a password, and addresses are recorded."
        fix = "Leave it out, and set it in the environment."
        raise kind(what, fix=fix, where=Place(SECRET.sub("://...@", text)))
    with telling(text, kind):
        file_system(text)


@contextmanager
def telling(path: Path | str, kind: type[OvsskitError]) -> Iterator[None]:
    """Turn whatever a file system raises into a sentence, as an error of this kind."""
    try:
        yield
    except OvsskitError:
        raise
    except Exception as error:
        raise _explain(error, path, kind) from error


def _explain(error: Exception, path: Path | str, kind: type[OvsskitError]) -> OvsskitError:
    text, name = str(path), type(error).__name__
    scheme, where = text.partition("://")[0], Place(shorten(text))
    if isinstance(error, ImportError):
        more = 'pip install "ovsskit[remote]"'
        fix = more if scheme in ("s3", "s3a") else f"{error}."
        return MissingExtra(f"`{scheme}://` needs a package.", fix=fix, where=where)
    if isinstance(error, ValueError) and "rotocol not known" in str(error):
        from fsspec.registry import known_implementations

        there = f"Known: {', '.join(sorted(known_implementations))}."
        return kind(f"There is no file system `{scheme}`.", there=there, where=where)
    fix = f"Credentials for {scheme}:// come from the environment, as its own tools read them."
    if _lacks_credentials(error):
        return kind("There are no credentials.", fix=fix, where=where)
    if isinstance(error, PermissionError):
        return kind(f"Access is denied: {error}.", fix=fix, where=where)
    if isinstance(error, FileNotFoundError):
        return kind("There is no such bucket, folder or file.", where=where)
    if isinstance(error, NotImplementedError):
        return kind(f"`{scheme}://` can only be read.", where=where)
    again = "Run the same command again: it resumes where it stopped." * (kind is CannotWrite)
    return kind(f"It cannot be reached: {str(error) or name}.", fix=again, where=where)


def _lacks_credentials(error: Exception) -> bool:
    return "redential" in type(error).__name__ or "redential" in str(error)
