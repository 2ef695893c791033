"""Give what was found to the package `supervision`, which draws, counts and tracks."""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import Float, Int, numpy, torch
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import MissingExtra


def to_detections(
    ids: Int[torch.Tensor, "h w"], vocabulary: Vocabulary, confidence: Float[torch.Tensor, "h w"]
) -> Any:
    """Return `supervision.Detections` with one mask for each class but the background.

    A class's confidence is the mean of its pixels' scores.

    Raises:
        MissingExtra: the package is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        what = "Detections need the package `supervision`."
        raise MissingExtra(what, fix="pip install supervision") from error
    names = dict(zip(vocabulary.ids, vocabulary.labels, strict=True))
    found = [number for number in ids.unique().tolist() if number != 0]
    if not found:
        return supervision.Detections.empty()
    masks = numpy.stack([(ids == number).cpu().numpy() for number in found])
    scores = confidence.cpu().numpy()
    return supervision.Detections(
        xyxy=supervision.mask_to_xyxy(masks),
        mask=masks,
        confidence=numpy.array([scores[mask].mean() for mask in masks]),
        class_id=numpy.array(found),
        data={"class_name": numpy.array([names[number] for number in found])},
    )
