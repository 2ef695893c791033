"""A reproduction from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

from pathlib import Path

from ovsskit.engine.notices import Silent
from ovsskit.eval.callbacks import EvalCallbacks
from ovsskit.reproduce.comparison import Comparison
from ovsskit.reproduce.options import OUT, TOLERANCE, ReproduceOptions
from ovsskit.reproduce.reproduce import reproduce


def run_reproduce(
    recipe: str | Path,
    *overrides: str,
    root: str | Path,
    variants: bool = False,
    tolerance: float = TOLERANCE,
    out: str | Path = OUT,
    limit: int | None = None,
    device: str = "auto",
    batch: int | str = "auto",
    callbacks: EvalCallbacks | None = None,
) -> list[Comparison]:
    """Measure what a recipe's method is published to reach, and compare, number by number.

    Data sets lie below `root`; with `variants`, the recipe's variants for further ones are measured
    too. `tolerance` is in points. Overrides are `"address=value"`. The same call goes on with
    evaluations that were stopped.

        for one in ovsskit.run_reproduce("naclip", root="data", variants=True):
            print(one.published.dataset, one.published.value, one.measured, one.outcome)

    Raises:
        OvsskitError: something is wrong with a recipe, data set, output folder, device or weights.
    """
    options = ReproduceOptions(
        (str(recipe),),
        Path(root),
        variants=variants,
        out=Path(out),
        overrides=overrides,
        device=device,
        batch=str(batch),
        limit=limit,
        tolerance=tolerance,
    )
    return reproduce(options, callbacks or Silent())
