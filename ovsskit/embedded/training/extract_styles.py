"""Draw the nouns in three more styles than Noto's, from packages of the npm registry.

Run once, with the unpacked packages `@twemoji/svg`, `@lobehub/fluent-emoji-flat` and `@lobehub/fluent-emoji-3d`, and `resvg-py`:

    python -m ovsskit.embedded.training.extract_styles TWEMOJI FLUENT_FLAT FLUENT_3D
"""

import io
import sys
from pathlib import Path

from PIL import Image

from ovsskit.embedded.names import NOUNS
from ovsskit.embedded.training.drawings import FOLDER, STYLES
from ovsskit.embedded.training.extract_drawings import BITMAP_SIZE, COLOURS, EXTRA_GLYPHS, HELD_OUT_GLYPHS, TRAINING_GLYPHS


def find_file(folder: Path, glyph: str) -> Path | None:
    """Find a glyph's file; some packages name the variation selector of older glyphs, and some do not."""
    stem = f"{ord(glyph):x}"
    return next((file for file in sorted(folder.rglob(f"{stem}*")) if file.stem in (stem, f"{stem}-fe0f")), None)


def open_drawing(file: Path) -> Image.Image:
    """Open a drawing as RGBA, cut to its ink, its longer side that of Noto's bitmaps."""
    if file.suffix == ".svg":
        import resvg_py

        drawn = bytes(resvg_py.svg_to_bytes(svg_path=str(file), width=4 * BITMAP_SIZE, height=4 * BITMAP_SIZE))
        drawing = Image.open(io.BytesIO(drawn)).convert("RGBA")
    else:
        drawing = Image.open(file).convert("RGBA")
    ink = drawing.crop(drawing.getchannel("A").getbbox())
    ink.thumbnail((BITMAP_SIZE, BITMAP_SIZE), Image.Resampling.LANCZOS)
    return ink


def extract(packages: list[Path], folder: Path = FOLDER) -> int:
    """Write every glyph that a package has into a folder and return how many there were."""
    count = 0
    for style, package in zip(STYLES, packages, strict=True):
        for noun in NOUNS:
            glyphs = "".join(every.get(noun, "") for every in (TRAINING_GLYPHS, EXTRA_GLYPHS, HELD_OUT_GLYPHS))
            files = [file for file in (find_file(package, glyph) for glyph in glyphs) if file]
            for number, file in enumerate(files, start=1):
                drawing = open_drawing(file).quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
                drawing.save(folder / f"{noun.replace(' ', '_')}_{style}_{number}.png", optimize=True)
            count += len(files)
    return count


if __name__ == "__main__":
    print(f"{extract([Path(package) for package in sys.argv[1:]])} drawings written to {FOLDER}")
