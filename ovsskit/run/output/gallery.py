"""Write `index.html`: a gallery that opens from disk, without a server or the network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from ovsskit.engine.values import Vocabulary
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.files.own.written import Written
from ovsskit.run.output.page import render_page
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.records import Records

GALLERY, CLASSES, PAGES = "index.html", "classes.json", "gallery/pages/"
PAGE = 200
"""How many images a file of the gallery lists."""
SHOWN_FAILED = 200
"""Of how many images that failed the gallery says why; the records say it of all."""


def write_gallery(
    folder: OwnFolder,
    title: str,
    facts: Sequence[str],
    records: Records,
    vocabulary: Vocabulary,
    notices: Sequence[str] = (),
) -> dict[str, Written]:
    """Write the gallery of a run, and return its files; `facts` and `notices` stand on top.

    The images are in files of `PAGE` each, which the page loads when they are to be seen.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    written: dict[str, Written] = {}
    counts, pages = Counter[int](), list[dict[str, Any]]()
    for number, shown in enumerate(_pages(records.each("done"))):
        name = f"{PAGES}{number:06d}.js"
        found = {number for record in shown for number, _ in record.areas}
        counts.update(number for record in shown for number, _ in record.areas)
        pages.append({"file": name, "last": shown[-1].name, "classes": sorted(found)})
        script = f"page({number}, {json.dumps([_shown(record) for record in shown])});\n"
        written[name] = folder.write_text(name, script)
    failed = records.counts()["failed"]
    listed = islice(records.each("failed"), SHOWN_FAILED)
    data = {
        "title": title,
        "facts": list(facts),
        "notices": list(notices),
        "classes": list_classes(vocabulary),
        "counts": sorted(counts.items()),
        "pages": pages,
        "failed": [{"source": _clean(one.source), "reason": _clean(one.reason)} for one in listed],
        "failed_more": max(0, failed - SHOWN_FAILED),
    }
    page = render_page("ovsskit.run.output", "gallery.html", data=data)
    return {**written, GALLERY: folder.write_text(GALLERY, page)}


def _pages(records: Iterator[ImageRecord]) -> Iterator[list[ImageRecord]]:
    while shown := list(islice(records, PAGE)):
        yield shown


def _shown(record: ImageRecord) -> dict[str, Any]:
    """Return what the gallery shows of an image."""
    return {
        "name": record.name,
        "source": record.source,
        "size": record.size,
        "areas": record.areas,
        "presence": record.presence,
        "notes": record.notes,
        "miou": record.miou,
    }


def write_classes(folder: OwnFolder, vocabulary: Vocabulary) -> Written:
    """Write `classes.json`: number, name, colour and synonyms of each class, background first.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    listed = json.dumps(list_classes(vocabulary), indent=1, ensure_ascii=False)
    return folder.write_text(CLASSES, f"{listed}\n")


def list_classes(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """List number, name, colour (`#rrggbb`) and synonyms of each class, background first."""
    others = (vocabulary.background_words, *(vocabulary.synonyms or ((),) * len(vocabulary.names)))
    rows = zip(vocabulary.ids, vocabulary.labels, vocabulary.colours, others, strict=True)
    return [
        {
            "number": number,
            "name": name,
            "colour": "#{:02x}{:02x}{:02x}".format(*colour),
            "words": list(words),
        }
        for number, name, colour, words in rows
    ]


def _clean(text: str) -> str:
    """Replace what is not text in the names of files, so that it can be written."""
    return text.encode("utf-8", "replace").decode()
