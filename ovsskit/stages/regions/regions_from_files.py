"""Read the regions of each image from a file of its own."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Shaped, numpy, torch
from ovsskit.datasets.masks import read_mask
from ovsskit.engine.stage import NeededFolder, Stage
from ovsskit.engine.values import Image, Regions, Vocabulary
from ovsskit.errors import BadFile, Place

log = logging.getLogger(__name__)

ENDINGS = (".png", ".npz")
NUMBER_BYTES, HEADER_BYTES = 8, 4096
"""What a number takes in memory at most, and what stands before the numbers of an array."""


class RegionsFromFiles(Stage, writes="regions"):
    """Read the regions of an image from `NAME.png` or `NAME.npz` in a folder, by the image's name.

    The name is the image's with its folders (`trip/beach`), else without. A PNG is indexed or grey,
    of 8 or 16 bits; its palette does not count. An NPZ holds one array of whole numbers (or several
    and one that is called `instance_mask`). Both have the size of the image, upright. 0 is in no
    region; the other numbers may be any. So the masks of any other program serve, such as those
    that the authors of CorrCLIP publish; nothing in a file is run.

    Example:
        [[stage]]
        use = "regions_from_files"
        add = 1
    """

    waits: ClassVar[str] = "for the lowest number of a file, which may not be below 0"

    folder: Annotated[NeededFolder, Field(description="the folder, relative to the recipe")] = ""
    add: Annotated[
        int,
        Field(
            ge=0,
            description="added to every number: 1 where 0 is a region's, or -1 is in no region",
        ),
    ] = 0

    def run(self, image: Image) -> Regions:
        """Return the regions of an image.

        Raises:
            BadFile: no folder is named, the image has no file in it, or that is of another size,
                holds no whole numbers from 0 on, or cannot be read.
        """
        file = self._need(image.name)
        found = _read_npz(file, image.size) if file.suffix == ".npz" else read_mask(file)
        if found.shape != image.size:
            raise _wrong_size(file, found.shape, image.size)
        numbers = torch.from_numpy(found.astype(numpy.int64)).to(image.data.device) + self.add
        if int(numbers.min()) < 0:
            what = f"The lowest region has the number {int(numbers.min())}; they begin at 0."
            fix = f"If it is that of places in no region: {self.address}.add = 1"
            raise BadFile(what, fix=fix, where=Place(str(file)))
        return Regions(numbers)

    def check_inputs(self, vocabulary: Vocabulary, images: Sequence[Path]) -> None:
        """Check that there is a file for these images; the lack of some is noted.

        Raises:
            BadFile: no folder is named, or none of the images has a file in it.
        """
        lacking = [image for image in images if self._find(image.stem) is None]
        if images and len(lacking) == len(images):
            self._need(images[0].stem)
        if lacking:
            text = "%s: %d of %d images have no file of regions and will fail, such as %s"
            log.warning(text, self.folder, len(lacking), len(images), lacking[0])

    def _need(self, name: str) -> Path:
        """Return the file of an image.

        Raises:
            BadFile: there is none.
        """
        file = self._find(name)
        if file is None:
            what = f"The folder of regions has no file for the image `{name}`."
            fix = f"Put {Path(name).name}.png or {Path(name).name}.npz there."
            raise BadFile(what, fix=fix, where=Place(self.folder))
        return file

    def _find(self, name: str) -> Path | None:
        """Return the file of an image, or None; a name cannot lead out of the folder.

        Raises:
            BadFile: no folder is named.
        """
        if not self.folder:
            what = "No folder says which regions images have."
            raise BadFile(what, fix=f"Name one: --set {self.address}.folder=FOLDER")
        folder = Path(self.folder)
        named = [folder / f"{one}{end}" for one in (name, Path(name).name) for end in ENDINGS]
        inside = (path for path in named if path.resolve().is_relative_to(folder.resolve()))
        return next((path for path in inside if path.is_file()), None)


def _read_npz(file: Path, size: tuple[int, int]) -> Shaped[numpy.ndarray, "..."]:
    """Return the array of an NPZ file, unless it is far larger than the image.

    Raises:
        BadFile: it has none, or not one of whole numbers, or cannot be read.
    """
    where = Place(str(file))
    try:
        with zipfile.ZipFile(file) as opened:
            sizes = {one.filename.removesuffix(".npy"): one.file_size for one in opened.infolist()}
        name = "instance_mask" if "instance_mask" in sizes else next(iter(sizes), "")
        if len(sizes) != 1 and name != "instance_mask":
            there = f"It holds: {', '.join(sizes) or 'nothing'}"
            fix = "Save the regions alone, or call them `instance_mask`."
            raise BadFile("The file does not hold one array.", there=there, fix=fix, where=where)
        if sizes[name] > size[0] * size[1] * NUMBER_BYTES + HEADER_BYTES:
            what = f"The array takes {sizes[name]:,} bytes, more than one of the image's size."
            raise BadFile(what, there=_said(size), where=where)
        with numpy.load(file, allow_pickle=False) as arrays:
            found: numpy.ndarray = arrays[name]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadFile("The file of regions cannot be read.", there=reason, where=where) from error
    if found.dtype.kind not in "iub":
        what = f"The file holds numbers of the type {found.dtype}, but regions are whole numbers."
        raise BadFile(what, fix="Save them as int32 or uint16.", where=where)
    return found


def _said(size: Sequence[int]) -> str:
    return f"The image is {size[1]} x {size[0]} pixels."


def _wrong_size(file: Path, shape: Sequence[int], size: tuple[int, int]) -> BadFile:
    sides = " x ".join(map(str, reversed(shape))) if len(shape) == 2 else f"of shape {shape}"
    what = f"The regions are {sides}, and the image is {size[1]} x {size[0]} pixels."
    fix = "Make the regions from the upright image."
    return BadFile(what, fix=fix, where=Place(str(file)))
