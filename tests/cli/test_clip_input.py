"""What goes wrong with an image, a model or a text in the recipes of CLIP is said in words, from
the whole recipe.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ovsskit
from ovsskit.errors import BadFile, BadValue
from ovsskit.run.pipeline import Result

SMALL = ("resize_image.short_side=48", "views.altered=[]")
CLASSES = ["dog", "cat"]
RECIPE = """
extends = "itaclip_tiny"
[[stage]]
use = "expand_text"
templates = "simple"
file = "texts.txt"
after = "encode_text"
"""


def segment(recipe: str | Path, *overrides: str, size: tuple[int, int] = (48, 64)) -> Result:
    image: Any = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return ovsskit.load(recipe, *overrides)(image, classes=CLASSES)


def written(folder: Path, texts: str) -> Path:
    (folder / "texts.txt").write_text(texts)
    (folder / "mine.toml").write_text(RECIPE)
    return folder / "mine.toml"


def test_an_image_smaller_than_the_window_is_seen_in_one_piece() -> None:
    small = segment("itaclip_tiny", *SMALL, "sliding_window.window=112")
    whole = segment("itaclip_tiny", *SMALL, "sliding_window.window=64", "sliding_window.stride=64")
    assert np.array_equal(small.ids, whole.ids)
    assert small.ids.shape == (48, 64)


def test_a_window_smaller_than_a_patch() -> None:
    with pytest.raises(BadValue) as caught:
        segment("itaclip_tiny", *SMALL, "sliding_window.window=5")
    assert str(caught.value).splitlines()[1:] == [
        "  An image is 5 x 5 pixels, smaller than a patch of 8.",
        "  Enlarge it first: resize_image.",
    ]


def test_blocks_that_the_model_has_not() -> None:
    with pytest.raises(BadValue) as caught:
        segment("itaclip_tiny", *SMALL, "self_similarity.layers=[7, 8, 10, 12]")
    assert str(caught.value).splitlines()[1:] == [
        "  encode_hidden.layers asks for 7, 8, 10, 12; the image encoder has 6 blocks.",
        "  Give numbers from 1 to 6, or from -6 to -1.",
    ]


def test_a_definition_that_the_tokenizer_cuts_is_said_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = " ".join(["brown"] * 60)
    with caplog.at_level(logging.WARNING):
        cut = segment(written(tmp_path, f"dog >= {long}\ncat >= a pet\n"), *SMALL)
    limit = 48
    [said] = [
        record.getMessage() for record in caplog.records if "lose their end" in record.getMessage()
    ]
    assert said == (
        f"the model reads {limit} tokens: 1 of 2 texts are longer and lose their end, such "
        f"as: a photo of a {long}."
    )
    assert cut.ids.shape == (48, 64)


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        (
            "dog >= a pet\n",
            [
                "texts.txt  OV304  unreadable file",
                "  There are 1 texts for 2 classes.",
                "  The first class without one: cat",
                "  Write one line for each class, in their order.",
            ],
        ),
        (
            "dog >= a pet\ncat >= a pet\nbird >= a flyer\n",
            [
                "texts.txt:3  OV304  unreadable file",
                "  There are 3 texts for 2 classes.",
                "  Write one line for each class, in their order.",
            ],
        ),
        (
            "cat >= a pet\ndog >= a pet\n",
            [
                "texts.txt:1  OV304  unreadable file",
                "  The text for `cat` is where the text for `dog` is expected.",
                "  Put the lines in the order of the classes.",
            ],
        ),
    ],
)
def test_a_file_of_texts_whose_lines_do_not_match_the_classes(
    tmp_path: Path, texts: str, lines: list[str]
) -> None:
    with pytest.raises(BadFile) as caught:
        segment(written(tmp_path, texts), *SMALL)
    assert str(caught.value).removeprefix(f"{tmp_path}/").splitlines() == lines
