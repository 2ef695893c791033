from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ovsskit.errors import BadOutput
from ovsskit.output.folder import OutputFolder
from ovsskit.output.record import Costs, PictureRecord

IDENTITY: dict[str, Any] = {
    "stages": [
        {
            "address": "threshold",
            "use": "threshold",
            "at": 0.15,
            "inner": [{"address": "look", "use": "look", "at": 1}],
        }
    ],
    "models": {"backbone": {"weights": "embedded"}},
    "classes": {"names": ["dog"]},
}
NOTHING: frozenset[str] = frozenset()


@contextmanager
def opened(path: Path, identity: dict[str, Any] = IDENTITY) -> Iterator[OutputFolder]:
    folder = OutputFolder(path, identity)
    try:
        yield folder
    finally:
        folder.close()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    return paths


def done(record: PictureRecord) -> PictureRecord:
    return replace(record, state="done")


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, pictures: list[Path]) -> None:
    with opened(tmp_path / "out") as folder:
        todo = folder.add(pictures, NOTHING, [])
        folder.save(Costs(seconds=1.0, stages={"look": 0.5}, peak_memory=10))
        folder.finish(done(todo[0]))
    journal = tmp_path / "out" / "finished.jsonl"
    journal.write_text(f'{journal.read_text()}{{"name": "b", "sta')
    with opened(tmp_path / "out") as folder:
        assert [record.name for record in folder.add(pictures, NOTHING, [])] == ["b", "c"]
        folder.save(Costs(seconds=2.0, stages={"look": 0.25, "cut": 1.0}, peak_memory=7))
    plain = json.loads((tmp_path / "out" / "run.json").read_text())
    assert plain["counts"] == {"done": 1, "failed": 0, "pending": 2}
    assert plain["costs"]["seconds"] == 3.0
    assert plain["costs"]["stages"] == {"look": 0.75, "cut": 1.0}
    assert plain["costs"]["peak_memory"] == 10
    assert not journal.exists()


def test_what_is_done_again(tmp_path: Path, pictures: list[Path]) -> None:
    with opened(tmp_path / "out") as folder:
        first, second, third = folder.add(pictures, NOTHING, [])
        for record in (done(first), done(second), replace(third, state="failed", reason="broken")):
            folder.finish(record)
        assert folder.add(pictures, NOTHING, []) == [third]
        pictures[1].write_text("something else")
        assert [record.name for record in folder.add(pictures, NOTHING, [])] == ["b", "c"]
        assert [record.name for record in folder.add(pictures, NOTHING, [pictures[0]])] == [
            "a",
            "b",
            "c",
        ]
        folder.finish(done(first))
        assert [record.name for record in folder.add(pictures, frozenset({"scores"}), [])] == [
            "a",
            "b",
            "c",
        ]


def changed(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(IDENTITY))
    plain["stages"][0]["inner"][0]["at"] = changes.get("at", 1)
    plain["models"]["backbone"]["weights"] = changes.get("weights", "embedded")
    plain["classes"]["names"] = changes.get("names", ["dog"])
    return plain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"at": 2}, "look.at: 1 there, 2 now"),
        ({"weights": "mine"}, 'backbone.weights: "embedded" there, "mine" now'),
        ({"names": ["cat"]}, r'classes.names: \["dog"\] there, \["cat"\] now'),
    ],
)
def test_another_run_is_refused_with_what_differs(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with opened(tmp_path / "out") as folder:
        folder.save(Costs())
    with pytest.raises(BadOutput, match=message):
        OutputFolder(tmp_path / "out", changed(**changes))
    with opened(tmp_path / "out"):
        pass


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "out"), pytest.raises(BadOutput, match="Another run is writing"):
        OutputFolder(tmp_path / "out", IDENTITY)
    with opened(tmp_path / "out"):
        pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadOutput, match="of no run"):
        OutputFolder(tmp_path, IDENTITY)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_broken_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"identity": ')
    with pytest.raises(BadOutput, match="broken"):
        OutputFolder(tmp_path, IDENTITY)


def test_what_a_killed_run_left_half_written_goes(tmp_path: Path) -> None:
    with opened(tmp_path / "out") as folder:
        folder.save(Costs())
    (tmp_path / "out" / "masks").mkdir()
    (tmp_path / "out" / "masks" / ".a.png.part").write_text("half")
    with opened(tmp_path / "out"):
        assert not list((tmp_path / "out" / "masks").iterdir())
