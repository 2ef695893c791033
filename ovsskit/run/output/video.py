"""Write overlay videos: the classes drawn over the frames of a video, at its own size and speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import PIL.Image

from ovsskit._lazy import UInt8, numpy
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadImage
from ovsskit.files.own import OwnFolder, Written
from ovsskit.files.videos import is_frame, rate_of, read_frame
from ovsskit.run.output.overlay import tint_image
from ovsskit.run.output.record import ImageRecord

QUALITY = {"libx264": {"crf": "18", "preset": "fast"}, "mpeg4": {"qscale": "3"}}
"""The encoders that are tried, in order, and their settings: hardly a loss is seen."""


def write_videos(
    folder: OwnFolder, records: Iterable[ImageRecord], vocabulary: Vocabulary, max_pixels: int
) -> dict[str, Written]:
    """Write `videos/NAME.mp4` for each video all of whose frames were tried; return the files.

    Frames in which nothing was found for an error are shown as they are, if they can be read.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    videos: dict[Path, list[ImageRecord]] = {}
    for record in records:
        if is_frame(Path(record.source)):
            videos.setdefault(Path(record.source).parent, []).append(record)
    written = {}
    for video, frames in videos.items():
        if any(record.state == "pending" for record in frames):
            continue
        ordered = sorted(frames, key=lambda record: record.source)
        shown = _tinted(folder.path, ordered, vocabulary, max_pixels)
        name = f"videos/{frames[0].name.rpartition('/')[0].removesuffix('.mp4')}.mp4"
        written[name] = folder.write(name, partial(_encode, shown, rate_of(video)))
    return written


def _tinted(
    folder: Path, records: Iterable[ImageRecord], vocabulary: Vocabulary, max_pixels: int
) -> Iterator[UInt8[numpy.ndarray, "h w 3"]]:
    for record in records:
        try:
            pixels = read_frame(Path(record.source), max_pixels)
        except BadImage:  # it has failed, and the record says why
            continue
        if record.state == "done":
            with PIL.Image.open(folder / f"masks/{record.name}.png", formats=("PNG",)) as mask:
                ids = numpy.asarray(mask).astype("int64")
            pixels = numpy.asarray(tint_image(PIL.Image.fromarray(pixels), ids, vocabulary))
        yield pixels


def _encode(frames: Iterator[Any], rate: Any, file: Any) -> None:
    import av

    encoder = next(one for one in QUALITY if one in av.codecs_available)
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream(encoder, rate=rate, options=QUALITY[encoder])
        for pixels in frames:
            height, width = pixels.shape[:2]
            if not stream.width:
                stream.width, stream.height = width + width % 2, height + height % 2
                stream.pix_fmt = "yuv420p"
            edges = ((0, stream.height - height), (0, stream.width - width), (0, 0))
            even = numpy.pad(pixels, edges, mode="edge")  # its colours are half as fine
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
