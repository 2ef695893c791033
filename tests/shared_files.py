"""A file system that is no object store: files of this machine under addresses `shared://`."""

from __future__ import annotations

import fsspec
from fsspec.implementations.local import LocalFileSystem


class SharedFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Read and write `shared://tmp/folder` as `/tmp/folder`."""

    protocol = ("shared",)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("shared://").strip("/")


fsspec.register_implementation("shared", SharedFileSystem, clobber=True)
