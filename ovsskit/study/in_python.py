"""A study from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.engine.notices import Silent
from ovsskit.engine.rendering import Reading, Rendering, Stretch
from ovsskit.run.options import HERE, as_option
from ovsskit.study.search.state import StudyState
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.study import StudyCallbacks, search


def run_study(
    recipe: str | Path,
    *overrides: str,
    images: Sequence[str | Path] = (),
    classes: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    objectives: Sequence[str] = (),
    device: str = "auto",
    batch: int | str = "auto",
    workers: int | None = None,
    engine: str = HERE,
    stretch: Stretch | tuple[float, float] = "percentile",
    bands: Sequence[int] = (),
    callbacks: StudyCallbacks | None = None,
    **settings: Any,
) -> StudyState:
    """Search parameters of a recipe, or as a study file says, and return the state of the study.

    Overrides are `"address=value"`, and settings those of `[study]`, such as `trials=20`. `stretch`
    and `bands` say how numbers that are no bytes become colours. With `engine="ray"` a Ray cluster
    does the trials. The best recipe is the file `state.recipe`. The same call goes on with a study
    that was stopped.

        state = ovsskit.run_study("quickstart", images=["photos"], trials=20)
        pipeline = ovsskit.load(state.recipe)

    Raises:
        OvsskitError: something is wrong with the study, its images, its folder, or every trial
            fails.
    """
    options = StudyOptions(
        str(recipe),
        classes=as_option(classes),
        out=None if out is None else Path(out),
        overrides=overrides,
        device=device,
        images=tuple(map(str, images)),
        batch=str(batch),
        reading=Reading(rendering=Rendering(stretch, tuple(bands))),
        objectives=tuple(objectives),
        settings=settings,
        workers=workers,
        engine=engine,
    )
    return search(options, callbacks or Silent())
