"""`ovsskit export`: write the masks of a finished run in what other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovsskit.cli.completion import complete_format
from ovsskit.cli.options import MaxPixels, Quiet, ShardOption, hide_bars
from ovsskit.export.registry import format_files
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.shard import read_shard

if TYPE_CHECKING:
    from ovsskit.export.options import Images


def export(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of a finished run, or of a student; without it, formats are listed."
        ),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help=f"The format: {', '.join(format_files())}; of a student onnx.",
            autocompletion=complete_format,
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Output folder.", show_default="ovsskit-export/RUN-FORMAT"),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="NAMES", help="Export only these classes of the run."),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence",
            help="Pixels below this become background (needs run --save-confidence).",
        ),
    ] = None,
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Copy the images next to the masks.")
    ] = False,
    link_images: Annotated[
        bool, typer.Option("--link-images", help="Link the images next to the masks.")
    ] = False,
    simplify: Annotated[
        float,
        typer.Option(
            "--simplify",
            metavar="PIXELS",
            min=0,
            help="Let outlines of regions deviate by about this many pixels (geopackage, geojson).",
        ),
    ] = 0.0,
    max_pixels: MaxPixels = MAX_PIXELS,
    shard: ShardOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write the masks of a finished run in a format that other tools read.

    If an export was stopped, the same command resumes it.
    """
    from ovsskit.cli.console import console, resumable
    from ovsskit.cli.export_report import ExportReport, left_out_of, list_formats
    from ovsskit.errors import BadValue, Place
    from ovsskit.export.export import export_run
    from ovsskit.export.options import ExportOptions

    if run is None and not to:
        list_formats()
        return
    if run is None:
        fix = "Name the folder that `ovsskit run --out` wrote."
        raise BadValue("Nothing says which run to export.", fix=fix, where=Place("RUN"))
    if to == "onnx":
        from ovsskit.distil.onnx_file import write_onnx

        written = write_onnx(run, out or Path("ovsskit-export") / f"{run.resolve().name}-onnx")
        if not quiet:
            console.print(f"wrote {written}", highlight=False)
        return
    if copy_images and link_images:
        fix = "Give --copy-images or --link-images, not both."
        what = "Images cannot be both copied and linked."
        raise BadValue(what, fix=fix, where=Place("--link-images"))
    hide_bars(quiet=quiet)
    images: Images = "copy" if copy_images else "link" if link_images else ""
    options = ExportOptions(
        run,
        to,
        out=out,
        classes=classes,
        min_confidence=min_confidence,
        images=images,
        simplify=simplify,
        max_pixels=max_pixels,
        shard=read_shard(shard),
    )
    with resumable(), ExportReport(quiet=quiet, as_json=json) as report:
        record = export_run(options, report)
    if left_out_of(record, options.shard):
        raise typer.Exit(1)
