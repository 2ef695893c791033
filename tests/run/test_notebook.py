"""What a notebook shows of pipelines and results."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy
import PIL.Image

import ovsskit
from ovsskit.run.samples import sample_images


def test_a_pipeline_shows_its_plan_and_a_result_its_overlay() -> None:
    pipeline = ovsskit.load("quickstart", "salience_dropout.rounds=1", device="cpu")
    page = pipeline._repr_html_()
    assert "<pre" in page
    assert "presence_by_matching" in page
    assert "writes" in page
    result = pipeline(sample_images()[0], classes=["dog", "cat"])
    shown = result._repr_png_()
    assert shown is not None
    with PIL.Image.open(BytesIO(shown)) as image:
        assert numpy.array_equal(numpy.asarray(image), numpy.asarray(result.overlay()))
    unlabelled = {name: value for name, value in result.slots.items() if name != "labels"}
    assert replace(result, slots=unlabelled)._repr_png_() is None
