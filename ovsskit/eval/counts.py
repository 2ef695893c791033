"""Count of one image what every metric is computed from, and keep it as a line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import xxhash
from pydantic import TypeAdapter

from ovsskit._lazy import Float, Int, numpy, torch
from ovsskit.datasets.protocol import Counting
from ovsskit.ops.boundary import boundary_counts
from ovsskit.ops.calibration import BINS, calibration_counts


@dataclass(frozen=True)
class ImageCounts:
    """Hold what was counted of one image, or why it was left out.

    `pairs` hold a true class, a predicted class and how many pixels have both; what was predicted
    as none of the classes has the number behind the last. `boundary` holds a class, and how many
    pixels near contours are of it in both masks, in the true one, and in the predicted one. `bins`
    hold a bin of the confidence, how many pixels are in it, the sum of their confidence, and how
    many are right. `truth` is a digest of the true mask.
    """

    index: int
    name: str
    pairs: tuple[tuple[int, int, int], ...] = ()
    boundary: tuple[tuple[int, int, int, int], ...] = ()
    bins: tuple[tuple[int, int, float, int], ...] = ()
    truth: str = ""
    left_out: str = ""

    def to_line(self) -> str:
        """Return it as one line of JSON."""
        kept = {key: value for key, value in asdict(self).items() if value or key == "index"}
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: bytes) -> ImageCounts:
        """Read it back from a line of JSON.

        Raises:
            ValueError: it is none.
        """
        counts: ImageCounts = _READ(line)
        return counts

    def matrix(self, classes: int) -> Int[torch.Tensor, "true predicted"]:
        """Return the confusion matrix of so many classes, and a last column for none of them."""
        matrix = torch.zeros(classes, classes + 1, dtype=torch.int64)
        if self.pairs:
            true, predicted, pixels = torch.tensor(self.pairs).T
            matrix[true, predicted] = pixels
        return matrix


_READ = TypeAdapter(ImageCounts).validate_json


def count_image(
    index: int,
    name: str,
    truth: Int[numpy.ndarray, "h w"],
    predicted: Int[numpy.ndarray, "h w"],
    counting: Counting,
    confidence: Float[torch.Tensor, "h w"] | None = None,
) -> ImageCounts:
    """Count the pixels of an image whose true class is known.

    Both masks hold numbers of the data set's classes, below 0 where it is none of them.
    """
    true, found = counting.apply(torch.from_numpy(truth), torch.from_numpy(predicted))
    matrix = counting.confusion(torch.from_numpy(truth), torch.from_numpy(predicted))
    near = boundary_counts(true, found, len(counting.counted))
    bins: list[tuple[int, int, float, int]] = []
    if confidence is not None:
        known = true >= 0
        counted = calibration_counts(confidence[known], (true == found)[known], BINS)
        for number, (pixels, total, right) in enumerate(counted.T.tolist()):
            if pixels:
                bins.append((number, int(pixels), total, int(right)))
    pairs = [(row, column, int(matrix[row, column])) for row, column in matrix.nonzero().tolist()]
    close = [(number, *near[:, number].tolist()) for number in near.any(0).nonzero()[:, 0].tolist()]
    digest = xxhash.xxh3_64_hexdigest(truth.astype("int32").tobytes())
    return ImageCounts(index, name, tuple(pairs), tuple(close), tuple(bins), digest)
