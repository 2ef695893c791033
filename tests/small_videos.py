"""Write small videos for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy


def write_video(path: Path, frames: Iterable[numpy.ndarray], rate: int = 10) -> None:
    """Write frames `h w 3` of bytes, with hardly a loss."""
    shown = list(frames)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "1"})
        stream.height, stream.width, stream.pix_fmt = *shown[0].shape[:2], "yuv420p"
        for pixels in shown:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
