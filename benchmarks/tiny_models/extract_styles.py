"""Draw the nouns in three more styles than Noto's, from packages of the npm registry.

Each package holds a file for every glyph.
Run once, with the unpacked packages `@twemoji/svg`, `@lobehub/fluent-emoji-flat` and
`@lobehub/fluent-emoji-3d`, and `resvg-py`:

    python -m tiny_models.extract_styles TWEMOJI FLUENT_FLAT FLUENT_3D
"""

import io
import sys
from pathlib import Path
from typing import Final

from PIL import Image

from ovsskit.embedded.names import NOUNS
from tiny_models.drawings import FOLDER, STYLES
from tiny_models.extract_drawings import (
    BITMAP_SIZE,
    COLOURS,
    EXTRA_GLYPHS,
    HELD_OUT_GLYPHS,
    TRAINING_GLYPHS,
)

FOLDER_STYLES: Final = STYLES[:3]


def find_file(folder: Path, glyph: str) -> Path | None:
    """Find a glyph's file; only some packages name the variation selector of older glyphs."""
    stem = f"{ord(glyph):x}"
    return next(
        (file for file in sorted(folder.rglob(f"{stem}*")) if file.stem in (stem, f"{stem}-fe0f")),
        None,
    )


def open_drawing(file: Path) -> Image.Image:
    """Open a drawing, cut to its ink."""
    return cut_to_ink(
        rasterise(file.read_text()) if file.suffix == ".svg" else Image.open(file).convert("RGBA")
    )


def rasterise(svg: str) -> Image.Image:
    """Draw an SVG as RGBA, larger than it will be."""
    import resvg_py

    drawn = bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=4 * BITMAP_SIZE, height=4 * BITMAP_SIZE)
    )
    return Image.open(io.BytesIO(drawn)).convert("RGBA")


def cut_to_ink(drawing: Image.Image) -> Image.Image:
    """Cut a drawing to its ink, its longer side that of Noto's bitmaps."""
    ink = drawing.crop(drawing.getchannel("A").getbbox())
    ink.thumbnail((BITMAP_SIZE, BITMAP_SIZE), Image.Resampling.LANCZOS)
    return ink


def write_drawing(drawing: Image.Image, folder: Path, noun: str, style: str, number: int) -> None:
    """Write a drawing with a palette that keeps transparency."""
    reduced = drawing.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
    reduced.save(folder / f"{noun.replace(' ', '_')}_{style}_{number}.png", optimize=True)


def extract(packages: list[Path], folder: Path = FOLDER) -> int:
    """Write every glyph that a package has into a folder and return how many there were."""
    count = 0
    for style, package in zip(FOLDER_STYLES, packages, strict=True):
        for noun in NOUNS:
            glyphs = "".join(
                every.get(noun, "") for every in (TRAINING_GLYPHS, EXTRA_GLYPHS, HELD_OUT_GLYPHS)
            )
            files = [file for file in (find_file(package, glyph) for glyph in glyphs) if file]
            for number, file in enumerate(files, start=1):
                write_drawing(open_drawing(file), folder, noun, style, number)
            count += len(files)
    return count


if __name__ == "__main__":
    print(f"{extract([Path(package) for package in sys.argv[1:]])} drawings written to {FOLDER}")
