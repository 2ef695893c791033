"""A fit from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovsskit.engine.notices import Silent
from ovsskit.fit.fit import FitCallbacks, FitOptions, tune
from ovsskit.run.options import as_option


def run_fit(
    recipe: str | Path,
    *overrides: str,
    classes: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    callbacks: FitCallbacks | None = None,
) -> Path:
    """Tune a recipe's model for classes, without images, and return the folder of its weights.

    Overrides are `"address=value"`. The same call goes on with a tuning that was stopped.

        folder = ovsskit.run_fit("ifseg_tiny", classes=["dog", "cat"])
        pipeline = ovsskit.load("ifseg_tiny", f"backbone.weights={folder}")

    Raises:
        OvsskitError: something is wrong with the recipe, classes, output folder, device or weights.
    """
    options = FitOptions(
        str(recipe),
        classes=as_option(classes),
        out=None if out is None else Path(out),
        overrides=overrides,
        device=device,
    )
    return tune(options, callbacks or Silent())
