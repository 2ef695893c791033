"""Read images and true masks from parquet files, a few rows at a time."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.datasets.class_file import need_class_file
from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.extra import need
from ovsskit.datasets.parquet_column import Column, telling
from ovsskit.datasets.rows import Columns, Rows, choose_columns, choose_split, open_rows
from ovsskit.datasets.truth import IGNORED
from ovsskit.errors import BadFile, NoDataset, Place

SHARD = re.compile(r"(?P<split>\w[\w.]*?)-\d+-of-\d+(-[0-9a-f]+)?")


def open_parquet(
    source: Path | str,
    classes: Path | str | None,
    split: str = "",
    columns: str = "",
    ignore: Sequence[int] = IGNORED,
) -> Dataset:
    """Return the rows of a parquet file, or of those of a folder that are of one split.

    The split is in the name of a file (`validation-00000-of-00002.parquet`, `validation.parquet`)
    or of its folder. `columns` names those of images and masks (`image:mask`) unless they have
    usual names.

    Raises:
        MissingExtra: pyarrow is not installed.
        NoDataset: there is no such file, split or column.
        BadClasses: there is no file of classes, or it is invalid.
        BadFile: a file is broken.
    """
    source = Path(source).expanduser()
    explained = need_class_file(classes, source)
    files, chosen = _find(source, split)
    rows = ParquetRows(files, columns)
    return open_rows(rows, source.absolute().stem, chosen, "parquet", explained, ignore)


class ParquetRows(Rows):
    """Know the rows of files."""

    def __init__(self, files: Sequence[Path], columns: str) -> None:
        """Look at the files.

        Raises:
            NoDataset: there are no such columns.
            BadFile: a file is broken.
        """
        library = need("pyarrow.parquet", "Reading parquet files")
        self.columns = Columns("", "")
        self.paths: list[str] = []
        self._files, self._starts = files, [0]
        for path in files:
            with telling(path), library.ParquetFile(path) as file:
                self.columns = choose_columns(_kinds(file.schema_arrow), columns, str(path))
                columns = f"{self.columns.image}:{self.columns.truth}"
                self.paths += _names(file, self.columns.image)
            self._starts.append(len(self.paths))
        self._cells = {
            column: Column(column, files, self._starts, library.ParquetFile)
            for column in (self.columns.image, self.columns.truth)
        }

    def cell(self, row: int, column: str) -> bytes:
        """Return the content of an image file."""
        value = self._cells[column].value(row)
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is None:
            what = f"The row holds no {column}"
            what += ", only the name of a file." if value and value.get("path") else "."
            raise BadFile(what, where=Place(self.where(row)))
        return bytes(content)

    def where(self, row: int) -> str:
        """Return the file and the row in it."""
        index = bisect_right(self._starts, row) - 1
        return f"{self._files[index]}, row {row - self._starts[index]}"


def _names(file: Any, column: str) -> list[str]:
    """Return the names that the files of images had, and empty ones where none are kept."""
    kind = file.schema_arrow.field(column).type
    if "path" not in _fields(kind):
        return [""] * file.metadata.num_rows
    cells = file.read(columns=[f"{column}.path"]).column(column).to_pylist()
    return [(cell or {}).get("path") or "" for cell in cells]


def _kinds(schema: Any) -> dict[str, bool]:
    """Say of every column whether it may hold the files of images."""
    types = need("pyarrow.types", "Reading parquet files")
    found = {}
    for field in schema:
        kind = field.type.field("bytes").type if "bytes" in _fields(field.type) else field.type
        found[field.name] = types.is_binary(kind) or types.is_large_binary(kind)
    return found


def _fields(kind: Any) -> list[str]:
    """Return the names of what a column's cells consist of."""
    types = need("pyarrow.types", "Reading parquet files")
    if not types.is_struct(kind):
        return []
    return [kind.field(index).name for index in range(kind.num_fields)]


def _find(source: Path, split: str) -> tuple[list[Path], str]:
    """Return the files of a split, and its name."""
    where = Place(str(source))
    if not source.is_dir():
        if not source.is_file():
            raise NoDataset("There is no such file or folder.", where=where)
        return [source], split
    groups: dict[str, list[Path]] = {}
    for path in sorted(source.rglob("*.parquet")):
        groups.setdefault(_split_of(path), []).append(path)
    if not groups:
        raise NoDataset("The folder holds no parquet file.", where=where)
    chosen = choose_split(list(groups), split, str(source))
    return groups[chosen], chosen


def _split_of(path: Path) -> str:
    shard = SHARD.fullmatch(path.stem)
    return shard["split"] if shard else path.parent.name if path.stem.isdigit() else path.stem
