"""Write the two dozen sample scenes; they were chosen by eye before any model was trained."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from ovsskit.embedded.names import NOUNS, STUFFS
from tiny_models.dataset import SAMPLE_SEED
from tiny_models.drawings import DrawingSet
from tiny_models.scenes import Scene, make_scene

SIZES: Final = ((320, 240), (288, 288), (352, 240), (240, 320), (384, 256))
COUNTS: Final = (2, 3, 3, 4)
CHOSEN: Final[dict[DrawingSet, tuple[int, ...]]] = {
    "training": (2, 3, 6, 7, 15, 19, 22, 27, 30, 41, 45, 46),
    "held-out": (2, 6, 9, 10, 12, 17, 19, 22, 25, 31, 32, 39),
}
FIRST_OF_SET: Final[dict[DrawingSet, int]] = {"training": 0, "held-out": 1000}
JPEG_QUALITY: Final = 92


def write_samples(folder: Path) -> None:
    """Write images, masks and `scenes.json`."""
    for part in ("images", "masks", "stuff"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    scenes: list[dict[str, Any]] = []
    for drawing_set, numbers in CHOSEN.items():
        for number in numbers:
            width, height = SIZES[number % len(SIZES)]
            made: dict[str, Any] = {
                "seed": SAMPLE_SEED + FIRST_OF_SET[drawing_set] + number,
                "width": width,
                "height": height,
                "drawing_set": drawing_set,
                "count": COUNTS[number % len(COUNTS)],
            }
            name = f"scene_{len(scenes) + 1:02d}"
            scene = make_scene(**made)
            _write_scene(scene, folder, name)
            scenes.append(_describe(scene, name, made))
    listing = {"nouns": NOUNS, "stuffs": STUFFS, "scenes": scenes}
    unfinished = folder / "scenes.json.part"
    unfinished.write_text(json.dumps(listing, indent=1) + "\n")
    unfinished.replace(folder / "scenes.json")


def _describe(scene: Scene, name: str, made: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"images/{name}.jpg",
        "mask": f"masks/{name}.png",
        "stuff_mask": f"stuff/{name}.png",
        "nouns": scene.nouns,
        "stuffs": scene.visible_stuffs,
        "made_by": "tiny_models.scenes.make_scene",
        "arguments": made,
    }


def _write_scene(scene: Scene, folder: Path, name: str) -> None:
    image = folder / "images" / f"{name}.jpg"
    scene.image.save(image, quality=JPEG_QUALITY, subsampling=0, optimize=True)
    for part, mask in (("masks", scene.things), ("stuff", scene.stuffs)):
        _indexed(mask).save(folder / part / f"{name}.png", optimize=True)


def _indexed(mask: UInt8[ndarray, "height width"]) -> Image.Image:
    """Give a mask a palette; index 0 is black and neighbours differ."""
    image = Image.fromarray(mask, mode="L").convert("P")
    image.putdata(mask.ravel().tolist())
    hues = (np.arange(256) * 159 % 256).astype(np.uint8)
    hues_saturations_values = np.stack([hues, np.full(256, 190), np.full(256, 240)], 1)
    hues_saturations_values[0] = 0
    colours = Image.fromarray(hues_saturations_values[None].astype(np.uint8), mode="HSV")
    image.putpalette(np.asarray(colours.convert("RGB")).ravel().tolist())
    return image
