"""Draw the worst and the best images: truth, prediction, and where they differ."""

from __future__ import annotations

import heapq
from functools import partial

import PIL.Image

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.colours import BLACK
from ovsskit.datasets.dataset import Facts
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.run.output.errors import LEGEND, tint_classes, tint_errors
from ovsskit.run.output.heat import Tile, draw_sheet
from ovsskit.run.output.overlay import resize_both

KEPT = 12
"""How many of the worst images are kept, and how many of the best."""
PICTURES = "pictures"
SIDE = 320
"""The longer side of each part of a picture, in pixels."""


class Pictures:
    """Keep pictures of the worst and the best images in a folder, as scores come in."""

    def __init__(self, folder: OwnFolder, facts: Facts) -> None:
        """Draw in a folder, in the colours of a data set; its background is not tinted."""
        self.folder, self.background = folder, facts.background
        ids = tuple(range(len(facts.classes) + 1))
        self.vocabulary = Vocabulary(
            facts.classes, ids, (BLACK, *facts.palette), "none of the classes"
        )
        self.forget()

    def forget(self) -> None:
        """Know of no image."""
        self.worst: list[tuple[float, int]] = []
        self.best: list[tuple[float, int]] = []

    def drop_others(self) -> None:
        """Remove the pictures of images that are not among the worst and the best."""
        for path in (self.folder.path / PICTURES).glob("*.jpg"):
            if path.stem.isdecimal() and int(path.stem) not in self.kept:
                self.folder.delete(place(int(path.stem)))

    @property
    def kept(self) -> set[int]:
        """Return the places of the images of which there are pictures."""
        return {-index for _, index in (*self.worst, *self.best)}

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
        """Keep an image whose score is lower, or higher, than a kept one's; of equals the first."""
        for heap, value in ((self.worst, -score), (self.best, score)):
            if len(heap) < KEPT:
                heapq.heappush(heap, (value, -index))
            elif value > heap[0][0]:
                heapq.heapreplace(heap, (value, -index))


def place(index: int) -> str:
    """Return where the picture of an image lies in the folder."""
    return f"{PICTURES}/{index}.jpg"


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
    small, true = resize_both(pixels, truth, scale)
    _, found = resize_both(pixels, predicted, scale)
    nothing = vocabulary.background if background is None else vocabulary.names[background]
    seen, held = (_names(one, vocabulary, background) or nothing for one in (found, true))
    tiles = [
        Tile(small, image.name),
        Tile(tint_classes(small, true, vocabulary, background), f"true: {held}"),
        Tile(tint_classes(small, found, vocabulary, background), f"found: {seen}"),
        Tile(tint_errors(small, true, found), LEGEND),
    ]
    return draw_sheet(tiles)


def _names(
    numbers: Int[numpy.ndarray, "h w"], vocabulary: Vocabulary, background: int | None
) -> str:
    """Return the names of the classes that a mask shows, but the background, the largest first."""
    shown = numbers[(numbers >= 0) & (numbers != (-1 if background is None else background))]
    held, counts = numpy.unique(shown, return_counts=True)
    names = [vocabulary.names[int(held[rank])] for rank in numpy.argsort(-counts)]
    return ", ".join(names[:4]) + (", ..." if names[4:] else "")
