"""Write `index.html`: a gallery that opens from disk, without a server or the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ovsskit.engine.values import Vocabulary
from ovsskit.files.own import OwnFolder, Written
from ovsskit.run.output.page import render_page
from ovsskit.run.output.record import ImageRecord

GALLERY, CLASSES = "index.html", "classes.json"


def write_gallery(
    folder: OwnFolder,
    title: str,
    facts: Sequence[str],
    records: Sequence[ImageRecord],
    vocabulary: Vocabulary,
    notices: Sequence[str] = (),
) -> Written:
    """Write the gallery of a run; `facts` and `notices` stand under the title.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    data = {
        "title": title,
        "facts": list(facts),
        "notices": list(notices),
        "classes": list_classes(vocabulary),
        "images": [
            {
                "name": record.name,
                "source": record.source,
                "size": record.size,
                "areas": record.areas,
                "presence": record.presence,
                "notes": record.notes,
                "miou": record.miou,
            }
            for record in records
            if record.state == "done"
        ],
        "failed": [
            {"source": _clean(record.source), "reason": record.reason}
            for record in records
            if record.state == "failed"
        ],
    }
    return folder.write_text(GALLERY, render_page("ovsskit.run.output", "gallery.html", data=data))


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
