"""Write the polygons that YOLO segments objects by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ovsskit._lazy import Float, Int, UInt8, numpy
from ovsskit.datasets.extra import need
from ovsskit.export.format import Format, Part, Put
from ovsskit.export.found import Found
from ovsskit.export.yaml import DATA, data_yaml

INSIDE = 0.25
"""Where in a pixel a corner lies: readers cut off the fraction, or round it, and keep the pixel."""
THIN = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.4))
"""Where corners of lines and single pixels lie: readers need three that differ."""
HOLES, FILLED = "holes filled", "pixels filled in holes"


class YoloSeg(Format):
    """Polygons of connected regions (ultralytics, supervision); holes are filled, and counted."""

    image_folder = "images/train"
    wants_images = True

    def check(self) -> None:
        """Check that the package is there that finds outlines."""
        need("cv2", "YOLO's polygons", "export")

    def write(self, found: Found, put: Put) -> dict[str, Any]:
        """Write a line for each region: the place of its class from 0, and its outline.

        Regions touch at corners, too. Coordinates are fractions of the image's width and height.
        """
        lines, losses = [], {HOLES: 0, FILLED: 0}
        for place, one in enumerate(self.classes.classes):
            if one.number not in found.areas:
                continue
            mask = (found.ids == one.number).astype("uint8")
            outlines, holes = find_outlines(mask)
            if holes:
                losses[HOLES] += holes
                losses[FILLED] += _filled(mask, outlines)
            for outline in outlines:
                corners = (inner_corners(outline) / found.size).ravel().tolist()
                lines.append(" ".join([str(place), *(f"{corner:.8f}" for corner in corners)]))
        text = "".join(f"{line}\n" for line in lines)
        put(f"labels/train/{found.name}.txt", lambda file: file.write(text.encode()))
        return {"losses": {what: count for what, count in losses.items() if count}}

    def finish(self, parts: Iterable[Part], put: Put) -> None:
        """Write `data.yaml`."""
        paths = {"train": "images/train", "val": "images/train"}
        text = data_yaml(paths, [one.name for one in self.classes.classes])
        put(DATA, lambda file: file.write(text.encode()))


def find_outlines(
    mask: UInt8[numpy.ndarray, "h w"],
) -> tuple[list[Int[numpy.ndarray, "_ 2"]], int]:
    """Return the outlines of a mask's regions, and how many holes these have.

    An outline goes through the pixels at the edge (x, y); those in between are left out.
    """
    cv2 = need("cv2", "YOLO's polygons", "export")
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outside = [entry[3] < 0 for entry in tree[0]]
    pairs = zip(contours, outside, strict=True)
    outlines = [contour[:, 0].astype("int32") for contour, is_outside in pairs if is_outside]
    return outlines, outside.count(False)


def inner_corners(outline: Int[numpy.ndarray, "corner 2"]) -> Float[numpy.ndarray, "corners 2"]:
    """Return the corners of an outline, each inside its pixel, at least three that differ."""
    if len(outline) > 2:
        return outline + INSIDE
    near, side, far = THIN
    return numpy.concatenate([outline + near, outline[::-1] + side, outline[:1] + far])


def _filled(mask: UInt8[numpy.ndarray, "h w"], outlines: list[Int[numpy.ndarray, "_ 2"]]) -> int:
    """Return how many pixels the polygons cover that the mask does not."""
    cv2 = need("cv2", "YOLO's polygons", "export")
    drawn = numpy.zeros_like(mask)
    for outline in outlines:
        cv2.fillPoly(drawn, [outline], 1)
    return int(drawn.sum()) - int(mask.sum())
