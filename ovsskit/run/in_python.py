"""A run from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from ovsskit.engine.notices import Silent
from ovsskit.engine.rendering import Reading, Rendering, Stretch
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.own import RUN
from ovsskit.run.callbacks import Callbacks
from ovsskit.run.options import RunOptions, as_option
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
    batch: int | str = "auto",
    stretch: Stretch | tuple[float, float] = "percentile",
    bands: Sequence[int] = (),
    window: int = USUAL.side,
    overlap: int = USUAL.overlap,
    callbacks: Callbacks | None = None,
) -> dict[str, Any]:
    """Write masks, overlays and a gallery of images into a folder, and return the record of that.

    Images are files, folders, globs and addresses, also rasters of any size, which run in windows
    of `window` x `window` pixels that share `overlap`. `save` names what is written beside masks.
    The same call goes on with a run that was stopped. An image that fails stops no other.

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
        images=tuple(map(str, listed)),
        batch=str(batch),
        limit=limit,
        reading=Reading(max_pixels, Rendering(stretch, tuple(bands))),
        save=frozenset(save),
        explain=tuple(explain),
        windows=choose_windows(window, overlap),
    )
    run_job(options, callbacks or Silent())
    record: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    return record
