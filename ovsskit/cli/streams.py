"""Keep a command going when nobody reads what it prints, and say so when it cannot be printed."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class PatientFile(io.FileIO):
    """Write to a stream of this process; after a failure, discard all text and keep the reason.

    What a command does must not depend on whether anybody reads along: `ovsskit run ... | head`
    goes on to its end.
    """

    trouble: OSError | None = None

    def write(self, data: Any) -> int:
        """Write bytes, and return how many were taken."""
        if self.trouble is None:
            try:
                return super().write(data)
            except OSError as error:
                self.trouble = error
        return len(memoryview(data).cast("B"))


def open_streams() -> None:
    """Let standard output and error survive a closed or full stream.

    They show what they cannot encode by its code.
    """
    if sys.stdout is sys.__stdout__:  # else a program that calls this one sees to its own
        sys.stdout = _open(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _open(sys.stderr, 2)


def close_streams() -> bool:
    """Flush standard output; return whether it is whole, or ended because its reader left."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    trouble = raw.trouble if isinstance(raw, PatientFile) else None
    if trouble is None or isinstance(trouble, BrokenPipeError):
        return True
    print(f"Standard output cannot be written: {trouble.strerror}.", file=sys.stderr, flush=True)
    return False


def _open(stream: Any, number: int) -> io.TextIOWrapper:
    if stream is None:  # it was closed before the program started
        return io.TextIOWrapper(io.BufferedWriter(io.FileIO(os.devnull, "w")), encoding="utf-8")
    # A descriptor of our own: what libraries in C print to the other one can be caught.
    raw = PatientFile(os.dup(number), "w")
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=number == 2,
    )
