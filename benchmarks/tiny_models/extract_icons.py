"""Draw the nouns in four more styles, from packages of the npm registry that hold icons by name.

Run once, with the unpacked packages `@iconify-json/noto` (it tells the names of glyphs),
`@iconify-json/noto-v1`, `@iconify-json/emojione`, `@iconify-json/fxemoji` and
`@iconify-json/streamline-emojis`, and `resvg-py`:

    python -m tiny_models.extract_icons NOTO NOTO_V1 EMOJIONE FXEMOJI STREAMLINE
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from ovsskit.embedded.names import NOUNS
from tiny_models.drawings import FOLDER, STYLES
from tiny_models.extract_drawings import (
    EXTRA_GLYPHS,
    HELD_OUT_GLYPHS,
    TRAINING_GLYPHS,
)
from tiny_models.extract_styles import (
    FOLDER_STYLES,
    cut_to_ink,
    rasterise,
    write_drawing,
)

FULLEST: Final = 0.998
"""What fills more of its rectangle than this is an image with a background of its own."""

OTHER_NAMES: Final[dict[str, str]] = {
    "steamlocomotive": "locomotive",
    "evergreen": "evergreentree",
    "frontfacingchick": "frontfacingbabychick",
    "grinningcatface": "grinningcat",
    "grinningcatfacewithsmilingeyes": "grinningcatwithsmilingeyes",
    "smilingcatfacewithhearteyes": "smilingcatwithhearteyes",
}


def simplify(name: str) -> str:
    """Return a name without hyphens, without the number of a variant, and as Noto has it."""
    plain = re.sub(r"-\d+$", "", name).replace("-", "")
    return OTHER_NAMES.get(plain, plain)


def draw_icon(icons: dict[str, Any], name: str) -> Image.Image:
    """Draw an icon of a package, cut to its ink."""
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return cut_to_ink(rasterise(f'<svg {spaces} viewBox="{box}">{icon["body"]}</svg>'))


def glyphs_of(style: str, noun: str) -> str:
    """Return the glyphs of a noun.

    The first Noto draws some of the held-out ones much as they are drawn now.
    """
    held_out = {} if style == "noto_v1" else HELD_OUT_GLYPHS
    return "".join(every.get(noun, "") for every in (TRAINING_GLYPHS, EXTRA_GLYPHS, held_out))


def extract(names: Path, packages: list[Path], folder: Path = FOLDER) -> int:
    """Write every glyph that a package has into a folder and return how many there were."""
    by_code = json.loads((names / "chars.json").read_text())
    count = 0
    for style, package in zip(STYLES[len(FOLDER_STYLES) :], packages, strict=True):
        icons = json.loads((package / "icons.json").read_text())
        known = defaultdict(list)
        for name in icons["icons"]:
            known[simplify(name)].append(name)
        for noun in NOUNS:
            codes = [f"{ord(glyph):x}" for glyph in glyphs_of(style, noun)]
            wanted = [simplify(by_code.get(code) or by_code[f"{code}-fe0f"]) for code in codes]
            drawings = [draw_icon(icons, name) for one in wanted for name in known[one]]
            drawings = [
                one for one in drawings if (np.asarray(one.getchannel("A")) > 127).mean() <= FULLEST
            ]
            for number, drawing in enumerate(drawings, start=1):
                write_drawing(drawing, folder, noun, style, number)
            count += len(drawings)
    return count


if __name__ == "__main__":
    every = [Path(package) for package in sys.argv[1:]]
    print(f"{extract(every[0], every[1:])} drawings written to {FOLDER}")
