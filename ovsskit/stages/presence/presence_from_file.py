"""Read from a file which classes each picture shows."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ovsskit.errors import BadFile, Place, did_you_mean
from ovsskit.stage import NEEDED, PathOfRecipe, Stage
from ovsskit.values import Image, Present, Vocabulary

BETWEEN_LISTS = re.compile(r"\],?\s*\[")
FORMATS = 'The file is one JSON object: {"picture": ["dog", "cat"]} or {"picture": "[12: dog, 8: cat], [90%, 80%]"}.'


class PresenceFromFile(Stage, writes="present"):
    """Read which classes a picture shows from a JSON object, by the picture's name with or without its extension.

    A value is a list of class names, or the answer of a language model as PnP-OVSS publishes them: one string with a list
    of `id: name` and a list of confidences in per cent. Of an answer, ids are looked up in the vocabulary (names are
    not), order and repetitions are kept, unknown ids and what cannot be read are passed over, ids without a confidence
    too; an answer of one list is taken whole.
    Source: PnP-OVSS, released code (the files `*_classification_noboundary.json`, confidence above 70).
    """

    file: Annotated[
        PathOfRecipe, NEEDED, Field(description="the JSON file, relative to the recipe")
    ] = ""
    above: Annotated[
        float,
        Field(
            ge=0, le=100, description="an answer's class needs more confidence than this, per cent"
        ),
    ] = 70.0
    fallback: Annotated[
        str, Field(description="class of a picture for which nothing is left; empty: the first one")
    ] = ""

    def run(self, image: Image, vocabulary: Vocabulary) -> Present:
        """Return the labels of the classes that the file says the picture shows.

        Raises:
            BadFile: no file is named, it cannot be read, lacks the picture, or names a class that is not looked for.
        """
        value = self._find(image.name)
        if isinstance(value, str):
            by_id = {number: label for label, number in enumerate(vocabulary.ids) if label}
            labels = [by_id[number] for number in read_answer(value, self.above) if number in by_id]
        else:
            labels = [self._label(name, vocabulary) for name in value]
        return Present(
            tuple(labels) or (self._label(self.fallback or vocabulary.names[0], vocabulary),)
        )

    def _find(self, name: str) -> Any:
        if not self.file:
            raise BadFile(
                "No file says which classes a picture shows.",
                fix=f"Name one: --set {self.address}.file=presence.json",
            )
        where = Place(self.file)
        try:
            entries = _read(self.file, Path(self.file).stat().st_mtime_ns)
        except (OSError, ValueError) as error:
            raise BadFile(
                f"The file of present classes cannot be read: {error}", there=FORMATS, where=where
            ) from error
        found = [entries[key] for key in (name, Path(name).name, Path(name).stem) if key in entries]
        if not found:
            raise BadFile(
                f"The file says nothing on the picture `{name}`.",
                fix=did_you_mean(name, list(entries)),
                where=where,
            )
        if not isinstance(found[0], str) and not (
            isinstance(found[0], list) and all(isinstance(n, str) for n in found[0])
        ):
            raise BadFile(
                f"What the file says on the picture `{name}` is of no known form.",
                there=FORMATS,
                where=where,
            )
        return found[0]

    def _label(self, name: str, vocabulary: Vocabulary) -> int:
        names = [one.casefold() for one in vocabulary.names]
        if name.casefold() not in names:
            what = f"The class `{name}` is not among those that are looked for."
            raise BadFile(what, fix=did_you_mean(name, vocabulary.names), where=Place(self.file))
        return names.index(name.casefold()) + 1


def read_answer(answer: str, above: float) -> list[int]:
    """Return the ids that an answer gives with more than a confidence in per cent, in its order."""
    lists = BETWEEN_LISTS.split(answer.strip().removeprefix("[").removesuffix("]"))
    ids = [_number(item.partition(":")[0]) for item in lists[0].split(",")]
    confidences = (
        [_number(item.rpartition(":")[2].partition("%")[0]) for item in lists[1].split(",")]
        if lists[1:]
        else []
    )
    sure = (
        [value is not None and value > above for value in confidences]
        if confidences
        else [True] * len(ids)
    )
    return [number for number, keep in zip(ids, sure, strict=False) if keep and number is not None]


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*\d+\s*", text) else None


@lru_cache(maxsize=8)
def _read(file: str, changed: int) -> dict[str, Any]:
    """Read a file once for each time that it was changed."""
    entries = json.loads(Path(file).read_text(encoding="utf-8"))
    if not isinstance(entries, dict):
        raise ValueError("it holds no JSON object")
    return entries
