"""Write everything there is to write about one finished image."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, TypeAlias

import PIL.Image

from ovsskit._lazy import Float, Int, UInt8, numpy, torch
from ovsskit.engine.values import Probabilities, Scores, Vocabulary
from ovsskit.errors import BadFile, reason_of
from ovsskit.files.names import safe_name
from ovsskit.files.own.open_folder import OpenFolder
from ovsskit.files.own.written import Written
from ovsskit.run.output.errors import tint_classes, tint_errors
from ovsskit.run.output.maps import Sheet
from ovsskit.run.output.masks import write_mask
from ovsskit.run.output.overlay import Area, draw_overlay, measure_areas, resize_both, tint_image
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.truths import Comparison, Truths

Put: TypeAlias = Callable[[str, Callable[[BinaryIO], object]], None]
"""Write a file, named by its path in the folder."""

GALLERY_SIDE, THUMB_SIDE = 1280, 360
"""The longer sides of the gallery's images, in pixels."""


@dataclass(frozen=True)
class Prediction:
    """Hold the results of one image, on the processor; `scores` and `sheets` if they are saved."""

    record: ImageRecord
    pixels: UInt8[numpy.ndarray, "h w 3"]
    labels: Int[numpy.ndarray, "h w"]
    scores: Scores | None = None
    sheets: tuple[Sheet, ...] | None = None


def save_prediction(
    folder: OpenFolder,
    prediction: Prediction,
    vocabulary: Vocabulary,
    truths: Truths | None = None,
) -> ImageRecord:
    """Write the files of one image, and return its record with what was written.

    Where true masks are known, the gallery shows the image's, and what differs from it.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    files: dict[str, Written] = {}

    def put(name: str, write: Callable[[BinaryIO], object]) -> None:
        files[name] = folder.write(name, write)

    name, wanted = prediction.record.name, prediction.record.saved
    height, width = prediction.pixels.shape[:2]
    areas = measure_areas(prediction.labels, vocabulary)
    put(f"masks/{name}.png", lambda file: write_mask(file, prediction.labels, vocabulary))
    confidence, scores = None, prediction.scores
    if scores is not None and "confidence" in wanted:
        grey, confidence = draw_confidence(scores, (height, width))
        put(f"confidence/{name}.png", partial(grey.save, format="PNG"))
    if scores is not None and "scores" in wanted:
        put(f"scores/{name}.npz", lambda file: write_scores(file, scores, vocabulary))
    maps = _put_sheets(put, name, prediction.sheets or ())
    put_pictures(put, prediction, vocabulary, areas, maps)
    miou, notes = None, prediction.record.notes
    if truths is not None and prediction.record.source in truths.items:
        try:
            compared = truths.compare(prediction.record.source, prediction.labels)
        except BadFile as error:
            notes = (*notes, reason_of(error))
        else:
            miou = compared.miou
            _put_truth(put, prediction, compared, truths)
    return replace(
        prediction.record,
        state="done",
        miou=miou,
        notes=notes,
        size=(width, height),
        areas=tuple((area.number, round(area.fraction, 6)) for area in areas),
        confidence=confidence,
        files=files,
    )


def winning_scores(scores: Scores, size: tuple[int, int]) -> Float[torch.Tensor, "h w"]:
    """Return the highest score of every pixel, enlarged to an image of this height and width."""
    best = scores.without_negatives().data.float().amax(0)
    if tuple(best.shape) != size:
        best = torch.nn.functional.interpolate(best[None, None], size, mode="bilinear")[0, 0]
    return best


def draw_confidence(
    scores: Scores, size: tuple[int, int]
) -> tuple[PIL.Image.Image, tuple[float, float]]:
    """Draw every pixel's winning score in 16-bit grey; return it, and what black and white mean.

    For probabilities these are 0 and 1, for other scores the lowest and the highest of the image.
    """
    best = winning_scores(scores, size)
    low, high = (
        (0.0, 1.0) if isinstance(scores, Probabilities) else (float(best.min()), float(best.max()))
    )
    grey = ((best - low) / (high - low)).nan_to_num().clamp(0, 1) * 65535
    return PIL.Image.fromarray(grey.round().numpy().astype("uint16")), (low, high)


def write_scores(file: BinaryIO, scores: Scores, vocabulary: Vocabulary) -> None:
    """Write all classes' maps as .npz: `scores` (class h w, 16 bits), `ids`, `names`, `kind`."""
    scores = scores.without_negatives()
    maps, kind = scores.data.half().numpy(), numpy.array(type(scores).__name__)
    ids = numpy.array([vocabulary.ids[label] for label in scores.labels])
    names = numpy.array([vocabulary.labels[label] for label in scores.labels])
    numpy.savez(file, scores=maps, ids=ids, names=names, kind=kind)


def _put_sheets(put: Put, name: str, sheets: tuple[Sheet, ...]) -> list[dict[str, str | int]]:
    """Write the sheets in the order of the stages; return what the gallery needs to show them."""
    listed: list[dict[str, str | int]] = []
    for number, sheet in enumerate(sheets, start=1):
        entry: dict[str, str | int] = {
            "stage": sheet.stage,
            "kind": sheet.kind,
            "round": sheet.round,
            "text": sheet.text,
        }
        if sheet.image is not None:
            stage = safe_name(sheet.stage.replace(" ", "-"))  # a recipe may call it anything
            entry["file"] = f"{number:02d}-{stage}-{sheet.round}.png"
            put(f"maps/{name}/{entry['file']}", partial(sheet.image.save, format="PNG"))
        listed.append(entry)
    return listed


def put_pictures(
    put: Put,
    prediction: Prediction,
    vocabulary: Vocabulary,
    areas: list[Area],
    maps: Sequence[dict[str, str | int]] = (),
) -> None:
    """Write the overlay, and for the gallery two smaller images and the pixels' classes.

    These are a script, which pages that are opened from disk can load. The areas are those that
    the legend names.
    """
    overlay = draw_overlay(prediction.pixels, prediction.labels, vocabulary, areas)
    put(f"overlays/{prediction.record.name}.jpg", _jpeg(overlay, 92))
    name, longest = prediction.record.name, max(prediction.labels.shape)
    image, numbers = resize_both(
        prediction.pixels, prediction.labels, min(1.0, GALLERY_SIDE / longest)
    )
    small, small_numbers = resize_both(prediction.pixels, prediction.labels, THUMB_SIDE / longest)
    put(f"gallery/images/{name}.jpg", _jpeg(image, 88))
    put(f"gallery/thumbs/{name}.jpg", _jpeg(tint_image(small, small_numbers, vocabulary), 85))
    ranks = numpy.zeros(numbers.shape, "uint8")
    for rank, area in enumerate(areas[1:256], start=1):
        ranks[numbers == area.number] = rank
    packed = base64.b64encode(zlib.compress(ranks.tobytes())).decode()
    width, height = image.size
    found = {"name": name, "width": width, "height": height, "ranks": packed, "maps": [*maps]}
    script = f"show({json.dumps(found)});\n".encode()
    put(f"gallery/layers/{name}.js", lambda file: file.write(script))


def _put_truth(put: Put, prediction: Prediction, compared: Comparison, truths: Truths) -> None:
    """Write two images of the gallery's size: the true classes, and where others were found."""
    name, pixels = prediction.record.name, prediction.pixels
    scale = min(1.0, GALLERY_SIDE / max(compared.truth.shape))
    image, true = resize_both(pixels, compared.truth, scale)
    _, found = resize_both(pixels, compared.found, scale)
    background = truths.dataset.facts.background
    tinted = tint_classes(image, true, truths.vocabulary, background)
    put(f"gallery/truth/{name}.jpg", _jpeg(tinted, 88))
    put(f"gallery/errors/{name}.jpg", _jpeg(tint_errors(image, true, found), 88))


def _jpeg(image: PIL.Image.Image, quality: int) -> Callable[[BinaryIO], None]:
    return partial(image.save, format="JPEG", quality=quality, subsampling=0)
