"""The record of a run as tests read and change it: `run.json`, with the images in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.records import open_records


def read_run(folder: Path | str) -> dict[str, Any]:
    """Return what `run.json` holds, and as `images` the records of all images, as from JSON."""
    plain: dict[str, Any] = json.loads(Path(folder, "run.json").read_text(encoding="utf-8"))
    records = open_records(Path(folder), plain)
    plain["images"] = json.loads(json.dumps([asdict(one) for one in records.values()]))
    records.close()
    return plain


def change_images(folder: Path | str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the records of a run's images, as plain values in a list."""
    images = read_run(folder)["images"]
    change(images)
    records = open_records(Path(folder), {})
    for name in list(records):
        del records[name]
    for one in images:
        records[one["name"]] = ImageRecord.from_plain(one)
    records.commit()
    records.close()
