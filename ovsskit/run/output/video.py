"""Write overlay videos: the classes drawn over the frames of a video, at its own size and speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import PIL.Image

from ovsskit._lazy import UInt8, numpy
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import Reading
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadImage
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.files.own.written import Written
from ovsskit.files.remote import image_path
from ovsskit.files.videos import is_frame, is_video, need_av, rate_of
from ovsskit.run.output.overlay import tint_image
from ovsskit.run.output.record import ImageRecord

QUALITY = {"libx264": {"crf": "18", "preset": "fast"}, "mpeg4": {"qscale": "3"}}
"""The encoders that are tried, in order, and their settings: hardly a loss is seen."""


def write_videos(
    folder: OwnFolder,
    records: Iterable[ImageRecord],
    vocabulary: Vocabulary,
    reading: Reading,
    frame_rate: int | None = None,
) -> dict[str, Written]:
    """Write `videos/NAME.mp4` for each video all of whose frames were tried; return the files.

    With a `frame_rate`, in frames a second, the images of each folder are those of a video, too, in
    the order of their names. Frames in which nothing was found for an error are shown as they are,
    if they can be read.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    videos: dict[Path, list[ImageRecord]] = {}
    for record in records:
        path = image_path(record.source)
        if frame_rate is not None or is_frame(path):
            videos.setdefault(path.parent, []).append(record)
    written = {}
    for video, frames in videos.items():
        if any(record.state == "pending" for record in frames):
            continue
        ordered = sorted(frames, key=lambda record: record.source)
        shown = _tinted(folder.where, ordered, vocabulary, reading)
        name = f"videos/{_name(video, ordered[0])}.mp4"
        rate = rate_of(video) if is_video(video) else Fraction(frame_rate or 0)
        written[name] = folder.write(name, partial(_encode, shown, rate))
    return written


def _name(video: Path, first: ImageRecord) -> str:
    """Return the name of a video: where its frames' masks lie, or that of the folder of all."""
    return first.name.rpartition("/")[0].removesuffix(".mp4") or video.name


def _tinted(
    folder: Path, records: Iterable[ImageRecord], vocabulary: Vocabulary, reading: Reading
) -> Iterator[UInt8[numpy.ndarray, "h w 3"]]:
    for record in records:
        try:
            pixels = read_image(image_path(record.source), reading).pixels.numpy()
        except BadImage:  # it has failed, and the record says why
            continue
        if record.state == "done":
            with (folder / f"masks/{record.name}.png").open("rb") as file:
                ids = numpy.asarray(PIL.Image.open(file, formats=("PNG",))).astype("int64")
            pixels = numpy.asarray(tint_image(PIL.Image.fromarray(pixels), ids, vocabulary))
        yield pixels


def _encode(frames: Iterator[Any], rate: Fraction, file: Any) -> None:
    """Write frames; the first decides how large the video is, and others are shrunk or grown."""
    first = next(frames, None)
    if first is None:
        return
    height, width = first.shape[:2]
    av = need_av()
    encoder = next(one for one in QUALITY if one in av.codecs_available)
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream(encoder, rate=rate, options=QUALITY[encoder])
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        edges = ((0, height % 2), (0, width % 2), (0, 0))
        for pixels in chain([first], frames):
            if pixels.shape != first.shape:
                pixels = numpy.asarray(PIL.Image.fromarray(pixels).resize((width, height)))
            even = numpy.pad(pixels, edges, mode="edge")  # its colours are half as fine
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
