"""From a person's list of words to a vocabulary."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ovsskit.errors import BadClasses, Place
from ovsskit.values import Vocabulary

GOLDEN_RATIO = 0.618033988749895
LARGEST_ID = 65535


def make_vocabulary(names: Sequence[str], ids: Sequence[int] = (), background: str = "background") -> Vocabulary:
    """Make a vocabulary of names; a name equal to the background's is taken as the background, not as a class.

    Raises:
        BadClasses: there is no name, a name is blank or stands twice (twice is allowed where ids tell them apart),
            or the ids do not match the names.
    """
    cleaned = [" ".join(name.split()) for name in names]
    if "" in cleaned:
        raise BadClasses("A class has an empty name.", fix='Separate names by single commas: "dog, cat, grass".')
    kept = [name for name in cleaned if ids or name.casefold() != background.casefold()]
    if not kept:
        raise BadClasses("There is no class to look for.", fix='Name some: --classes "dog, cat, grass".')
    twice = [name for name, count in Counter(name.casefold() for name in kept).items() if count > 1]
    if twice and not ids:
        raise BadClasses(f"Named more than once: {', '.join(twice)}.", fix="Name each class once.")
    if max(ids, default=0) > LARGEST_ID:
        raise BadClasses(f"The id {max(ids)} is too large.", fix=f"Masks hold numbers up to {LARGEST_ID}.")
    if ids and (len(ids) != len(kept) or len(set(ids)) != len(ids) or min(ids) < 1):
        raise BadClasses(
            f"{len(ids)} ids for {len(kept)} names.", fix="Give every name an id of its own, 1 or more (0 is the background)."
        )
    numbers = tuple(ids) or tuple(range(1, len(kept) + 1))
    return Vocabulary(tuple(kept), (0, *numbers), _colours(len(kept)), background)


def split_classes(text: str) -> list[str]:
    """Split names that stand on one line, with commas between them."""
    return [name.strip() for name in text.split(",")]


def read_classes(path: Path) -> list[str]:
    """Read class names from a text file, one on each line; blank lines are passed over.

    Raises:
        BadClasses: the file is missing, is no UTF-8 text, or holds no name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadClasses(
            f"The file of classes cannot be read: {reason}.", fix="Write one name on each line.", where=Place(str(path))
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise BadClasses("The file of classes is empty.", fix="Write one name on each line.", where=Place(str(path)))
    return names


def _colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return black for the background, then colours whose hues stay far apart however many there are."""
    colours = [(0, 0, 0)]
    for index in range(count):
        hue = (0.02 + index * GOLDEN_RATIO) % 1.0
        lightness, saturation = [(0.55, 0.9), (0.4, 0.75), (0.7, 0.8)][index // 8 % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)
