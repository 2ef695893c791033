"""See what a mosaic is made of before GDAL opens it: a VRT file may name even addresses."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from ovsskit.errors import BadImage, Place, shorten
from ovsskit.files.reading import Unreadable, read_text

NAMES = ("SourceFilename", "SourceDataset")
"""The elements of a VRT file that name what it is made of."""
PLAIN = (None, "VRTWarpedDataset", "VRTSourcedRasterBand", "VRTWarpedRasterBand")
"""The kinds of data sets and bands that only put sources together."""


def is_mosaic(path: Path) -> bool:
    """Tell whether a file is a VRT, by its ending."""
    return path.suffix.lower() == ".vrt"


def sources_of(mosaic: Path) -> list[Path]:
    """Return the files that a mosaic is made of, each once.

    Raises:
        BadImage: it is broken, is made of anything but files that are there, or computes pixels.
    """
    where = Place(str(mosaic))
    try:
        root = ElementTree.fromstring(read_text(mosaic))
    except (Unreadable, ElementTree.ParseError) as error:
        raise BadImage(f"The mosaic cannot be read: {error}.", where=where) from error
    found: dict[Path, None] = {}
    for one in root.iter():
        if one.get("subClass") not in PLAIN:
            what = f"The mosaic has a `{one.get('subClass')}`, which computes its pixels."
            raise BadImage(what, fix="Convert it to a GeoTIFF with gdal_translate.", where=where)
        if one.tag in NAMES:
            name = (one.text or "").strip()
            path = mosaic.parent / name if one.get("relativeToVRT") == "1" else Path(name)
            if "\0" in name or not path.is_file():
                what = f"The mosaic refers to `{shorten(name)}`, which is not a file here."
                raise BadImage(what, where=where)
            if is_mosaic(path):
                what = f"The mosaic is made of other mosaics, such as `{shorten(name)}`."
                fix = "Build one from all their parts with gdalbuildvrt."
                raise BadImage(what, fix=fix, where=where)
            found[path] = None
    return list(found)
