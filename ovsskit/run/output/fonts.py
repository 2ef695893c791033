"""Find a font that has the letters of a name.

Pillow's own font has Latin letters only. For others the fonts of the machine are tried, those that
know many scripts first; where none has a letter the caller shows something else.
"""

from __future__ import annotations

from functools import cache

import PIL.ImageFont
from PIL.ImageFont import FreeTypeFont

SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansArabic-Regular.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "segoeui.ttf",
    "msyh.ttc",
    "msgothic.ttc",
    "malgun.ttf",
    "Nirmala.ttf",
)
"""Fonts that Linux, macOS and Windows bring, by file name."""


@cache
def font_for(text: str, size: int) -> FreeTypeFont | None:
    """Return a font, at a size in pixels, that has every letter of the text; None if none has."""
    for name in ("", *SYSTEM_FONTS):
        font = _load(name, size)
        if font is not None and _has(font, text):
            return font
    return None


@cache
def _load(name: str, size: int) -> FreeTypeFont | None:
    if not name:
        own = PIL.ImageFont.load_default(size)
        return own if isinstance(own, FreeTypeFont) else None
    try:
        return PIL.ImageFont.truetype(name, size)
    except OSError:
        return None


def _has(font: FreeTypeFont, text: str) -> bool:
    """Compare the image of each letter: those that a font lacks look like its missing sign."""
    missing = bytes(font.getmask("\U0010fffd"))
    return all(
        bytes(font.getmask(letter)) != missing for letter in set(text) if not letter.isspace()
    )
