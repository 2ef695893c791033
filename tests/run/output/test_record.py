from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ovsskit.run.output.record import Costs, ImageRecord, stamp_of


def test_costs_add_up() -> None:
    costs = Costs()
    for seconds in (0.5, 0.25):
        costs.add("look", seconds)
    assert costs == Costs(0.0, {"look": 0.75}, None, None)
    other = Costs(2.0, {"look": 1.0, "cut": 3.0}, 10, 4)
    both = Costs(2.0, {"look": 1.75, "cut": 3.0}, 10, 4)
    assert costs.plus(other) == other.plus(costs) == both
    more = Costs(1.0, {"fit": 5.0}, 12, 3)
    assert other.plus(more) == Costs(3.0, {"look": 1.0, "cut": 3.0, "fit": 5.0}, 12, 4)


def test_of_a_new_image_nothing_is_known() -> None:
    assert asdict(ImageRecord("x", "x.jpg")) == {
        "name": "x",
        "source": "x.jpg",
        "state": "pending",
        "reason": "",
        "stamp": (0, 0),
        "size": (0, 0),
        "saved": (),
        "areas": (),
        "confidence": None,
        "files": {},
        "presence": (),
        "notes": (),
        "miou": None,
    }


@pytest.mark.parametrize("name", ["", "../x", "a//b", "/a"])
def test_a_name_is_that_of_a_file(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ImageRecord.from_plain({"name": name, "source": "x.jpg"})


@pytest.mark.parametrize(
    ("fields", "is_empty"),
    [
        ({"state": "done"}, True),
        ({"state": "done", "areas": ((0, 1.0),)}, True),
        ({"state": "done", "areas": ((0, 0.5), (1, 0.5))}, False),
        ({"state": "failed"}, False),
    ],
)
def test_an_image_that_is_done_may_show_nothing(fields: dict[str, Any], is_empty: bool) -> None:
    assert ImageRecord("x", "x.jpg", **fields).shows_nothing is is_empty


def test_the_stamp_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert stamp_of(path) == (0, 0)
    path.write_text("12345")
    os.utime(path, ns=(0, 7_000_000_000))
    assert stamp_of(path) == (5, 7_000_000_000)
