"""Tiny models and sample scenes that come with the package."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ovsskit.embedded.names import CLASSES, NOUNS, STUFFS

__all__ = [
    "BLIP_ITM_FOLDER",
    "CLASSES",
    "CLIP_FOLDER",
    "DINO_FOLDER",
    "NOUNS",
    "OFA_FOLDER",
    "SCENES_FOLDER",
    "STUDENT_FOLDER",
    "STUFFS",
    "SampleScene",
    "sample_scenes",
]

BLIP_ITM_FOLDER: Final = Path(__file__).parent / "blip_itm"
"""Weights for `transformers.BlipForImageTextRetrieval`."""

CLIP_FOLDER: Final = Path(__file__).parent / "clip"
"""Weights with open_clip's names, and an open_clip configuration."""

DINO_FOLDER: Final = Path(__file__).parent / "dino"
"""Weights of a tiny DINO with the authors' names, and the number of its heads."""

OFA_FOLDER: Final = Path(__file__).parent / "ofa"
"""Weights of a tiny OFA under the official names, and its dictionary; `ofa_tuned` beside it is
tuned for all words.
"""

STUDENT_FOLDER: Final = Path(__file__).parent / "student"
"""Weights of a student of the quickstart, as `ovsskit distil` leaves them, in half precision."""

SCENES_FOLDER: Final = Path(__file__).parent / "scenes"
"""Images, masks and `scenes.json`."""


@dataclass(frozen=True)
class SampleScene:
    """One sample image, its true masks, and what is in it."""

    name: str
    image: Path
    mask: Path
    stuff_mask: Path
    nouns: tuple[str, ...]
    stuffs: tuple[str, ...]
    held_out_drawings: bool


def sample_scenes() -> tuple[SampleScene, ...]:
    """List the sample scenes in order."""
    listing = json.loads((SCENES_FOLDER / "scenes.json").read_text(encoding="utf-8"))
    return tuple(
        SampleScene(
            name=scene["name"],
            image=SCENES_FOLDER / scene["image"],
            mask=SCENES_FOLDER / scene["mask"],
            stuff_mask=SCENES_FOLDER / scene["stuff_mask"],
            nouns=tuple(scene["nouns"]),
            stuffs=tuple(scene["stuffs"]),
            held_out_drawings=scene["arguments"]["drawing_set"] == "held-out",
        )
        for scene in listing["scenes"]
    )
