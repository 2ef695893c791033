"""Values have the axes that they name; here, with the checks of jaxtyping on, others
are refused.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import Image, Labels, Scores


@pytest.mark.parametrize(
    "make",
    [
        lambda: Image(torch.zeros(4, 5, 6)),
        lambda: Image(torch.zeros(3, 5, 6, dtype=torch.int64)),
        lambda: Scores(torch.zeros(5, 6), (1,)),
        lambda: Labels(torch.zeros(5, 6)),
    ],
)
def test_other_axes_and_types_are_refused(make: Any) -> None:
    with pytest.raises(Exception, match=r"[Tt]ype-check"):
        make()


def test_pixels_survive_the_way_to_floats_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).view(16, 16, 3)
    assert torch.equal(Image(pixels.permute(2, 0, 1).float() / 255).pixels, pixels)
