"""Read where on earth an image lies."""

from __future__ import annotations

from ovsskit.errors import BadFile, BadImage, Place
from ovsskit.export.found import Found
from ovsskit.files.remote import RemotePath, image_path
from ovsskit.run.rasters.georeference import Georeference
from ovsskit.run.rasters.opening import opened


def read_georeference(found: Found) -> Georeference:
    """Return where an image lies, as it says itself.

    Raises:
        BadFile: it does not say so, cannot be read, or is of another size than its mask.
    """
    source, place = image_path(found.record.source), Place(found.record.source)
    if isinstance(source, RemotePath):
        fix = "Copy the images to this machine, and run again on the copies."
        raise BadFile("The place on earth of a remote image is not read.", fix=fix, where=place)
    try:
        with opened(source) as image:
            known = Georeference.of(image)
            size = image.width, image.height
    except BadImage as error:
        raise BadFile(error.what, fix=error.fix, where=place) from error
    if known.crs is None or known.transform.is_identity:
        fix = "Export such images as coco or pascal_voc, which need no place."
        raise BadFile("The image carries no place on earth.", fix=fix, where=place)
    if size != found.size:
        what = f"The image is {size[0]} x {size[1]} pixels, and its mask {found.size[0]} x "
        raise BadFile(f"{what}{found.size[1]}.", where=place)
    return known
