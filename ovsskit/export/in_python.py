"""An export from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.engine.notices import Silent
from ovsskit.export.callbacks import ExportCallbacks
from ovsskit.export.export import export_run
from ovsskit.export.options import ExportOptions, Images
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.shard import read_shard
from ovsskit.run.options import as_option


def run_export(
    run: str | Path,
    to: str,
    *,
    out: str | Path | None = None,
    classes: str | Sequence[str] | None = None,
    min_confidence: float | None = None,
    images: Images = "",
    simplify: float = 0.0,
    max_pixels: int = MAX_PIXELS,
    shard: str | None = None,
    callbacks: ExportCallbacks | None = None,
) -> dict[str, Any]:
    """Write the masks of a finished run in another format, and return the record of that.

    `images` says whether the images themselves are copied ("copy") or linked ("link"); by about
    `simplify` pixels the outlines of regions may deviate. `shard` is a part of the images, such as
    `2/4`, of which several processes may do one each. The same call goes on with an export that was
    stopped.

        record = ovsskit.run_export("ovsskit-out/naclip", "coco", images="copy")
        print(record["images"], record["losses"])

    Raises:
        OvsskitError: something is wrong with the run, format, classes or output folder.
    """
    options = ExportOptions(
        Path(run),
        to,
        out=None if out is None else Path(out),
        classes=as_option(classes),
        min_confidence=min_confidence,
        images=images,
        simplify=simplify,
        max_pixels=max_pixels,
        shard=read_shard(shard),
    )
    return export_run(options, callbacks or Silent())
