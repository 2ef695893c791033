"""Procedural scenes: drawings of nouns over painted stuffs, with their true masks."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image, ImageFilter

from ovsskit.embedded.names import NOUNS, STUFFS
from tiny_models import drawings
from tiny_models.backgrounds import paint_background
from tiny_models.variation import vary

SMALLEST_NOUN: Final = 0.008
SMALLEST_STUFF: Final = 0.04
PLACING_TRIES: Final = 8


@dataclass(frozen=True)
class Scene:
    """An image with its true masks; mask values are 1-based positions, 0 is nothing."""

    image: Image.Image
    things: UInt8[ndarray, "height width"]
    stuffs: UInt8[ndarray, "height width"]

    @property
    def nouns(self) -> list[str]:
        """List the nouns that are large enough to see."""
        return _large_enough(self.things, NOUNS, SMALLEST_NOUN)

    @property
    def visible_stuffs(self) -> list[str]:
        """List the stuffs that are large enough to see."""
        return _large_enough(self.stuffs, STUFFS, SMALLEST_STUFF)


def make_scene(
    seed: int,
    width: int,
    height: int,
    drawing_set: drawings.DrawingSet = "training",
    count: int | None = None,
) -> Scene:
    """Paint one scene; equal arguments give equal scenes."""
    rng = np.random.default_rng(seed)
    background, stuffs = paint_background(rng, height, width)
    image = Image.fromarray(background)
    owner = np.zeros((height, width), np.uint8)
    areas: list[int] = []
    things = np.zeros((height, width), np.uint8)
    drawable = drawings.drawable(drawing_set)
    count = int(rng.choice([1, 2, 3, 4], p=[0.2, 0.35, 0.3, 0.15])) if count is None else count
    for noun in rng.choice(list(drawable), count, replace=False):
        file_name = str(rng.choice(drawable[noun]))
        drawing = drawings.load(file_name)
        drawing = vary(rng, drawing) if drawing_set in ("varied", "styles") else drawing
        thing = _transform(rng, drawing, min(height, width), count)
        solid = np.asarray(thing.getchannel("A")) > 127
        corner = _find_place(rng, owner, areas, solid)
        if corner is None:
            continue
        _paste(image, thing, corner)
        inside = _window(things, solid, corner)
        areas.append(int(inside.sum()))
        owner[inside] = len(areas)
        things[inside] = NOUNS.index(str(noun)) + 1
    stuffs[things > 0] = 0
    return Scene(image, things, stuffs)


def _large_enough(
    mask: UInt8[ndarray, "height width"], names: tuple[str, ...], fraction: float
) -> list[str]:
    counts = np.bincount(mask.ravel(), minlength=len(names) + 1)[1:]
    return [name for name, area in zip(names, counts, strict=True) if area >= fraction * mask.size]


def _transform(
    rng: np.random.Generator, drawing: Image.Image, unit: int, count: int
) -> Image.Image:
    largest = {1: 0.92, 2: 0.72, 3: 0.62}.get(count, 0.54)
    size = unit * np.exp(rng.uniform(np.log(0.25), np.log(largest)))
    scale = size / max(drawing.size)
    width = max(4, round(drawing.width * scale * rng.uniform(0.92, 1.08)))
    height = max(4, round(drawing.height * scale))
    thing = drawing.resize((width, height), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    thing = thing.rotate(rng.normal(0, 9), Image.Resampling.BICUBIC, expand=True)
    gains = rng.uniform(0.86, 1.1) * rng.uniform(0.94, 1.06, 3)
    levels = np.arange(256)
    table = [np.clip(levels * gain, 0, 255).astype(int) for gain in gains]
    return thing.point(np.concatenate([*table, levels]).tolist())


def _find_place(
    rng: np.random.Generator,
    owner: UInt8[ndarray, "height width"],
    areas: list[int],
    solid: Bool[ndarray, "rows columns"],
) -> tuple[int, int] | None:
    """Find a corner where the thing hides little and stays mostly inside."""
    height, width = owner.shape
    rows, columns = solid.shape
    margin_x, margin_y = round(columns * 0.12), round(rows * 0.12)
    for _ in range(PLACING_TRIES):
        x = int(rng.integers(-margin_x, max(width - columns + margin_x, 1 - margin_x)))
        y = int(rng.integers(-margin_y, max(height - rows + margin_y, 1 - margin_y)))
        covered = owner[_window(owner, solid, (x, y))]
        hidden = np.bincount(covered, minlength=len(areas) + 1)[1:]
        left = np.bincount(owner.ravel(), minlength=len(areas) + 1)[1:] - hidden
        if hidden.sum() <= 0.3 * solid.sum() and (left >= 0.6 * np.array(areas)).all():
            return x, y
    return None


def _window(
    canvas: UInt8[ndarray, "height width"],
    solid: Bool[ndarray, "rows columns"],
    corner: tuple[int, int],
) -> Bool[ndarray, "height width"]:
    """Lay a small mask over a canvas of False at a corner."""
    (x, y), (height, width) = corner, canvas.shape
    inside = np.zeros((height, width), bool)
    cut = solid[max(0, -y) : height - y, max(0, -x) : width - x]
    inside[max(0, y) : max(0, y) + cut.shape[0], max(0, x) : max(0, x) + cut.shape[1]] = cut
    return inside


def _paste(image: Image.Image, thing: Image.Image, corner: tuple[int, int]) -> None:
    """Paste a thing and a soft shadow below it."""
    reach = max(1.0, max(thing.size) * 0.03)
    shadow = thing.getchannel("A").point([level * 9 // 25 for level in range(256)])
    shadow = shadow.filter(ImageFilter.BoxBlur(reach))
    image.paste((0, 0, 0), (corner[0] + round(reach / 2), corner[1] + round(reach)), shadow)
    image.paste(thing, corner, thing)
