"""Say which patches show the same, by scores that were found before."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Hidden, PatchSimilarity, Probabilities

REACH = 6
"""Length of the Gaussian, in standard deviations."""
EPSILON = 1e-8


class LayoutSimilarity(Stage, writes="patch_similarity"):
    """Call patches of the same word alike, less if what lies between them shows another.

    A patch has the word that most of its pixels have; pixels that are less sure than
    `unsure_below` have the first. Between two patches of a word the way is looked at: of the points
    on it, as many as the two are steps apart, of as many as the longest way has. If one of them has
    another word, their similarity falls with their distance. Each row is then smoothed along the
    patches (from a row of the grid to the next), divided by its sum, and all by the greatest.
    Source: ResCLIP, released code, with its rounding to half precision.

    Example:
        [[stage]]
        use = "layout_similarity"
        unsure_below = 0.5
    """

    waits: ClassVar[str] = "how many pairs of patches show the same"

    unsure_below: Annotated[
        float, Field(ge=0, le=1, description="pixels below have the first word")
    ] = 0.0
    sigma: Annotated[
        float, Field(gt=0, description="standard deviation of the smoothing, in patches")
    ] = 5.0
    rounded: Annotated[bool, Field(description="hold the result in half precision")] = True

    def run(self, scores: Probabilities, hidden: Hidden) -> PatchSimilarity:
        """Return one matrix over the patches of `hidden`, at most 1."""
        words = patch_words(scores.data, hidden.grid, self.unsure_below)
        alike = smooth_rows(same_place(words), self.sigma)
        alike = alike / alike.max()
        return PatchSimilarity(alike.half() if self.rounded else alike, hidden.grid)


def patch_words(
    maps: Float[torch.Tensor, "word h w"], grid: tuple[int, int], unsure_below: float
) -> Int[torch.Tensor, "rows cols"]:
    """Return the row of the word that most pixels of each patch have, the first of equals.

    Pixels beyond the last whole patch are not looked at.
    """
    best, words = maps.max(0)
    words = torch.where(best < unsure_below, 0, words)
    side = max(1, min(length // count for length, count in zip(words.shape, grid, strict=True)))
    pixels = words[: grid[0] * side, : grid[1] * side]
    patches = pixels.unflatten(0, (-1, side)).unflatten(2, (-1, side)).transpose(1, 2)
    found: torch.Tensor = patches.flatten(2).mode(-1).values
    return found


def same_place(words: Int[torch.Tensor, "rows cols"]) -> Float[torch.Tensor, "patch patch"]:
    """Return 1 for patches of the same word with a way between them, less the farther without."""
    flat, columns = words.flatten(), words.shape[1]
    same = flat[:, None] == flat
    starts, ends = same.nonzero(as_tuple=True)
    first, last = (torch.stack([one // columns, one % columns], 1) for one in (starts, ends))
    steps, longest = (last - first).abs().amax(1), max(words.shape) - 1
    has_way = torch.ones_like(starts, dtype=torch.bool)
    for step, share in enumerate(torch.linspace(0, 1, longest + 1, device=words.device)):
        down, right = (first * (1 - share) + last * share).round().long().T
        has_way &= (words[down, right] == flat[starts]) | (step > steps)
    alike = same.float()
    alike[starts, ends] = torch.where(has_way, 1.0, torch.exp(-steps / max(longest, 1)))
    return alike


def smooth_rows(
    alike: Float[torch.Tensor, "patch patch"], sigma: float
) -> Float[torch.Tensor, "patch patch"]:
    """Smooth each row by a Gaussian along the patches, and let it sum to 1."""
    size = min(len(alike), int(REACH * sigma + 1))
    size += 1 - size % 2
    places = torch.arange(size, device=alike.device) - size // 2
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None]
    smooth = torch.nn.functional.conv1d(alike[:, None], kernel, padding=size // 2)[:, 0]
    return smooth / (smooth.sum(1, keepdim=True) + EPSILON)
