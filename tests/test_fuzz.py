"""Whatever a file holds, reading it ends in a result or in an error with a remedy;
benchmarks/fuzz.py does the same at length.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest

import fuzz
from fuzzing.feeding import Reader, feed

COUNTS = {
    "recipes": 30,
    "set": 15,
    "studies": 12,
    "clip": 4,
    "blip": 6,
    "dict.txt": 10,
    "journals": 10,
}
"""Files of those that take long; of the others, forty."""


@pytest.mark.parametrize("name", fuzz.READERS)
def test_a_broken_file_is_explained(name: str) -> None:
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of libraries, on configurations that are odd
            outcome = feed(fuzz.READERS[name](), COUNTS.get(name, 40), seed=1)
    finally:
        logging.disable(logging.NOTSET)
    assert outcome.crashes == {}
    assert outcome.explained + outcome.fine == COUNTS.get(name, 40)


def test_the_files_that_are_broken_are_good_before(tmp_path: Path) -> None:
    for name in (
        "studies",
        "trials.json",
        "fit.json",
        "run.json",
        "images.sqlite",
        "presence",
        "classes",
        "png",
        "tif",
        "masks",
        "eval.json",
        "export.json",
        "store",
        "bank of words",
        "bank of regions",
        "student/config.json",
    ):
        reader = fuzz.READERS[name]()
        for number, content in enumerate(reader.good):
            path = tmp_path / f"{name}{number}" / reader.file
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            reader.read(path)


def test_a_reader_that_fails_is_found() -> None:
    def fail(path: object) -> object:
        raise KeyError("x")

    outcome = feed(Reader("failing", (b"x = 1\n",), "x.toml", fail), 3, seed=1)
    assert outcome.crashed == 3
