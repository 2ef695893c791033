"""The words that the embedded models were trained on."""

from typing import Final

NOUNS: Final[tuple[str, ...]] = (
    "dog",
    "cat",
    "cow",
    "bird",
    "fish",
    "elephant",
    "butterfly",
    "car",
    "bus",
    "train",
    "fire truck",
    "airplane",
    "boat",
    "bicycle",
    "house",
    "tree",
    "flower",
    "mushroom",
    "apple",
    "ice cream",
    "cake",
    "ball",
    "umbrella",
    "book",
)
"""Countable things. A mask holds `NOUNS.index(noun) + 1`; 0 is no thing."""

STUFFS: Final[tuple[str, ...]] = ("sky", "grass", "water", "sand", "brick", "night")
"""Backgrounds. A stuff mask holds `STUFFS.index(stuff) + 1`."""

CLASSES: Final[tuple[str, ...]] = NOUNS + STUFFS
"""Every word the models know, things first."""
