"""`ovsskit eval`: measure a recipe on a data set, or on images with masks of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.completion import complete_dataset, complete_protocol, complete_recipe
from ovsskit.cli.options import (
    Bands,
    Batch,
    Classes,
    ClassesFile,
    Device,
    Ignore,
    Limit,
    MaxPixels,
    Plugins,
    Quiet,
    Sets,
    ShardOption,
    Stretched,
    TruthClasses,
    choose_reading,
    hide_bars,
    load_plugins,
)
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.shard import read_shard


def eval(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe file, or name of a shipped recipe; none with --masks.",
            autocompletion=complete_recipe,
        ),
    ] = "",
    images: Annotated[
        list[str],
        typer.Argument(
            help="With --truth: the images, as files, folders, globs, or a list (.txt)."
        ),
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="A data set (`ovsskit datasets` lists them), hf:NAME of the hub, or parquet.",
            autocompletion=complete_dataset,
        ),
    ] = "",
    root: Annotated[Path | None, typer.Option("--root", help="The data set's folder.")] = None,
    split: Annotated[
        str,
        typer.Option(
            "--split", help="Split of the data set.", show_default="the one that papers report"
        ),
    ] = "",
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            help="Layout of its files; for a table, its columns, such as image:mask.",
            show_default="the first one found",
        ),
    ] = "",
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Folder of true masks, named like their images."),
    ] = None,
    truth_classes: TruthClasses = None,
    ignore: Ignore = [255],  # noqa: B006
    masks: Annotated[
        Path | None,
        typer.Option("--masks", help="Measure the masks in this folder of a finished run."),
    ] = None,
    coarse: Annotated[
        str,
        typer.Option(
            "--coarse",
            help="Score coarser classes: coco_stuff27, or a file with `animal: dog, cat`.",
        ),
    ] = "",
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="The rules to count by: mmsegmentation, pnp_ovss...",
            autocompletion=complete_protocol,
        ),
    ] = "mmsegmentation",
    classes: Classes = None,
    classes_file: ClassesFile = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder.", show_default="ovsskit-eval/RECIPE-DATASET"),
    ] = None,
    sets: Sets = [],  # noqa: B006
    device: Device = "auto",
    batch: Batch = "auto",
    limit: Limit = None,
    shard: ShardOption = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    stretch: Stretched = "percentile",
    bands: Bands = None,
    save_masks: Annotated[
        bool, typer.Option("--save-masks", help="Save what was found in every image (PNG).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
    quiet: Quiet = False,
    plugins: Plugins = [],  # noqa: B006
) -> None:
    """Measure a recipe on images with true masks, and leave a record and a report in a folder.

    If an evaluation was stopped, the same command resumes it.
    """
    from ovsskit.cli.console import resumable
    from ovsskit.cli.eval_report import EvalReport
    from ovsskit.eval.eval import evaluate
    from ovsskit.eval.options import EvalOptions, TruthOptions

    load_plugins(plugins)
    hide_bars(quiet=quiet)
    options = EvalOptions(
        recipe=recipe,
        images=tuple(images),
        classes=classes,
        classes_file=classes_file,
        out=out,
        overrides=tuple(sets),
        device=device,
        batch=batch,
        limit=limit,
        shard=read_shard(shard),
        reading=choose_reading(max_pixels, stretch, bands),
        masks=masks,
        truth=TruthOptions(
            dataset, root, split, layout, truth, truth_classes, tuple(ignore), coarse
        ),
        protocol=protocol,
        save_masks=save_masks,
    )
    with resumable(), EvalReport(quiet=quiet, as_json=json) as report:
        record = evaluate(options, report)
    if record["images"]["left_out"]:
        raise typer.Exit(1)
