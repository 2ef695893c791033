"""Write data sets of a few images in the very formats in which they are distributed.

A scene is an image (height x width x 3 bytes) and, of the same size, what its file of true masks
holds: class numbers of the data set, or VOID. Names are made as the data set makes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pycocotools.mask
import scipy.io

from ovsskit.datasets.dataset import VOID
from ovsskit.datasets.facts import facts_of

NO_CLASS_OF_CONTEXT = 1
THINGS, LAST_THING, OTHER_OF_STUFF = 80, 90, 183

Scene = tuple[numpy.ndarray, numpy.ndarray]


def voc_name(index: int) -> str:
    """Return the name that VOC gives an image."""
    return f"2007_{index:06d}"


def ade_name(index: int) -> str:
    """Return the name that ADE20K gives an image."""
    return f"ADE_val_{index + 1:08d}"


def write_voc(root: Path, scenes: Sequence[Scene], split: str = "val") -> Path:
    """Write VOC 2012 in its own layout; labels are those of `voc21`, borders VOID."""
    folder = root / "VOCdevkit" / "VOC2012"
    colours = [*facts_of("voc21").palette]
    for index, (image, labels) in enumerate(scenes):
        save_photo(folder / "JPEGImages" / f"{voc_name(index)}.jpg", image)
        numbers = numpy.where(labels == VOID, 255, labels)
        save_indexed(folder / "SegmentationClass" / f"{voc_name(index)}.png", numbers, colours)
    names = [voc_name(index) for index in range(len(scenes))]
    save_list(folder / "ImageSets" / "Segmentation" / f"{split}.txt", names)
    return folder


def write_ade(root: Path, scenes: Sequence[Scene]) -> Path:
    """Write the validation images of ADE20K: raw numbers are one above the class, 0 is VOID."""
    folder = root / "ADEChallengeData2016"
    for index, (image, labels) in enumerate(scenes):
        save_photo(folder / "images" / "validation" / f"{ade_name(index)}.jpg", image)
        path = folder / "annotations" / "validation" / f"{ade_name(index)}.png"
        save_grey(path, labels + 1)
    return folder


def write_context(root: Path, scenes: Sequence[Scene]) -> Path:
    """Write Context in its three layouts; labels are those of `context60`, and none is VOID.

    The raw masks give the background as a number of the 459 that no class has.
    """
    folder = root / "VOCdevkit" / "VOC2010"
    facts = facts_of("context60")
    raw_of = numpy.array(facts.numbers)
    names = [voc_name(index) for index in range(len(scenes))]
    images: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    for index, (image, labels) in enumerate(scenes):
        save_photo(folder / "JPEGImages" / f"{names[index]}.jpg", image)
        save_indexed(
            folder / "SegmentationClassContext" / f"{names[index]}.png", labels, facts.palette
        )
        raw = numpy.where(labels == 0, NO_CLASS_OF_CONTEXT, raw_of[labels]).astype("uint16")
        save_matlab(folder / "trainval" / f"{names[index]}.mat", LabelMap=raw)
        number = 2007000000 + index
        height, width = labels.shape
        size = {"height": height, "width": width, "phase": "val"}
        images.append({"file_name": f"{names[index]}.jpg", "image_id": number, **size})
        for label in numpy.unique(labels[labels > 0]).tolist():
            runs = packed_runs(labels == label)
            number_of = {"id": len(segments), "image_id": number}
            category = int(raw_of[label])
            segments.append({**number_of, "category_id": category, "segmentation": runs})
    save_list(folder / "ImageSets" / "SegmentationContext" / "val.txt", names)
    categories = [
        {"category_id": raw, "name": name}
        for raw, name in zip(raw_of.tolist(), facts.classes, strict=True)
    ]
    whole = {"info": {}, "images": images, "annos_segmentation": segments, "categories": categories}
    (folder / "trainval_merged.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder


def write_coco(root: Path, scenes: Sequence[Scene], split: str = "val2017") -> Path:
    """Write COCO with all its annotations; labels are those of `coco_stuff171`.

    There are the maps of things and stuff, the files of instances and stuff, and what
    mmsegmentation and GroupViT make of them. Segments are polygons where they are rectangles; else
    one in two is a crowd, whose runs are not packed.
    """
    facts = facts_of("coco_stuff171")
    ids = numpy.array([*facts.numbers, 256])  # the last is VOID's, which is -1
    files: dict[str, list[dict[str, Any]]] = {"instances": [], "stuff": []}
    images = []
    for index, (image, labels) in enumerate(scenes):
        number = 139 + index
        name = f"{number:012d}"
        height, width = labels.shape
        save_photo(root / "images" / split / f"{name}.jpg", image)
        save_grey(root / "stuffthingmaps" / split / f"{name}.png", ids[labels] - 1)
        kept = root / "annotations" / split
        save_grey(kept / f"{name}_labelTrainIds.png", numpy.where(labels == VOID, 255, labels))
        is_thing = (labels >= 0) & (labels < THINGS)
        save_grey(kept / f"{name}_instanceTrainIds.png", numpy.where(is_thing, labels + 1, 0))
        images.append({"file_name": f"{name}.jpg", "height": height, "width": width, "id": number})
        for label in numpy.unique(labels[labels >= 0]).tolist():
            found = files["instances" if label < THINGS else "stuff"]
            found.append(segment_of(labels == label, number, int(ids[label]), len(found)))
        if is_thing.any():
            found = files["stuff"]
            found.append(segment_of(is_thing, number, OTHER_OF_STUFF, len(found)))
    for kind, segments in files.items():
        categories = []
        for raw, name in zip(ids[:-1].tolist(), facts.classes, strict=True):
            if (raw <= LAST_THING) == (kind == "instances"):
                categories.append({"id": raw, "name": name})
        whole = {"images": images, "annotations": segments, "categories": categories}
        path = root / "annotations" / f"{kind}_{split}.json"
        path.write_text(json.dumps(whole), encoding="utf-8")
    return root


def write_coco10k(root: Path, scenes: Sequence[Scene]) -> Path:
    """Write the test images of COCO-Stuff 10k as released; labels are those of `coco_stuff171`."""
    ids = numpy.array([*facts_of("coco_stuff10k").numbers, 0])
    names = [f"COCO_train2014_{77 + index:012d}" for index in range(len(scenes))]
    for name, (image, labels) in zip(names, scenes, strict=True):
        save_photo(root / "images" / f"{name}.jpg", image)
        others = {"names": numpy.array(["unlabeled", "person"], object), "captions": ["a photo"]}
        save_matlab(root / "annotations" / f"{name}.mat", S=ids[labels].astype("uint16"), **others)
    save_list(root / "imageLists" / "test.txt", names)
    return root


def write_cityscapes(root: Path, scenes: Sequence[Scene]) -> Path:
    """Write Cityscapes as released, with train ids beside; VOID is drawn as a label of no class."""
    ids = numpy.array([*facts_of("cityscapes").numbers, 3])
    for index, (image, labels) in enumerate(scenes):
        city = ("frankfurt", "lindau")[index % 2]
        name = f"{city}_{index:06d}_000019"
        path = root / "leftImg8bit" / "val" / city / f"{name}_leftImg8bit.png"
        save_photo(path, image)
        folder = root / "gtFine" / "val" / city
        save_grey(folder / f"{name}_gtFine_labelIds.png", ids[labels])
        train = numpy.where(labels == VOID, 255, labels)
        save_grey(folder / f"{name}_gtFine_labelTrainIds.png", train)
    return root


def segment_of(mask: numpy.ndarray, image: int, category: int, number: int) -> dict[str, Any]:
    """Return a segment as COCO writes it: a polygon if it is a rectangle, else runs."""
    rows, columns = (numpy.flatnonzero(mask.any(axis)) for axis in (1, 0))
    top, bottom, left, right = (
        int(rows[0]),
        int(rows[-1]) + 1,
        int(columns[0]),
        int(columns[-1]) + 1,
    )
    found: dict[str, Any] = {"id": number, "image_id": image, "category_id": category}
    if mask[top:bottom, left:right].all():
        corners = [left, top, right, top, right, bottom, left, bottom]
        return {**found, "iscrowd": 0, "segmentation": [[float(one) for one in corners]]}
    if number % 2:
        return {**found, "iscrowd": 0, "segmentation": packed_runs(mask)}
    changes = numpy.flatnonzero(numpy.diff(mask.T.ravel(), prepend=False, append=False))
    counts = numpy.diff(changes, prepend=0, append=mask.size).tolist()
    return {**found, "iscrowd": 1, "segmentation": {"counts": counts, "size": [*mask.shape]}}


def packed_runs(mask: numpy.ndarray) -> dict[str, Any]:
    """Return a mask as COCO's packed runs."""
    packed = pycocotools.mask.encode(numpy.asfortranarray(mask.astype("uint8")))
    return {"counts": packed["counts"].decode(), "size": list(map(int, packed["size"]))}


def save_matlab(path: Path, **variables: Any) -> None:
    """Write variables as a MATLAB file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, do_compression=True)


def save_photo(path: Path, image: numpy.ndarray) -> None:
    """Write an image as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(image).save(path, quality=95)


def save_grey(path: Path, numbers: numpy.ndarray) -> None:
    """Write numbers as a grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(numbers.astype("uint8")).save(path)


def save_indexed(
    path: Path, numbers: numpy.ndarray, colours: Sequence[tuple[int, int, int]]
) -> None:
    """Write numbers as an indexed PNG with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = PIL.Image.frombytes("P", numbers.shape[::-1], numbers.astype("uint8").tobytes())
    made.putpalette(bytes(value for colour in colours for value in colour))
    made.save(path)


def save_list(path: Path, names: Sequence[str]) -> None:
    """Write names, one on each line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
