"""Captions by templates, from the words true of an image."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ovsskit.embedded.names import CLASSES, NOUNS, STUFFS

SINGLE: Final = (
    "a picture of {}",
    "a picture of a {}",
    "a picture of the {}",
    "a photo of {}",
    "a photo of a {}",
    "a photo of the {}",
    "a photo of one {}",
    "a photo of many {}",
    "a photo of my {}",
    "a photo of the hard to see {}",
    "a photo of the large {}",
    "a photo of the small {}",
    "a photo of the nice {}",
    "a photo of the cool {}",
    "a photo of the weird {}",
    "a photo of a clean {}",
    "a photo of a dirty {}",
    "a bad photo of a {}",
    "a good photo of the {}",
    "a low resolution photo of a {}",
    "a cropped photo of the {}",
    "a bright photo of a {}",
    "a dark photo of the {}",
    "a blurry photo of a {}",
    "a close-up photo of the {}",
    "a black and white photo of a {}",
    "a pixelated photo of the {}",
    "a jpeg corrupted photo of a {}",
    "itap of a {}",
    "an image of {}",
    "a rendering of a {}",
    "a painting of the {}",
    "a drawing of a {}",
    "a doodle of a {}",
    "a sketch of the {}",
    "a sculpture of a {}",
    "a tattoo of the {}",
    "graffiti of a {}",
    "art of the {}",
    "a cartoon {}",
    "a toy {}",
    "a plastic {}",
    "a plushie {}",
    "the origami {}",
    "the embroidered {}",
    "a {} in a video game",
    "there is a {} in the scene",
    "this is a {}",
    "the {}",
    "{}",
)

SEVERAL: Final = (
    "a photo of {}",
    "an image of {}",
    "there is {}",
    "here we see {}",
    "a scene with {}",
    "{}",
)

PLAIN: Final = "a picture of {}"
PLACES: Final = ("in front of {}", "on {}", "with {} behind", "and {}")


def single_caption(rng: np.random.Generator, name: str) -> str:
    """Write a caption that names one class."""
    caption = str(rng.choice(SINGLE)).format(name)
    return caption + "." if rng.random() < 0.3 else caption


def plain_caption(names: Sequence[str]) -> str:
    """Write the caption that PnP-OVSS uses: class names joined by blanks."""
    return PLAIN.format(" ".join(names))


def natural_caption(rng: np.random.Generator, names: Sequence[str]) -> str:
    """Write a sentence that names several classes."""
    if rng.random() < 0.2:
        return ", ".join(names)
    nouns = [f"{_article(name)} {name}" for name in names if name not in STUFFS]
    stuffs = [f"the {name}" if rng.random() < 0.5 else name for name in names if name in STUFFS]
    if not nouns:
        return str(rng.choice(SEVERAL)).format(_listing(stuffs))
    caption = str(rng.choice(SEVERAL)).format(_listing(nouns))
    if stuffs:
        caption += " " + str(rng.choice(PLACES)).format(_listing(stuffs))
    return caption + "." if rng.random() < 0.3 else caption


def caption(rng: np.random.Generator, names: Sequence[str], plain: bool) -> str:
    """Write a plain or a natural caption."""
    return plain_caption(names) if plain else natural_caption(rng, names)


def swap_one(rng: np.random.Generator, names: Sequence[str], visible: Sequence[str]) -> list[str]:
    """Replace one name, a noun where there is one, by a class of its kind that is not visible."""
    nouns = [place for place, name in enumerate(names) if name in NOUNS]
    place = int(rng.choice(nouns or range(len(names))))
    kind = NOUNS if names[place] in NOUNS else STUFFS
    absent = [name for name in kind if name not in visible]
    swapped = list(names)
    swapped[place] = str(rng.choice(absent))
    return swapped


def all_words() -> list[str]:
    """List every word that a caption can hold."""
    templates = " ".join((*SINGLE, *SEVERAL, PLAIN, *PLACES)).replace("{}", " ").replace("-", " ")
    return sorted({*templates.split(), *" ".join(CLASSES).split(), "a", "an", "and", "the"})


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


def _listing(items: Sequence[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]
