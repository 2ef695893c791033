"""Write how many pixels each class has in each image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, BinaryIO

from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found

FILE = "areas.csv"
HEAD = (
    "image",
    "width",
    "height",
    "class",
    "class_name",
    "pixels",
    "fraction",
    "confidence",
)


class Areas(Format):
    """A table (CSV) of the pixels that each class has in each image (spreadsheets, pandas, R)."""

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Return a row for each class that is there, also for the background."""
        (width, height), known = found.size, self.classes.by_number
        rows = []
        for number, pixels in found.areas.items():
            confidence = found.confidences.get(number)
            sure = "" if confidence is None else round(confidence, 6)
            name, part = known[number].name, round(pixels / (width * height), 9)
            rows.append([found.image, width, height, number, name, pixels, part, sure])
        return {"rows": rows}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the one file."""

        def write(file: BinaryIO) -> None:
            text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
            table = csv.writer(text)
            table.writerow(HEAD)
            for part in parts:
                table.writerows(part.kept["rows"])
            text.flush()
            text.detach()

        put(FILE, write)
