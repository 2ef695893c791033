"""An evaluation from Python: one call, silent unless callbacks are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.datasets.truth import IGNORED
from ovsskit.engine.notices import Silent
from ovsskit.engine.rendering import Reading, Rendering, Stretch
from ovsskit.eval.callbacks import EvalCallbacks
from ovsskit.eval.eval import evaluate
from ovsskit.eval.options import EvalOptions, TruthOptions
from ovsskit.files.shard import read_shard
from ovsskit.run.options import as_option


def run_eval(
    recipe: str | Path,
    *overrides: str,
    dataset: str = "",
    root: str | Path | None = None,
    split: str = "",
    layout: str = "",
    images: str | Path = "",
    truth: str | Path | None = None,
    truth_classes: str | Path | None = None,
    ignored: Sequence[int] = IGNORED,
    coarse: str | Path = "",
    protocol: str = "mmsegmentation",
    classes: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    shard: str | None = None,
    device: str = "auto",
    batch: int | str = "auto",
    stretch: Stretch | tuple[float, float] = "percentile",
    bands: Sequence[int] = (),
    callbacks: EvalCallbacks | None = None,
) -> dict[str, Any]:
    """Measure a recipe on images with true masks, and return the record of the result.

    They are a data set below `root`, one of the hub (`hf:NAME`), parquet files at `root`
    (`parquet`), or a folder of images and one of masks. `coarse` names the data set or the file by
    whose coarser classes is counted. Overrides are `"address=value"`; `stretch` and `bands` say how
    numbers that are no bytes become colours. `shard` is a part of the images, such as `2/4`, of
    which other processes do the others. The same call goes on with an evaluation that was stopped.

        record = ovsskit.run_eval("naclip", dataset="voc21", root="data")
        print(record["metrics"]["miou"], record["interval"]["miou"])

    Raises:
        OvsskitError: something is wrong with the recipe, data set, classes, output folder, device
            or weights.
    """
    named = TruthOptions(
        dataset,
        None if root is None else Path(root),
        split,
        layout,
        None if truth is None else Path(truth),
        None if truth_classes is None else Path(truth_classes),
        tuple(ignored),
        str(coarse),
    )
    options = EvalOptions(
        str(recipe),
        classes=as_option(classes),
        out=None if out is None else Path(out),
        overrides=overrides,
        device=device,
        images=(str(images),) if images else (),
        batch=str(batch),
        reading=Reading(rendering=Rendering(stretch, tuple(bands))),
        limit=limit,
        shard=read_shard(shard),
        truth=named,
        protocol=protocol,
    )
    return evaluate(options, callbacks or Silent())
