"""The drawings of the nouns: small images with transparency."""

from functools import cache
from pathlib import Path
from typing import Final, Literal

from PIL import Image

from ovsskit.embedded.names import NOUNS

FOLDER: Final = Path(__file__).parent / "drawings"

STYLES: Final = (
    "twemoji",
    "fluent_flat",
    "fluent_3d",
    "noto_v1",
    "emojione",
    "fxemoji",
    "streamline",
)
"""Styles beside Noto's, as the names of files tell them."""

DrawingSet = Literal["training", "varied", "styles", "held-out"]
"""The plain training drawings, these and more of them changed at random, these and other styles so,
or those never trained on.
"""


def file_names(noun: str, drawing_set: DrawingSet) -> list[str]:
    """List the files that draw a noun in one of the sets."""
    stem = noun.replace(" ", "_")
    if drawing_set == "held-out":
        return sorted(path.name for path in FOLDER.glob(f"{stem}_held_out.png"))
    plain = sorted(path.name for path in FOLDER.glob(f"{stem}_[0-9].png"))
    if drawing_set == "training":
        return plain
    varied = plain + sorted(path.name for path in FOLDER.glob(f"{stem}_extra_[0-9].png"))
    if drawing_set == "varied":
        return varied
    return varied + sorted(
        path.name for style in STYLES for path in FOLDER.glob(f"{stem}_{style}_*.png")
    )


@cache
def load(file_name: str) -> Image.Image:
    """Open a drawing as RGBA."""
    with Image.open(FOLDER / file_name) as drawing:
        return drawing.convert("RGBA")


@cache
def drawable(drawing_set: DrawingSet) -> dict[str, list[str]]:
    """Map each noun that the set draws to its files."""
    drawn = {noun: file_names(noun, drawing_set) for noun in NOUNS}
    return {noun: files for noun, files in drawn.items() if files}
