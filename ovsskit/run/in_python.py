"""A run from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from ovsskit.engine.notices import Silent
from ovsskit.engine.rendering import Reading, Rendering, Stretch
from ovsskit.files.brought import Brought
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.own.kinds import RUN
from ovsskit.files.shard import read_shard
from ovsskit.run.callbacks import Callbacks
from ovsskit.run.options import RunOptions, as_option, choose_devices
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.records import IMAGES, InState, Records, open_records
from ovsskit.run.rasters.grid import USUAL, choose_windows
from ovsskit.run.run import run_job


def run_images(
    recipe: str | Path,
    images: str | Path | Sequence[str | Path],
    *overrides: str,
    out: str | Path,
    classes: str | Sequence[str] | None = None,
    save: Collection[Literal["scores", "confidence"]] = (),
    explain: Sequence[str] = (),
    limit: int | None = None,
    max_pixels: int = MAX_PIXELS,
    device: str = "auto",
    devices: Sequence[str] = (),
    engine: Literal["here", "ray"] = "here",
    batch: int | str = "auto",
    stretch: Stretch | tuple[float, float] = "percentile",
    bands: Sequence[int] = (),
    window: int = USUAL.side,
    overlap: int = USUAL.overlap,
    shard: str | None = None,
    callbacks: Callbacks | None = None,
) -> dict[str, Any]:
    """Write masks, overlays and a gallery of images into a folder, and return the record of that.

    Images are files, folders, globs and addresses, also rasters of any size, which run in windows
    of `window` x `window` pixels that share `overlap`. `save` names what is written beside masks.
    `devices` are several, with a replica of the models on each.
    `shard` is a part of the images, such as `2/4`; other processes do the others.
    The same call goes on with a run that was stopped. An image that fails stops no other. The
    record's `images` is a sequence that reads each when it is asked for.

        record = ovsskit.run_images("naclip", "region.tif", out="found", classes="water, forest")
        print(record["counts"], record["images"][0]["areas"])

    Raises:
        OvsskitError: something is wrong with the recipe, classes, images, output folder, device or
            weights.
    """
    listed = [images] if isinstance(images, str | Path) else images
    folder = Path(out)
    options = RunOptions(
        str(recipe),
        classes=as_option(classes),
        out=folder,
        overrides=overrides,
        device=device,
        engine=engine,
        devices=choose_devices(device, ",".join(devices) if devices else None),
        images=tuple(map(str, listed)),
        batch=str(batch),
        limit=limit,
        reading=Reading(max_pixels, Rendering(stretch, tuple(bands))),
        save=frozenset(save),
        explain=tuple(explain),
        windows=choose_windows(window, overlap),
        shard=read_shard(shard),
    )
    run_job(options, callbacks or Silent())
    state = Brought(folder, RUN, IMAGES)
    record: dict[str, Any] = json.loads(state.path(RUN).read_text(encoding="utf-8"))
    return {**record, "images": _Plain(open_records(state.folder, record), state)}


class _Plain(Sequence[dict[str, Any]]):
    """The records of images as plain values, read when they are asked for."""

    def __init__(self, records: Records, state: Brought) -> None:
        self.records, self._state = records, state

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (_plain(record) for record in self.records.each())

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(place, slice):
            return [_plain(one) for one in InState(self.records, "")[place]]
        return _plain(InState(self.records, "")[place])


def _plain(record: ImageRecord) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(record.to_line())
    return plain
