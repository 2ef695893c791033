"""Write tasks with pre-annotations for Label Studio."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from ovsskit.errors import BadImage, Place
from ovsskit.export.brush import CHANNELS, MOST_BYTES, pack_brush
from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found
from ovsskit.export.packs import packs
from ovsskit.export.runs import Runs, class_runs

LOCAL = "/data/local-files/?d="
"""How Label Studio calls a file below its document root."""
MOST_TASKS = 1000
"""Tasks in one file: Label Studio reads a file as a whole."""
TAG, IMAGE = "label", "image"


class LabelStudio(Format):
    """Tasks with pre-annotations for Label Studio, brush masks with scores."""

    wants_images = True

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Return the task of an image.

        Raises:
            BadImage: Label Studio's runs cannot count so many pixels.
        """
        width, height = found.size
        if CHANNELS * width * height > MOST_BYTES:
            what = f"It has {width * height:,} pixels, more than Label Studio's runs can count."
            raise BadImage(what, where=Place(found.record.source))
        results = [self._result(found, number, runs.counts()) for number, runs in _classes(found)]
        prediction: dict[str, Any] = {"model_version": self.title, "result": results}
        if found.confidence is not None:
            prediction["score"] = round(float(found.confidence.mean()), 6)
        data = {IMAGE: f"{LOCAL}{quote(found.image, errors='replace')}"}
        return {"task": {"data": data, "predictions": [prediction]}}

    def _result(self, found: Found, number: int, counts: tuple[int, ...]) -> dict[str, Any]:
        width, height = found.size
        confidence = found.confidences.get(number)
        score = {} if confidence is None else {"score": round(confidence, 6)}
        label = self.classes.by_number[number].name
        return {
            "id": f"{TAG}-{number}",
            "type": "brushlabels",
            "from_name": TAG,
            "to_name": IMAGE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": pack_brush(counts), "brushlabels": [label]},
            **score,
        }

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write the labeling interface, and the tasks, a thousand in a file."""
        put("interface.xml", lambda file: file.write(self._interface().encode()))
        for number, pack in enumerate(packs(parts, MOST_TASKS), start=1):
            put(f"tasks-{number}.json", partial(_write_tasks, parts=pack))

    def _interface(self) -> str:
        lines = ["<View>", f'  <Image name="{IMAGE}" value="${IMAGE}" zoom="true"/>']
        lines += [f'  <BrushLabels name="{TAG}" toName="{IMAGE}">']
        for one in self.classes.classes:
            colour = "#{:02x}{:02x}{:02x}".format(*one.colour)
            lines.append(f'    <Label value={quoteattr(one.name)} background="{colour}"/>')
        return "\n".join([*lines, "  </BrushLabels>", "</View>"]) + "\n"


def _classes(found: Found) -> Iterator[tuple[int, Runs]]:
    background = found.classes.background.number
    return ((number, runs) for number, runs in class_runs(found.ids) if number != background)


def _write_tasks(file: BinaryIO, parts: Iterable[Part]) -> None:
    file.write(b"[")
    before = "\n"
    for part in parts:
        file.write(f"{before}{json.dumps(part.kept['task'])}".encode())
        before = ",\n"
    file.write(b"\n]\n")
