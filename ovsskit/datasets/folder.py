"""Read any folder of images with a folder of masks."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from ovsskit.datasets.class_file import need_class_file
from ovsskit.datasets.dataset import Dataset
from ovsskit.datasets.files import MaskFiles, MaskItem
from ovsskit.datasets.masks import masks_here
from ovsskit.datasets.truth import IGNORED, facts_from, truth_reader
from ovsskit.errors import BadFile, NoImages, Place, first_of
from ovsskit.files.inputs import find_images
from ovsskit.files.remote import image_path, is_remote, remote_path
from ovsskit.files.remote_listing import root_of

log = logging.getLogger(__name__)


def open_folder(
    images: Path | str,
    masks: Path | str,
    classes: Path | str | None,
    ignore: Sequence[int] = IGNORED,
    among: Sequence[Path] | None = None,
) -> Dataset:
    """Return the images of a folder that have a mask: `<image>.png` at the same place in another.

    The images may be remote, the masks not.

    Only those `among` are returned, where that is given. `classes` is a file that says what the
    masks hold; see `ovsskit.datasets.class_file`. Numbers in `ignore` count nowhere, unless they
    are a class's.

    Raises:
        BadClasses: there is no file of classes, or it is invalid.
        NoImages: the folder holds no image.
        BadFile: no image has a mask, or two would share one.
    """
    images, masks = image_path(str(images)).expanduser(), masks_here(masks)
    file = need_class_file(classes, masks)
    listed = find_images(str(images)) if among is None else among
    found = [path for path in listed if not _is_mask(path, images, masks)]
    names = [path.relative_to(images).with_suffix("").as_posix() for path in found]
    there = {name for name in names if (masks / f"{name}.png").is_file()}
    pairs = [(path, name) for path, name in zip(found, names, strict=True) if name in there]
    if not pairs:
        raise _no_masks(masks, names)
    if without := len(names) - len(pairs):
        first = next(name for name in names if name not in there)
        text = "%d of %d images have no mask and are left out, such as %s"
        log.warning(text, without, len(names), first)
    owners: dict[str, Path] = {}
    for path, name in pairs:
        if (other := owners.setdefault(name, path)) != path:
            what = f"{other} and {path} would share the mask {name}.png."
            raise BadFile(what, fix="Give images different names.", where=Place(str(images)))
    read = truth_reader(file, ignore)
    kinds = {
        suffix: MaskFiles(str(images / f"{{id}}{suffix}"), str(masks / "{id}.png"), read)
        for suffix in {path.suffix for path in found}
    }
    items = [MaskItem(kinds[path.suffix], name) for path, name in pairs]
    title = images.absolute().name
    return Dataset(facts_from(file, title), "", "folder", items, (str(file.path),))


def common_folder(inputs: Sequence[str]) -> Path:
    """Return the folder in which files, folders and globs lie; for a single folder, that one.

    Raises:
        NoImages: some are remote and some are not.
    """
    afar = [is_remote(one) for one in inputs]
    if all(afar):
        return remote_path(os.path.commonpath([str(root_of(one)) for one in inputs]))
    if any(afar):
        what = "Some images are on this machine and some elsewhere: no folder holds all of them."
        place = Place(inputs[afar.index(True)])
        raise NoImages(what, fix="Name images from one place.", where=place)
    folder = Path(os.path.commonpath([Path(one).expanduser().absolute() for one in inputs]))
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _is_mask(path: Path, images: Path, masks: Path) -> bool:
    """Tell whether a file in the folder of images is one of the masks, which may lie inside."""
    if masks == images:
        return path.suffix.lower() == ".png"
    return path.is_relative_to(masks) and not images.is_relative_to(masks)


def _no_masks(masks: Path, names: Sequence[str]) -> BadFile:
    if not masks.is_dir():
        return BadFile("There is no such folder of masks.", where=Place(str(masks)))
    there = sorted(path.relative_to(masks).as_posix() for path in masks.rglob("*.*"))
    stem = Path(names[0]).name.casefold()
    near = next((name for name in there if stem in name.casefold()), "") if names else ""
    return BadFile(
        f"None of the {len(names)} images has a mask, such as {names[0]}.png.",
        there=f"The folder holds: {first_of(there, most=3)}.",
        fix=f"Did you mean `{near}`?" if near else "Give the masks the names of their images.",
        where=Place(str(masks)),
    )
