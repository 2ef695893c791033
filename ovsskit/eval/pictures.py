"""Draw the worst and the best images: truth, prediction, and where they differ."""

from __future__ import annotations

import heapq
from functools import partial

import PIL.Image

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.colours import BLACK
from ovsskit.datasets.dataset import Facts
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.files.own import OwnFolder
from ovsskit.run.output.heat import Tile, draw_sheet
from ovsskit.run.output.overlay import resize_both, tint_image

KEPT = 12
"""How many of the worst images are kept, and how many of the best."""
SIDE = 320
"""The longer side of each part of a picture, in pixels."""
ERRORS = Vocabulary(
    ("wrong", "not counted"), (0, 1, 2), (BLACK, (225, 30, 30), (70, 90, 200)), "right"
)


class Pictures:
    """Keep pictures of the worst and the best images in a folder, as scores come in."""

    def __init__(self, folder: OwnFolder, facts: Facts) -> None:
        """Draw in a folder, in the colours of a data set; its background is not tinted."""
        self.folder, self.background = folder, facts.background
        ids = tuple(range(len(facts.classes) + 1))
        self.vocabulary = Vocabulary(
            facts.classes, ids, (BLACK, *facts.palette), "none of the classes"
        )
        self.worst: list[tuple[float, int]] = []
        self.best: list[tuple[float, int]] = []

    @property
    def kept(self) -> set[int]:
        """Return the places of the images of which there are pictures."""
        return {index for _, index in (*self.worst, *self.best)}

    def remember(self, score: float, index: int) -> None:
        """Note an image whose picture an earlier session may have drawn."""
        if (self.folder.path / place(index)).is_file():
            self._push(score, index)

    def offer(
        self,
        score: float,
        index: int,
        image: Image,
        truth: Int[numpy.ndarray, "h w"],
        predicted: Int[numpy.ndarray, "h w"],
    ) -> None:
        """Draw an image if it is among the worst or the best so far, and drop what is not now.

        Both masks hold numbers of classes, below 0 where they show none.
        """
        before = self.kept
        self._push(score, index)
        if index in self.kept:
            drawn = draw_comparison(image, truth, predicted, self.vocabulary, self.background)
            write = partial(drawn.save, format="JPEG", quality=88, subsampling=0)
            self.folder.write(place(index), write)
        for gone in before - self.kept:
            self.folder.delete(place(gone))

    def _push(self, score: float, index: int) -> None:
        for heap, value in ((self.worst, -score), (self.best, score)):
            heapq.heappush(heap, (value, index))
            if len(heap) > KEPT:
                heapq.heappop(heap)


def place(index: int) -> str:
    """Return where the picture of an image lies in the folder."""
    return f"pictures/{index}.jpg"


def draw_comparison(
    image: Image,
    truth: Int[numpy.ndarray, "h w"],
    predicted: Int[numpy.ndarray, "h w"],
    vocabulary: Vocabulary,
    background: int | None = None,
) -> PIL.Image.Image:
    """Draw an image, its true classes, what was found, and where that is wrong.

    Both masks hold numbers of classes, below 0 where they show none; the name of class i stands in
    the vocabulary at i.
    """
    pixels = image.pixels.cpu().numpy()
    scale = SIDE / max(truth.shape)
    errors = numpy.where(truth < 0, 2, truth != predicted)
    small, true = resize_both(pixels, _shown(truth, background), scale)
    _, found = resize_both(pixels, _shown(predicted, background), scale)
    _, wrong = resize_both(pixels, errors, scale)
    grey = small.convert("L").convert("RGB")
    nothing = vocabulary.background if background is None else vocabulary.names[background]
    tiles = [
        Tile(small, image.name),
        Tile(tint_image(small, true, vocabulary), f"true: {_names(true, vocabulary, nothing)}"),
        Tile(tint_image(small, found, vocabulary), f"found: {_names(found, vocabulary, nothing)}"),
        Tile(tint_image(grey, wrong, ERRORS), "red is wrong, blue is not counted"),
    ]
    return draw_sheet(tiles)


def _shown(numbers: Int[numpy.ndarray, "h w"], background: int | None) -> Int[numpy.ndarray, "h w"]:
    """Return the labels to draw: 0 where nothing is tinted."""
    labels: numpy.ndarray = numpy.where(numbers == background, 0, numbers + 1)
    return labels


def _names(numbers: Int[numpy.ndarray, "h w"], vocabulary: Vocabulary, nothing: str) -> str:
    """Return the names of the classes that a mask shows, the largest first, or `nothing`."""
    held, counts = numpy.unique(numbers[numbers > 0], return_counts=True)
    names = [vocabulary.names[int(held[rank]) - 1] for rank in numpy.argsort(-counts)]
    return ", ".join(names[:4]) + (", ..." if names[4:] else "") or nothing
