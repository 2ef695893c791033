from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.errors import NoImages
from ovsskit.run.reading import read_each
from ovsskit.run.samples import sample_images


def test_images_are_read_in_order_and_broken_ones_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = sample_images()[:2]
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"no image")
    found = [image.name for image in read_each([first, torn, second], AS_USUAL)]
    assert found == [first.stem, second.stem]
    assert f"{torn} is left out: " in caplog.text


def test_images_without_one_to_read_are_refused(tmp_path: Path) -> None:
    torn = [tmp_path / f"{name}.png" for name in "ab"]
    for path in torn:
        path.write_bytes(b"no image")
    with pytest.raises(NoImages) as caught:
        list(read_each(torn, AS_USUAL))
    assert all(str(path) in caught.value.there for path in torn)
    with pytest.raises(NoImages):
        list(read_each(sample_images()[:1], Reading(10)))
