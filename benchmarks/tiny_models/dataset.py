"""Rendered scenes on disk: small square images and the words true of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from ovsskit.embedded.names import CLASSES
from tiny_models.drawings import DrawingSet
from tiny_models.scenes import Scene, make_scene

IMAGE_SIZE: Final = 112
RENDER_SIZES: Final = ((128, 128), (144, 108), (108, 144), (160, 112), (112, 152))
MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)

TRAINING_SEED: Final = 0
VARIED_SEED: Final = 1_000_000
STYLES_SEED: Final = 2_000_000
SAMPLE_SEED: Final = 10_000_000
EVALUATION_SEED: Final = 20_000_000
SEEDS: Final[dict[DrawingSet, int]] = {
    "training": TRAINING_SEED,
    "varied": VARIED_SEED,
    "styles": STYLES_SEED,
}


@dataclass(frozen=True)
class Batch:
    """Normalised images and the words true of each, columns in the order of `CLASSES`."""

    pixels: Float[Tensor, "batch 3 side side"]
    visible: Bool[Tensor, "batch classes"]


@dataclass(frozen=True)
class Dataset:
    """Training images with complete word lists and no masks."""

    images: UInt8[ndarray, "scenes side side 3"]
    visible: Bool[ndarray, "scenes classes"]

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw a random batch, normalised; half of the images are mirrored."""
        images, visible = self.draw_bytes(rng, size)
        return Batch(normalise(torch.from_numpy(images)), torch.from_numpy(visible))

    def draw_bytes(
        self, rng: np.random.Generator, size: int
    ) -> tuple[UInt8[ndarray, "batch side side 3"], Bool[ndarray, "batch classes"]]:
        """Draw a random batch as it is stored; half of the images are mirrored."""
        rows = rng.choice(len(self.images), size, replace=False)
        images = self.images[rows]
        mirrored = rng.random(size) < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
        return images, self.visible[rows]


def join(first: Dataset, second: Dataset) -> Dataset:
    """Put two sets of training images together."""
    images = np.concatenate([first.images, second.images])
    return Dataset(images, np.concatenate([first.visible, second.visible]))


def normalise(images: UInt8[Tensor, "batch side side 3"]) -> Float[Tensor, "batch 3 side side"]:
    """Scale bytes the way CLIP and BLIP expect them."""
    scaled = images.permute(0, 3, 1, 2).float().div(255)
    mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
    return (scaled - mean[:, None, None]) / deviation[:, None, None]


def to_model_size(image: Image.Image) -> UInt8[ndarray, "side side 3"]:
    """Resize an image to the models' square input, whatever its shape."""
    return np.asarray(image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))


def words_of(scene: Scene) -> Bool[ndarray, " classes"]:
    """Mark the words true of a scene."""
    return np.isin(CLASSES, scene.nouns + scene.visible_stuffs)


def training_scene(number: int, drawing_set: DrawingSet) -> Scene:
    """Make a training scene of a shape that depends on its number."""
    width, height = RENDER_SIZES[number % len(RENDER_SIZES)]
    return make_scene(SEEDS[drawing_set] + number, width, height, drawing_set)


def render(folder: Path, scenes: int, drawing_set: DrawingSet = "training") -> Dataset:
    """Open the rendered scenes of a folder, rendering them first if they are missing."""
    images_file = folder / f"images_{drawing_set}_{scenes}.npy"
    visible_file = folder / f"words_{drawing_set}_{scenes}.npy"
    if not visible_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = np.empty((scenes, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        visible = np.empty((scenes, len(CLASSES)), bool)
        for number in range(scenes):
            scene = training_scene(number, drawing_set)
            images[number] = to_model_size(scene.image)
            visible[number] = words_of(scene)
        np.save(images_file, images)
        np.save(visible_file, visible)
    return Dataset(np.load(images_file, mmap_mode="r"), np.load(visible_file))
