from __future__ import annotations

import torch

from ovsskit.engine.values import Image
from ovsskit.stages.maps.pad_image import PadImage


def test_rows_and_columns_of_one_colour_are_added() -> None:
    image = Image(torch.rand(3, 17, 32, generator=torch.Generator().manual_seed(0)), "name")
    padded = PadImage(colour=(255.0, 0.0, 51.0)).run(image)
    assert (padded.size, padded.name) == ((32, 32), "name")
    torch.testing.assert_close(padded.data[:, :17], image.data)
    torch.testing.assert_close(
        padded.data[:, 17:], torch.tensor([1.0, 0.0, 0.2])[:, None, None].expand(3, 15, 32)
    )
    assert torch.equal(PadImage(multiple=1).run(image).data, image.data)
