"""A distillation from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovsskit.distil.distil import DistilCallbacks, DistilOptions, distil
from ovsskit.engine.notices import Silent
from ovsskit.engine.rendering import AS_USUAL, Reading, Rendering, Stretch
from ovsskit.run.options import as_option


def run_distil(
    recipe: str | Path,
    images: str | Path | Sequence[str | Path],
    *overrides: str,
    student: str = "",
    classes: str | Sequence[str] | None = None,
    truth: str | Path | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    max_pixels: int = AS_USUAL.max_pixels,
    device: str = "auto",
    batch: int | str = "auto",
    stretch: Stretch | tuple[float, float] = "percentile",
    bands: Sequence[int] = (),
    callbacks: DistilCallbacks | None = None,
) -> Path:
    """Teach a small network what a recipe finds in images, and return the folder that holds it.

    Overrides are `"address=value"`, such as `"distil.updates=4000"`; `truth` is a folder of true
    masks, by which teacher and student are judged. The same call goes on with one that was stopped.

        folder = ovsskit.run_distil("itaclip_tiny", "photos/", student="segformer-tiny")
        pipeline = ovsskit.load(folder / "recipe.toml")

    Raises:
        OvsskitError: something is wrong with the recipe, classes, images, output folder, device or
            weights.
    """
    listed = [images] if isinstance(images, str | Path) else images
    options = DistilOptions(
        str(recipe),
        classes=as_option(classes),
        out=None if out is None else Path(out),
        overrides=(*overrides, *([f"distil.student={student}"] if student else [])),
        device=device,
        images=tuple(map(str, listed)),
        batch=str(batch),
        limit=limit,
        reading=Reading(max_pixels, Rendering(stretch, tuple(bands))),
        truth=None if truth is None else Path(truth),
    )
    return distil(options, callbacks or Silent())
