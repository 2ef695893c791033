"""Write a data set of images and masks as parquet, as the library `datasets` reads it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ovsskit.datasets.extra import need
from ovsskit.errors import BadFile, Place
from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found
from ovsskit.export.images import draw_image, is_as_stored
from ovsskit.export.packs import packs
from ovsskit.files.remote import image_path
from ovsskit.run.output.masks import mask_image

MOST_ROWS, MOST_GROUP = 1000, 64
"""Rows of one file, and rows that are held in memory and written together."""
WHY = "A data set in parquet"


class HuggingFace(Format):
    """A data set of images and masks in parquet (datasets, the Hugging Face hub)."""

    reads_images = True

    def check(self) -> None:
        """Check that the packages are there that write parquet."""
        need("pyarrow.parquet", WHY, "export")
        need("datasets", WHY, "export")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Return the mask of an image as PNG, the classes that it shows, and the image as PNG.

        The last only where its file is not what the run saw: else that is read at the end.
        """
        packed = io.BytesIO()
        mask_image(found.ids, self.classes.vocabulary).save(packed, "PNG")
        background = self.classes.background.number
        names = [self.classes.by_number[one].name for one in found.areas if one != background]
        kept = {"mask": base64.b64encode(packed.getvalue()).decode(), "classes": names}
        rendering = found.run.rendering
        if is_as_stored(found.record, rendering):
            return kept
        drawn = io.BytesIO()
        draw_image(found.record, rendering, drawn)
        return {**kept, "image": base64.b64encode(drawn.getvalue()).decode()}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the files of rows, and the card that says what they hold.

        Raises:
            BadFile: an image was taken away while the export went on.
        """
        for number, pack in enumerate(packs(parts, MOST_ROWS)):
            put(f"data/train-{number:05d}.parquet", partial(self._table, parts=pack))
        put("README.md", lambda file: file.write(self._card().encode()))

    def _table(self, file: BinaryIO, parts: Iterator[Part]) -> None:
        parquet, pyarrow = need("pyarrow.parquet", WHY, "export"), need("pyarrow", WHY, "export")
        schema = _features().arrow_schema
        rows: list[dict[str, Any]] = []
        with parquet.ParquetWriter(file, schema) as writer:
            for part in parts:
                rows.append(_row(part))
                if len(rows) == MOST_GROUP:
                    writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                    rows.clear()
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))

    def _card(self) -> str:
        lines = ["---", "task_categories:", "- image-segmentation", "configs:"]
        lines += ["- config_name: default", "  data_files:", "  - split: train"]
        lines += ["    path: data/*.parquet", "---", "", f"# {self.title}", ""]
        lines += ["| pixel value | class |", "|---|---|"]
        lines += [
            f"| {one.number} | {one.name.replace('|', '&#124;')} |" for one in self.classes.all
        ]
        return "\n".join(lines) + "\n"


def _features() -> Any:
    datasets = need("datasets", WHY, "export")
    names = datasets.Sequence(datasets.Value("string"))
    image, text = datasets.Image, datasets.Value("string")
    return datasets.Features(image=image(), mask=image(), name=text, classes=names)


def _row(part: Part) -> dict[str, Any]:
    return {
        "image": _image(part),
        "mask": {"bytes": base64.b64decode(part.kept["mask"]), "path": f"{part.name}.png"},
        "name": part.name,
        "classes": part.kept["classes"],
    }


def _image(part: Part) -> dict[str, Any]:
    if "image" in part.kept:
        return {"bytes": base64.b64decode(part.kept["image"]), "path": f"{part.name}.png"}
    try:
        content = image_path(part.source).read_bytes()
    except OSError as error:
        what = f"The image cannot be read any more: {error.strerror or error}."
        fix = "Run the same command again: the image is then left out."
        raise BadFile(what, fix=fix, where=Place(part.source)) from error
    return {"bytes": content, "path": Path(part.source).name}
