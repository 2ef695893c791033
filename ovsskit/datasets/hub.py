"""Read images and true masks from a data set of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.datasets.class_file import need_class_file
from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.extra import need
from ovsskit.datasets.rows import Rows, choose_columns, choose_split, open_rows
from ovsskit.datasets.truth import IGNORED
from ovsskit.errors import BadFile, NoDataset, Place
from ovsskit.hub.trouble import cause_of


def open_hub(
    name: str,
    classes: Path | str | None,
    split: str = "",
    columns: str = "",
    ignore: Sequence[int] = IGNORED,
) -> Dataset:
    """Return a split of a data set of the hub, which is fetched; no code of it is run.

    `name` is that of its repository, with a configuration after a colon where it has several
    (`owner/name:configuration`), or a local folder. `columns` names those of images and masks
    (`image:mask`) unless they have usual names.

    Raises:
        MissingExtra: the package `datasets` is not installed.
        NoDataset: it cannot be fetched, or has no such split or columns.
        BadClasses: there is no file of classes, or it is invalid.
    """
    library = need("datasets", "Reading data sets of the hub")
    repository, _, configuration = name.partition(":")
    where = f"hf:{name}"
    explained = need_class_file(classes, where)
    try:
        known = library.get_dataset_split_names(repository, configuration or None)
    except Exception as error:
        raise _missing(where, repository, error) from error
    chosen = choose_split(list(map(str, known)), split, where)
    try:
        table = library.load_dataset(repository, configuration or None, split=chosen)
    except Exception as error:
        raise _missing(where, repository, error) from error
    rows = HubRows(library, table, columns, f"{where}, split {chosen}")
    return open_rows(rows, name, chosen, "hub", explained, ignore)


class HubRows(Rows):
    """Know the rows of a split, which lie in the cache of the package `datasets`."""

    def __init__(self, library: Any, table: Any, columns: str, title: str) -> None:
        """Look at the columns.

        Raises:
            NoDataset: there are no such columns.
        """
        kinds = {name: isinstance(kind, library.Image) for name, kind in table.features.items()}
        self.columns = choose_columns(kinds, columns, title)
        self._title = title
        self._cells = {}
        for column in (self.columns.image, self.columns.truth):
            alone = table.select_columns([column])
            self._cells[column] = alone.cast_column(column, library.Image(decode=False))
        stored = table.data.column(self.columns.image)
        self.paths = [
            value.as_py() or "" for chunk in stored.chunks for value in chunk.field("path")
        ]

    def cell(self, row: int, column: str) -> bytes:
        """Return the content of an image file."""
        value = self._cells[column][row][column]
        if value and value["bytes"] is not None:
            return bytes(value["bytes"])
        if not value or not value["path"]:
            raise BadFile(f"The row holds no {column}.", where=Place(self.where(row)))
        try:
            return Path(value["path"]).read_bytes()
        except OSError as error:
            what = f"The file {value['path']} cannot be read: {error.strerror}."
            raise BadFile(what, where=Place(self.where(row))) from error

    def where(self, row: int) -> str:
        """Return the split and the row."""
        return f"{self._title}, row {row}"


def _missing(where: str, repository: str, error: Exception) -> NoDataset:
    cause = cause_of(error, repository, "main")
    what = f"The data set cannot be loaded: {cause.what}."
    there = "A local folder in the form of a repository will do, too: hf:FOLDER"
    return NoDataset(what, there=there, fix=cause.fix, where=Place(where))
