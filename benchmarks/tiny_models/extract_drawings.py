"""Cut the drawings of the nouns out of the Noto Color Emoji font.

Run once, with the font of Debian's package `fonts-noto-color-emoji`:

    python -m tiny_models.extract_drawings /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
"""

import sys
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from tiny_models.drawings import FOLDER

BITMAP_SIZE: Final = 109
COLOURS: Final = 255

TRAINING_GLYPHS: Final[dict[str, str]] = {
    "dog": "🐶🐩🦮",
    "cat": "🐱🐈",
    "cow": "🐮🐂",
    "bird": "🐦🐤🦜🦆",
    "fish": "🐟🐠",
    "elephant": "🐘",
    "butterfly": "🦋",
    "car": "🚗🚙🚘",
    "bus": "🚌🚍",
    "train": "🚆🚂🚄🚃",
    "fire truck": "🚒",
    "airplane": "✈",
    "boat": "⛵🚤🚢",
    "bicycle": "🚲",
    "house": "🏠🏚",
    "tree": "🌳🌲🌴",
    "flower": "🌸🌷🌺🌻",
    "mushroom": "🍄",
    "apple": "🍎",
    "ice cream": "🍦🍨",
    "cake": "🎂🍰",
    "ball": "⚽🏀⚾",
    "umbrella": "☂⛱",
    "book": "📕📗📘",
}

EXTRA_GLYPHS: Final[dict[str, str]] = {
    "cat": "😸😻",
    "cow": "🐃🦬",
    "bird": "🐧🦅🦉🕊🦢🐓",
    "fish": "🦈",
    "car": "🚓🚔🛻",
    "bus": "🚐",
    "train": "🚈🚊🚝🚋",
    "airplane": "🛫",
    "boat": "⛴🛳🛶",
    "house": "🏘🛖🏫",
    "tree": "🎋",
    "flower": "🌹🏵💐",
    "ball": "🥎🏈🎱",
    "umbrella": "🌂",
    "book": "📔📒📓",
}

HELD_OUT_GLYPHS: Final[dict[str, str]] = {
    "dog": "🐕",
    "cat": "😺",
    "cow": "🐄",
    "bird": "🐥",
    "fish": "🐡",
    "car": "🚕",
    "bus": "🚎",
    "train": "🚅",
    "airplane": "🛩",
    "boat": "🛥",
    "house": "🏡",
    "tree": "🎄",
    "flower": "🌼",
    "apple": "🍏",
    "ice cream": "🍧",
    "cake": "🧁",
    "ball": "🏐",
    "umbrella": "☔",
    "book": "📙",
}


def draw_glyph(font: ImageFont.FreeTypeFont, glyph: str) -> Image.Image:
    """Draw one glyph, cut to its ink, with a palette that keeps transparency."""
    canvas = Image.new("RGBA", (BITMAP_SIZE * 2, BITMAP_SIZE * 2))
    ImageDraw.Draw(canvas).text((0, 0), glyph, font=font, embedded_color=True)
    ink = canvas.crop(canvas.getbbox())
    return ink.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)


def extract(font_path: Path, folder: Path = FOLDER) -> int:
    """Write every glyph into a folder and return how many there were."""
    font = ImageFont.truetype(str(font_path), BITMAP_SIZE)
    drawings = {
        f"{noun.replace(' ', '_')}_{kind}{number}.png": glyph
        for kind, every in (("", TRAINING_GLYPHS), ("extra_", EXTRA_GLYPHS))
        for noun, glyphs in every.items()
        for number, glyph in enumerate(glyphs, start=1)
    }
    drawings |= {
        f"{noun.replace(' ', '_')}_held_out.png": glyph for noun, glyph in HELD_OUT_GLYPHS.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, glyph in drawings.items():
        draw_glyph(font, glyph).save(folder / name, optimize=True)
    return len(drawings)


if __name__ == "__main__":
    print(f"{extract(Path(sys.argv[1]))} drawings written to {FOLDER}")
