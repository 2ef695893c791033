"""Time the dense CRF against pydensecrf on one thread, and compare labels.

Run `python benchmarks/dense_crf.py`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from pydensecrf.densecrf import DenseCRF2D
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from ovsskit.ops.mean_field import build_lattices, mean_field

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
SIZES = ((375, 500), (480, 640))
SIGMAS = {"gaussian_sigma": 3.0, "bilateral_sigma": 50.0, "bilateral_colour_sigma": 5.0}
WEIGHTS = {"gaussian_weight": 7.0, "bilateral_weight": 10.0}


def photograph(height: int, width: int, random: np.random.Generator) -> torch.Tensor:
    """Draw shaded discs over each other, with texture and the noise of a sensor."""
    down, right = np.mgrid[:height, :width]
    image = np.full((height, width, 3), random.uniform(40, 210, 3))
    for _ in range(60):
        y, x, radius = (
            random.uniform(0, height),
            random.uniform(0, width),
            height * random.uniform(0.02, 0.3),
        )
        inside = (down - y) ** 2 + (right - x) ** 2 < radius**2
        image[inside] = (
            random.uniform(10, 245, 3) + ((down - y)[inside] * random.normal(0, 0.15))[:, None]
        )
    texture = sum(
        gaussian_filter(random.normal(size=(height, width)), sigma) * sigma * 6
        for sigma in (1, 2, 4, 8, 16, 32)
    )
    image = (
        gaussian_filter(image, (0.7, 0.7, 0))
        + texture[..., None]
        + random.normal(0, 3, image.shape)
    )
    return torch.tensor(image.clip(0, 255).astype(np.uint8))


def soft_masks(classes: int, height: int, width: int, random: np.random.Generator) -> torch.Tensor:
    """Draw smooth random probabilities."""
    maps = [
        gaussian_filter(random.normal(size=(height, width)), height * 0.06) for _ in range(classes)
    ]
    scores = np.stack(maps) / np.std(maps) + random.normal(0, 0.05, (classes, height, width))
    return torch.tensor(scores, dtype=torch.float32).softmax(0)


def reference(probabilities: torch.Tensor, pixels: torch.Tensor, steps: int) -> torch.Tensor:
    """Return the marginals of pydensecrf."""
    classes, height, width = probabilities.shape
    model = DenseCRF2D(width, height, classes)
    model.setUnaryEnergy(-probabilities.clamp(1e-5, 1).log().flatten(1).contiguous().numpy())
    model.addPairwiseGaussian(sxy=3, compat=7)
    model.addPairwiseBilateral(sxy=50, srgb=5, rgbim=pixels.numpy(), compat=10)
    return torch.tensor(np.array(model.inference(steps))).view(classes, height, width)


def timed(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> tuple[float, Result]:
    """Return the milliseconds of processor time that a call takes, and its result.

    Other programs hardly disturb processor time.
    """
    start = time.process_time()
    result = function(*args, **kwargs)
    return (time.process_time() - start) * 1e3, result


def compare(height: int, width: int, classes: int, steps: int, runs: int) -> list[str]:
    """Run both engines in turn; return best times, share of equal labels, and mean difference."""
    random = np.random.default_rng(classes)
    pixels, probabilities = (
        photograph(height, width, random),
        soft_masks(classes, height, width, random),
    )
    times = []
    for _ in range(runs):
        published, expected = timed(reference, probabilities, pixels, steps)
        building, lattices = timed(build_lattices, pixels, **SIGMAS)
        stepping, marginals = timed(
            mean_field, probabilities, pixels, steps=steps, lattices=lattices, **SIGMAS, **WEIGHTS
        )
        times.append((published, building, stepping))
    published, building, stepping = np.min(times, axis=0)
    equal = (marginals.argmax(0) == expected.argmax(0)).double().mean()
    numbers = [
        f"{published:.0f}",
        f"{building:.0f}",
        f"{stepping:.0f}",
        f"{published / (building + stepping):.2f}",
    ]
    return [*numbers, f"{equal:.4%}", f"{(marginals - expected).abs().mean():.0e}"]


def main() -> None:
    """Print a table of all sizes and numbers of classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 5, 21, 60])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(
        "image",
        "classes",
        "pydensecrf",
        "build",
        "steps",
        "ratio",
        "labels",
        "error",
        title="milliseconds",
    )
    for height, width in SIZES:
        for classes in arguments.classes:
            cells = compare(height, width, classes, arguments.steps, arguments.runs)
            table.add_row(f"{height}x{width}", str(classes), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
