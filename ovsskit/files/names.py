"""Names that become files and folders: one part of a path that every file system takes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from ovsskit.errors import refusal

UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
"""What file names cannot hold on some system, or what is not text."""

RESERVED = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]", re.IGNORECASE)
"""What Windows takes for a device, whatever follows the first dot."""

LONGEST_NAME = 180
"""Bytes of a name, so that endings still fit into what file systems allow."""


def safe_name(text: str, ending: str = "") -> str:
    """Return the nearest text that is one safe path part with an ending, or an empty text."""
    name = UNSAFE.sub("_", text).strip(" .")
    if RESERVED.fullmatch(f"{name}{ending}".partition(".")[0].rstrip()):
        name = f"_{name}"
    room = LONGEST_NAME - len(ending.encode())
    name = name.encode()[:room].decode(errors="ignore").rstrip(" .")
    return f"{name}{ending}" if name else ""


def _see_name(name: str) -> str:
    safe = safe_name(name)
    if name != safe:
        what = f"it must be one part of a path, of at most {LONGEST_NAME} bytes"
        last = safe_name(re.split(r"[/\\]", name)[-1])
        fix = f'Write "{last}".' if last else "Use letters, digits and hyphens."
        raise refusal(what, fix)
    return name


def _see_parts(name: str) -> str:
    for part in name.split("/"):
        if not part:
            raise refusal("a part of it is empty", 'Write "a/b".')
        _see_name(part)
    return name


FileName = Annotated[str, AfterValidator(_see_name)]
"""A field that names a file or folder; it may be empty."""

NestedName = Annotated[str, AfterValidator(_see_parts)]
"""A field that names a file in folders, with `/` between parts, none of which is empty."""
