"""A comparison from Python: one call, silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovsskit.compare.compare import CompareCallbacks, CompareOptions, compare_runs


def run_compare(
    first: str | Path,
    second: str | Path,
    *,
    out: str | Path | None = None,
    most: int = 60,
    force: bool = False,
) -> dict[str, Any]:
    """Compare two finished runs of the same images, by their folders; return what differs.

    With `out`, the page is written there, with the `most` images that disagree most.

        found = ovsskit.run_compare("first", "second")
        print(found["agreement"], found["classes"][0])

    Raises:
        OvsskitError: a folder holds no finished run, they share no image, a mask is missing, or a
            file is where the page shall be.
    """
    page = None if out is None else Path(out)
    options = CompareOptions(Path(first), Path(second), page, most, force=force)
    return compare_runs(options, CompareCallbacks())
