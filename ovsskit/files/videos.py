"""Read the frames of videos: each has a path of its own, the video's with a number below it.

`clip.mp4/000012` is the frame after the first twelve. Frames are decoded in order, and few are kept
at a time. Only these containers are opened, and nothing that they point to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from ovsskit._lazy import UInt8, numpy
from ovsskit.errors import BadImage, MissingExtra, Place
from ovsskit.files.remote import RemotePath
from ovsskit.files.sizes import see_size

CONTAINERS = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
}
"""The endings of videos, and how each is read."""
KEPT = 64
"""Frames that stay in memory: readers ask for them nearly in order."""


def is_video(path: Path) -> bool:
    """Tell whether a file of this machine is a video, by its ending."""
    is_here = not isinstance(path, RemotePath)
    return is_here and path.suffix.lower() in CONTAINERS and path.is_file()


def is_frame(path: Path) -> bool:
    """Tell whether a path is that of a frame of a video."""
    return path.name.isdecimal() and is_video(path.parent)


def list_frames(video: Path) -> list[Path]:
    """Return the paths of the frames of a video, in order, without decoding any.

    Raises:
        BadImage: it cannot be read.
        MissingExtra: PyAV is not installed.
    """
    with _Opened(video) as opened:
        packets = opened.container.demux(opened.stream)
        count = sum(1 for packet in packets if packet.size)
    return [video / f"{number:06d}" for number in range(count)]


def rate_of(video: Path) -> Fraction:
    """Return the frames of a second of a video; 25 where it does not say."""
    with _Opened(video) as opened:
        return Fraction(opened.stream.average_rate or 25)


def read_frame(path: Path, max_pixels: int) -> UInt8[numpy.ndarray, "h w 3"]:
    """Return the colours of a frame, turned upright.

    Raises:
        BadImage: the video cannot be read, ends before it, or has more than `max_pixels`.
        MissingExtra: PyAV is not installed.
    """
    video, number = path.parent, int(path.name)
    status = video.stat()
    reader = _reader(video, status.st_size, status.st_mtime_ns)
    return reader.read(number, max_pixels)


def need_av() -> Any:
    """Return the package that reads and writes videos.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        what = "Videos need the package `av`."
        raise MissingExtra(what, fix='pip install "ovsskit[video]"') from error
    return av


class _Opened:
    """Hold an open video and its first stream of images."""

    def __init__(self, video: Path) -> None:
        av = need_av()
        self.where = Place(str(video))
        self.file = video.open("rb")
        try:
            self.container: Any = av.open(self.file, format=CONTAINERS[video.suffix.lower()])
            self.stream = self.container.streams.video[0]
        except (av.FFmpegError, IndexError, ValueError) as error:
            self.file.close()
            raise BadImage(f"The video cannot be read: {error}.", where=self.where) from error

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *what: object) -> None:
        self.close()

    def close(self) -> None:
        self.container.close()
        self.file.close()


class _Reader:
    """Decode a video from its beginning on, and again from there for a frame that is past."""

    def __init__(self, video: Path) -> None:
        self.video = video
        self.lock = Lock()
        self.kept: OrderedDict[int, Any] = OrderedDict()
        self.coming: Iterator[tuple[int, Any]] = iter(())
        self.passed = -1

    def read(self, number: int, max_pixels: int) -> UInt8[numpy.ndarray, "h w 3"]:
        where = Place(str(self.video / f"{number:06d}"))
        with self.lock:
            if (number not in self.kept and number <= self.passed) or self.passed < 0:
                self.coming = self._decode(max_pixels)
            while number not in self.kept:
                found = next(self.coming, None)
                if found is None:
                    self.passed = -1
                    raise BadImage("The video ends before this frame.", where=where)
                self.passed, frame = found
                self.kept[self.passed] = frame
                if len(self.kept) > KEPT:
                    self.kept.popitem(last=False)
            frame = self.kept[number]
        turned = numpy.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
        return numpy.ascontiguousarray(turned)

    def _decode(self, max_pixels: int) -> Iterator[tuple[int, Any]]:
        import av

        with _Opened(self.video) as opened:
            see_size(opened.stream.width, opened.stream.height, max_pixels)
            try:
                yield from enumerate(opened.container.decode(opened.stream))
            except av.FFmpegError as error:
                what = f"The video is broken: {error}."
                raise BadImage(what, where=opened.where) from error


@lru_cache(maxsize=2)
def _reader(video: Path, size: int, changed: int) -> _Reader:
    """Return what reads a video; one that has changed since is another."""
    return _Reader(video)
