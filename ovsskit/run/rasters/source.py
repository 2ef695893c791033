"""Read parts of a raster as colours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from ovsskit._lazy import Bool, Shaped, UInt8, numpy, torch
from ovsskit.engine.rendering import HIGH, LOW, Raster, Rendering, render
from ovsskit.engine.values import Image
from ovsskit.errors import BadImage, BadValue, Place, reason_of
from ovsskit.run.rasters.bands import choose_bands, palette_of, white_of
from ovsskit.run.rasters.georeference import Georeference
from ovsskit.run.rasters.grid import Window
from ovsskit.run.rasters.opening import opened

LOOK = 1024
"""The longer side of the reduced raster from which stretches are proposed."""


@contextmanager
def reading(path: Path, rendering: Rendering) -> Iterator[RasterSource]:
    """Open a raster to read parts of it.

    Raises:
        BadImage: it cannot be read, or nothing says which bands are red, green and blue.
        BadValue: nothing says which numbers are black and white in all its parts.
        MissingExtra: rasterio is not installed.
    """
    with opened(path) as dataset:
        try:
            source = RasterSource(dataset, rendering, path.stem)
            source.see_stretch()
        except (BadImage, BadValue) as error:
            error.where = error.where or Place(str(path))
            raise
        yield source


@dataclass
class RasterSource:
    """Read windows of an open raster; several threads may."""

    dataset: Any
    rendering: Rendering
    name: str
    bands: tuple[int, ...] = ()
    white: float = 1.0
    table: Any = None
    may_miss: bool = True
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.bands = choose_bands(self.dataset, self.rendering.bands)
        kinds = {self.dataset.dtypes[band - 1] for band in self.bands}
        if len(kinds) > 1 or kinds & {"complex64", "complex128", "complex_int16"}:
            raise BadImage(f"Its bands hold numbers of the kinds {', '.join(sorted(kinds))}.")
        self.kind = numpy.dtype(kinds.pop())
        self.white = white_of(self.dataset, self.bands[0], self.kind)
        self.table = None if self.rendering.bands else palette_of(self.dataset, self.bands[0])
        flags = {
            flag.name for band in self.bands for flag in self.dataset.mask_flag_enums[band - 1]
        }
        self.may_miss = flags != {"all_valid"} or self.kind.kind == "f"

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.dataset.height, self.dataset.width

    @property
    def georeference(self) -> Georeference:
        """Return where the raster lies."""
        return Georeference.of(self.dataset)

    def see_stretch(self) -> None:
        """See that numbers become colours by a rule that is the same wherever the raster ends.

        Raises:
            BadValue: they do not; the message proposes a rule.
        """
        is_plain = self.kind == numpy.uint8 or self.table is not None
        if is_plain or self.rendering.stretch not in ("percentile", "minmax"):
            return
        what = f"Its numbers are {self.kind}, but a raster is read part by part."
        there = "Black and white taken from the numbers themselves would differ from part to part."
        numbers, valid = self._read(None, self._reduced(max(1, max(self.size) // LOOK)))
        seen = numbers[valid]
        if not seen.size:
            return
        percents = (0, 100) if self.rendering.stretch == "minmax" else (LOW, HIGH)
        low, high = map(float, numpy.percentile(seen, percents))
        fix = f"Name black and white: --stretch {low:.5g},{high:.5g}"
        how = f"(percentiles {percents[0]} and {percents[1]} of the raster, reduced)"
        raise BadValue(what, there=there, fix=f"{fix} {how}.")

    def is_empty(self, window: Window) -> bool:
        """Tell whether no pixel that is kept of a window holds a number."""
        if not self.may_miss:
            return False
        rows, columns = window
        return not self._read((rows.first, rows.last, columns.first, columns.last))[1].any()

    def read(self, window: Window) -> Image:
        """Return what a window shows; where there is no number, it is black.

        Raises:
            BadImage: its part of the file cannot be read.
        """
        return self.read_valid(window)[0]

    def read_valid(self, window: Window) -> tuple[Image, Bool[numpy.ndarray, "h w"]]:
        """Return what a window shows, and where there are numbers.

        Raises:
            BadImage: its part of the file cannot be read.
        """
        rows, columns = window
        numbers, valid = self._read((rows.start, rows.stop, columns.start, columns.stop))
        pixels, _ = self._render(numbers, valid)
        data = torch.from_numpy(pixels).permute(2, 0, 1).float().div(255).contiguous()
        return Image(data, self.name), valid

    def overview(self, step: int) -> tuple[UInt8[numpy.ndarray, "h w 3"], tuple[str, ...]]:
        """Return the whole at a pixel for every `step` x `step`, and how numbers became colours."""
        return self._render(*self._read(None, self._reduced(step)))

    def _reduced(self, step: int) -> tuple[int, int]:
        return -(-self.size[0] // step), -(-self.size[1] // step)

    def _render(
        self, numbers: Shaped[numpy.ndarray, "h w band"], valid: Bool[numpy.ndarray, "h w"]
    ) -> tuple[UInt8[numpy.ndarray, "h w 3"], tuple[str, ...]]:
        if not valid.any():
            return numpy.zeros((*valid.shape, 3), "uint8"), ()
        rendering = Rendering(self.rendering.stretch)
        image, notes = render(Raster(numbers, self.white, True, valid=valid), rendering)
        return numpy.array(image), tuple(note for note in notes if "became black" in note)

    def _read(
        self, box: tuple[int, int, int, int] | None, size: tuple[int, int] | None = None
    ) -> tuple[Shaped[numpy.ndarray, "h w band"], Bool[numpy.ndarray, "h w"]]:
        """Return the numbers of shown bands in rows and columns, and where there are any.

        Both have the size, if one is named.
        """
        top, bottom, left, right = box or (0, self.size[0], 0, self.size[1])
        window = ((top, bottom), (left, right))
        shape = (len(self.bands), *size) if size else None
        from rasterio.enums import Resampling

        how = Resampling.nearest if self.table is not None else Resampling.average
        try:
            with self._lock:
                numbers = self.dataset.read(
                    list(self.bands), window=window, out_shape=shape, resampling=how
                )
                masks = self.dataset.read_masks(list(self.bands), window=window, out_shape=shape)
        except Exception as error:  # GDAL's drivers raise whatever they stumble over
            what = f"Rows {top} to {bottom} and columns {left} to {right} cannot be read: "
            raise BadImage(f"{what}{reason_of(error)}.") from error
        valid = (masks > 0).any(0)
        if self.kind.kind == "f":
            valid &= numpy.isfinite(numbers).all(0)
        numbers = numpy.moveaxis(numbers, 0, -1)
        if self.table is not None:
            return self.table[numbers[..., 0]], valid
        if self.kind == numpy.uint8 and self.white < 255:
            numbers = (numbers * (255 / self.white)).astype("uint8")
        if self._is_white_least:
            numbers = ((255 if self.kind == numpy.uint8 else self.white) - numbers).astype(
                numbers.dtype
            )
        return numbers, valid

    @property
    def _is_white_least(self) -> bool:
        return bool(self.dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES")
