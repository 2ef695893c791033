"""Write the scores of all classes as NumPy reads them."""

from __future__ import annotations

from typing import Any, BinaryIO

from ovsskit._lazy import numpy
from ovsskit.export.format import Format, Put
from ovsskit.export.found import Found


class NumpyScores(Format):
    """Scores of all classes as `.npz`, a file for each image (NumPy)."""

    reads = "scores"

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write `scores` (class h w, 16 bits), `ids`, `names`, `kind` and the image's `size`."""
        saved = found.scores

        def save(file: BinaryIO) -> None:
            numpy.savez(
                file,
                scores=saved.maps,
                ids=numpy.array(saved.ids, "int32"),
                names=numpy.array(saved.names),
                kind=numpy.array(saved.kind),
                size=numpy.array(found.size, "int32"),
            )

        put(f"scores/{found.name}.npz", save)
        return {}
