"""Read from a file which classes each image shows."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ovsskit.engine.stage import NeededPath, Stage
from ovsskit.engine.values import Image, Present, Vocabulary
from ovsskit.errors import BadFile, Place, did_you_mean
from ovsskit.files.inputs import SUFFIXES

log = logging.getLogger(__name__)

BETWEEN_LISTS = re.compile(r"\],?\s*\[")
FORMATS = (
    'The file is one JSON object: {"image": ["dog", "cat"]} '
    'or {"image": "[12: dog, 8: cat], [90%, 80%]"}.'
)


@dataclass(frozen=True)
class Entries:
    """Hold what a file says, and which keys fit an image's stem, as it is and in small letters."""

    values: dict[str, Any]
    by_name: dict[str, list[str]]


class PresenceFromFile(Stage, writes="present"):
    """Read which classes an image shows from a JSON object, by the image's name or stem.

    A value is a list of class names, or names with commas between them, or the answer of a language
    model as PnP-OVSS publishes them: one string with a list of `id: name` and a list of confidences
    in per cent. Of an answer, ids are looked up in the vocabulary (names are not), order and
    repetitions are kept, unknown ids and what cannot be read are passed over, ids without a
    confidence too; an answer of one list is taken whole. Source: PnP-OVSS, released code (the files
    `*_classification_noboundary.json`, confidence above 70).

    Example:
        [[stage]]
        use = "presence_from_file"
        above = 80.0
        fallback = "grass"
    """

    file: Annotated[NeededPath, Field(description="the JSON file, relative to the recipe")] = ""
    above: Annotated[
        float,
        Field(
            ge=0, le=100, description="an answer's class needs more confidence than this, per cent"
        ),
    ] = 70.0
    fallback: Annotated[
        str, Field(description="class of an image for which nothing is left; empty: the first one")
    ] = ""
    none: Annotated[
        bool, Field(description="an image for which nothing is left shows no class")
    ] = False

    def run(self, image: Image, vocabulary: Vocabulary) -> Present:
        """Return the labels of the classes that the file says the image shows.

        Raises:
            BadFile: no file is named, it cannot be read, lacks the image, or names a class that is
                not looked for.
        """
        entries = self._entries()
        key = self._key(entries, image.name)
        labels = self._labels(key, entries.values[key], vocabulary)
        if labels:
            return Present(labels)
        nothing = "the file of present classes names none for this image"
        if self.none:
            return Present((), note=nothing)
        name = self.fallback or vocabulary.names[0]
        return Present((self._label(name, vocabulary),), note=f"{nothing}: `{name}` is taken")

    def check_inputs(self, vocabulary: Vocabulary, images: Sequence[Path]) -> None:
        """Check that the file covers these images and classes; what it lacks is noted.

        Raises:
            BadFile: it cannot be read, knows none of the images, or names a class that is not
                looked for.
        """
        entries, owners, lacking = self._entries(), dict[str, Path](), list[Path]()
        for image in images:
            try:
                key = self._key(entries, image.stem)
            except BadFile:
                lacking.append(image)
                continue
            self._labels(key, entries.values[key], vocabulary)
            other = owners.setdefault(key, image)
            if other != image:
                log.warning(
                    "%s: the entry `%s` is taken for %s and %s", self.file, key, other, image
                )
        if not owners:
            self._key(entries, images[0].stem)
        if lacking:
            text = "%s: %d of %d images have no entry and will fail, such as %s"
            log.warning(text, self.file, len(lacking), len(images), lacking[0])
        others = [key for key in entries.values if key not in owners]
        if others:
            text = "%s: %d of %d entries belong to no image here, such as `%s`"
            log.warning(text, self.file, len(others), len(entries.values), others[0])

    def _entries(self) -> Entries:
        if not self.file:
            raise BadFile(
                "No file says which classes an image shows.",
                fix=f"Name one: --set {self.address}.file=presence.json",
            )
        try:
            return _read(self.file, Path(self.file).stat().st_mtime_ns)
        except (OSError, ValueError) as error:
            raise BadFile(
                f"The file of present classes cannot be read: {error}",
                there=FORMATS,
                where=Place(self.file),
            ) from error

    def _key(self, entries: Entries, name: str) -> str:
        """Return the entry of an image's own name, else of one in another folder, form or case."""
        if name in entries.values:
            return name
        bare = _bare(name)
        found = entries.by_name.get(bare) or entries.by_name.get(bare.casefold(), [])
        if len(found) == 1:
            return found[0]
        if found:
            what = f"Several entries fit the image `{name}`: {', '.join(found[:3])}."
            raise BadFile(what, fix="Keep one of them.", where=Place(self.file))
        raise BadFile(
            f"The file has no entry for the image `{name}`.",
            fix=did_you_mean(name, list(entries.values)),
            where=Place(self.file),
        )

    def _labels(self, key: str, value: Any, vocabulary: Vocabulary) -> tuple[int, ...]:
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return tuple(self._label(name, vocabulary) for name in value)
        if not isinstance(value, str):
            raise BadFile(
                f"The file's entry for the image `{key}` has no known form.",
                there=FORMATS,
                where=Place(self.file),
            )
        names = [name.casefold() for name in vocabulary.names]
        words = [" ".join(word.split()).casefold() for word in value.split(",")]
        if set(words) <= set(names):
            return tuple(names.index(word) + 1 for word in words)
        by_id = {number: label for label, number in enumerate(vocabulary.ids) if label}
        numbers = read_answer(value, self.above)
        return tuple(by_id[number] for number in numbers if number in by_id)

    def _label(self, name: str, vocabulary: Vocabulary) -> int:
        names = [one.casefold() for one in vocabulary.names]
        if name.casefold() not in names:
            what = f"The class `{name}` is not among those that are looked for."
            raise BadFile(what, fix=did_you_mean(name, vocabulary.names), where=Place(self.file))
        return names.index(name.casefold()) + 1


def _bare(name: str) -> str:
    """Return an image's name without its folder and extension; other dots belong to it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = last.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() in SUFFIXES else last


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
def _read(file: str, changed: int) -> Entries:
    """Read a file once for each time that it was changed."""
    values = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    if not isinstance(values, dict):
        raise ValueError("it holds no JSON object")
    by_name: dict[str, list[str]] = {}
    for key in values:
        for name in {_bare(key), _bare(key).casefold()}:
            by_name.setdefault(name, []).append(key)
    return Entries(values, by_name)
