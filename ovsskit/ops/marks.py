"""Mark what a mask shows, so that a model that sees the whole image looks there.

Bytes are the same as those of CaR's released code, which draws and blurs with OpenCV.
Source: Sun et al., "CLIP as RNN", CVPR 2024, arXiv 2312.07661; code google-research/clip_as_rnn.
The red ellipse: Shtedritski et al., ICCV 2023, arXiv 2304.06712.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ovsskit._lazy import Bool, Int, UInt8, numpy, scipy
from ovsskit.ops.lines import draw_ellipse, draw_line

Mark = Literal["blur", "grey", "black", "ellipse", "rectangle", "contour"]

BLUR_SIZE, BLUR_SIGMA = 15, 2.6
"""What OpenCV takes for a kernel of this size where no standard deviation is given."""
GREY = (3735, 19235, 9798)
"""Weights of red, green and blue in 32768ths: those of luma, with red and blue exchanged."""
RED = (255, 0, 0)


def draw_marks(
    pixels: UInt8[numpy.ndarray, "h w 3"],
    masks: Bool[numpy.ndarray, "mask h w"],
    marks: Sequence[Mark],
) -> UInt8[numpy.ndarray, "mask h w 3"]:
    """Return the image once for every mask, with the marks; in which order they are named is equal.

    Outside the mask, `blur` comes first, then `grey` without colour, then `black`. Lines are red:
    `ellipse` and `rectangle` are as large as the mask's box, but lie around its centre of mass;
    `contour` are the mask's outermost pixels, holes filled. A mask without a pixel has no lines.
    """
    outside = pixels
    if "blur" in marks:
        outside = blur(outside)
    if "grey" in marks:
        luma = (outside.astype(numpy.int32) @ numpy.array(GREY) + 16384) >> 15
        outside = numpy.repeat(luma[..., None].astype(numpy.uint8), 3, 2)
    if "black" in marks:
        outside = numpy.zeros_like(outside)
    drawn = numpy.where(masks[..., None], pixels, outside)
    for one, mask in zip(drawn, masks, strict=True):
        one[outline(mask, marks)] = RED
    return drawn


def blur(pixels: UInt8[numpy.ndarray, "h w 3"]) -> UInt8[numpy.ndarray, "h w 3"]:
    """Blur an image by a Gaussian in whole numbers, mirrored at the border."""
    weights = blur_weights()
    blurred = pixels.astype(numpy.int64)
    for axis in (1, 0):
        blurred = scipy.ndimage.correlate1d(blurred, weights, axis, mode="mirror")
    return ((blurred + 32768) >> 16).astype(numpy.uint8)


def blur_weights() -> Int[numpy.ndarray, " place"]:
    """Return the Gaussian in 256ths: what rounding loses from the edge inwards goes to the next."""
    reach = BLUR_SIZE // 2
    wave = numpy.exp(-0.5 * (numpy.arange(-reach, reach + 1) / BLUR_SIGMA) ** 2)
    side = wave[:reach] / wave.sum() * 256
    rounded = numpy.diff(numpy.round(numpy.cumsum(side)), prepend=0).astype(numpy.int64)
    return numpy.concatenate([rounded, [256 - 2 * rounded.sum()], rounded[::-1]])


def outline(mask: Bool[numpy.ndarray, "h w"], marks: Sequence[Mark]) -> Bool[numpy.ndarray, "h w"]:
    """Return the pixels of the lines among the marks."""
    canvas = numpy.zeros_like(mask)
    if not mask.any():
        return canvas
    places = mask.nonzero()
    row, column = (int(one.mean()) for one in places)
    tall, wide = (int(one.max() - one.min() + 1) // 2 for one in places)
    if "ellipse" in marks:
        draw_ellipse(canvas, (row, column), (tall, wide))
    if "rectangle" in marks:
        top, bottom, left, right = row - tall, row + tall, column - wide, column + wide
        for side in (top, bottom):
            draw_line(canvas, (side, left), (side, right))
        for side in (left, right):
            draw_line(canvas, (top, side), (bottom, side))
    if "contour" in marks:
        filled = scipy.ndimage.binary_fill_holes(mask)
        canvas |= filled & ~scipy.ndimage.binary_erosion(filled)
    return canvas
