"""Write what differs between two runs as one page that carries its images in itself."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import PIL.Image

from ovsskit._lazy import Int, numpy
from ovsskit.compare.both_runs import BothRuns, Compared, SharedImage
from ovsskit.compare.pixel_counts import class_differences
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import Reading
from ovsskit.files.remote import image_path
from ovsskit.run.output.overlay import resize_both
from ovsskit.run.output.page import render_page

SIDE = 640
"""The longer side of the images on the page at most, in pixels."""


def render_comparison(
    both: BothRuns,
    compared: Compared,
    facts: Mapping[str, str],
    most: int,
    max_pixels: int,
    tell: Callable[[], None],
) -> str:
    """Return the page of a comparison, with the `most` images that disagree most.

    `facts` stand under the title, each after what it is about; `tell` is called after each image.

    Raises:
        BadImage: an image cannot be read any more.
        BadFile: a mask is missing, or not the one that its run wrote.
    """
    shown = []
    for image in compared.images[:most]:
        shown.append(_draw(both, image, max_pixels))
        tell()
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in both.classes.colours]
    data = {
        "titles": both.titles,
        "facts": facts,
        "classes": [
            {"name": name, "colour": colour, "background": place in both.classes.backgrounds}
            for place, (name, colour) in enumerate(zip(both.classes.names, colours, strict=True))
        ],
        "differences": [vars(one) for one in class_differences(compared.counts)],
        "images": shown,
        "left_out": len(compared.images) - len(shown),
    }
    return render_page("ovsskit.compare", "comparison.html", data=data)


def _draw(both: BothRuns, image: SharedImage, max_pixels: int) -> dict[str, Any]:
    """Return the entry of an image: its picture, and the classes of both runs at that size."""
    reading = Reading(max_pixels, both.runs[0].rendering)
    pixels = read_image(image_path(image.first.source), reading).pixels.numpy()
    first, second = both.masks(image)
    scale = min(1.0, SIDE / max(first.shape))
    small, one = resize_both(pixels, first, scale)
    _, other = resize_both(pixels, second, scale)
    return {
        "name": image.first.name,
        "source": image.first.source.encode("utf-8", "replace").decode(),
        "disagreement": image.disagreement,
        "miou": image.miou,
        "width": small.width,
        "height": small.height,
        "picture": f"data:image/jpeg;base64,{_jpeg(small)}",
        "places": sorted({int(place) for mask in (first, second) for place in numpy.unique(mask)}),
        "first": _pack(one),
        "second": _pack(other),
    }


def _jpeg(picture: PIL.Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()


def _pack(places: Int[numpy.ndarray, "h w"]) -> str:
    """Return a map of classes as text: 16 bits for every pixel, low byte first, deflated."""
    return base64.b64encode(zlib.compress(places.astype("<u2").tobytes())).decode()
