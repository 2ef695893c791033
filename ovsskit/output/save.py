"""Write everything there is to write about one finished picture."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import PIL.Image

from ovsskit.lazy import Int, UInt8, numpy, torch
from ovsskit.names import safe_name
from ovsskit.output.files import write_text, write_whole
from ovsskit.output.maps import Sheet
from ovsskit.output.masks import write_mask
from ovsskit.output.overlay import Area, draw_overlay, measure_areas, resize_both, tint_picture
from ovsskit.output.record import PictureRecord
from ovsskit.values import Probabilities, Scores, Vocabulary

GALLERY_SIDE, THUMB_SIDE = 1280, 360
"""The longer sides of the gallery's pictures, in pixels."""


@dataclass(frozen=True)
class Finding:
    """Hold what a run found in one picture, on the processor; `scores` and `sheets` where they are to be saved."""

    record: PictureRecord
    pixels: UInt8[numpy.ndarray, "h w 3"]
    labels: Int[numpy.ndarray, "h w"]
    scores: Scores | None = None
    sheets: tuple[Sheet, ...] | None = None


def save_finding(folder: Path, finding: Finding, vocabulary: Vocabulary) -> PictureRecord:
    """Write the files of one picture, and return its record with what was written.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    name = finding.record.name
    height, width = finding.pixels.shape[:2]
    areas = measure_areas(finding.labels, vocabulary)
    write_mask(folder / "masks" / f"{name}.png", finding.labels, vocabulary)
    _write_jpeg(
        folder / "overlays" / f"{name}.jpg",
        draw_overlay(finding.pixels, finding.labels, vocabulary),
        92,
    )
    confidence, wanted = None, finding.record.saved
    if finding.scores is not None and "confidence" in wanted:
        confidence = write_confidence(
            folder / "confidence" / f"{name}.png", finding.scores, (height, width)
        )
    if finding.scores is not None and "scores" in wanted:
        write_scores(folder / "scores" / f"{name}.npz", finding.scores, vocabulary)
    maps = _write_sheets(folder, name, finding.sheets or ())
    _write_gallery(folder / "gallery", finding, vocabulary, areas, maps)
    return replace(
        finding.record,
        state="done",
        size=(width, height),
        areas=tuple((area.number, round(area.fraction, 6)) for area in areas),
        confidence=confidence,
    )


def write_confidence(path: Path, scores: Scores, size: tuple[int, int]) -> tuple[float, float]:
    """Write the winning score of every pixel as a grey PNG of 16 bits; return what black and white stand for.

    For probabilities these are 0 and 1, for other scores the lowest and the highest of the picture.
    """
    best = scores.data.float().amax(0)
    if tuple(best.shape) != size:
        best = torch.nn.functional.interpolate(best[None, None], size, mode="bilinear")[0, 0]
    low, high = (
        (0.0, 1.0) if isinstance(scores, Probabilities) else (float(best.min()), float(best.max()))
    )
    grey = ((best - low) / (high - low if high > low else 1.0)).clamp(0, 1) * 65535
    picture = PIL.Image.fromarray(grey.round().numpy().astype("uint16"))
    write_whole(path, lambda file: picture.save(file, "PNG"))
    return low, high


def write_scores(path: Path, scores: Scores, vocabulary: Vocabulary) -> None:
    """Write the maps of all classes as NumPy's .npz: `scores` (class h w, 16 bits), `ids`, `names`, and `kind`."""
    maps, kind = scores.data.half().numpy(), numpy.array(type(scores).__name__)
    ids = numpy.array([vocabulary.ids[label] for label in scores.labels])
    names = numpy.array([vocabulary.labels[label] for label in scores.labels])
    write_whole(path, lambda file: numpy.savez(file, scores=maps, ids=ids, names=names, kind=kind))


def _write_sheets(folder: Path, name: str, sheets: tuple[Sheet, ...]) -> list[dict[str, str | int]]:
    """Write the sheets in the order of the stages; return what the gallery has to know about them."""
    listed: list[dict[str, str | int]] = []
    for number, sheet in enumerate(sheets, start=1):
        entry: dict[str, str | int] = {
            "stage": sheet.stage,
            "kind": sheet.kind,
            "round": sheet.round,
            "text": sheet.text,
        }
        if sheet.picture is not None:
            stage = safe_name(sheet.stage.replace(" ", "-"))  # a recipe may call it anything
            entry["file"] = f"{number:02d}-{stage}-{sheet.round}.png"
            write_whole(
                folder / "maps" / name / str(entry["file"]),
                partial(sheet.picture.save, format="PNG"),
            )
        listed.append(entry)
    return listed


def _write_gallery(
    folder: Path,
    finding: Finding,
    vocabulary: Vocabulary,
    areas: list[Area],
    maps: list[dict[str, str | int]],
) -> None:
    """Write a small picture, a larger one, and the classes of its pixels as a script, which pages from disk can load."""
    name, longest = finding.record.name, max(finding.labels.shape)
    picture, numbers = resize_both(finding.pixels, finding.labels, min(1.0, GALLERY_SIDE / longest))
    small, small_numbers = resize_both(finding.pixels, finding.labels, THUMB_SIDE / longest)
    _write_jpeg(folder / "pictures" / f"{name}.jpg", picture, 88)
    _write_jpeg(
        folder / "thumbs" / f"{name}.jpg", tint_picture(small, small_numbers, vocabulary), 85
    )
    ranks = numpy.zeros(numbers.shape, "uint8")
    for rank, area in enumerate(areas[1:256], start=1):
        ranks[numbers == area.number] = rank
    packed = base64.b64encode(zlib.compress(ranks.tobytes())).decode()
    width, height = picture.size
    found = {"name": name, "width": width, "height": height, "ranks": packed, "maps": maps}
    write_text(folder / "layers" / f"{name}.js", f"show({json.dumps(found)});\n")


def _write_jpeg(path: Path, picture: PIL.Image.Image, quality: int) -> None:
    write_whole(path, lambda file: picture.save(file, "JPEG", quality=quality, subsampling=0))
