from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ovsskit.errors import BadOutput
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.record import Costs, ImageRecord

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
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    return paths


def done(folder: OutputFolder, record: ImageRecord, *names: str) -> ImageRecord:
    """Return the record of an image that is done, with its files written."""
    names = names or (f"masks/{record.name}.png",)
    files = {name: folder.write_text(name, f"content of {name}") for name in names}
    return replace(record, state="done", files=files)


def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, images: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path / "out") as folder:
        todo = folder.add(images, NOTHING, [])
        folder.save(Costs(seconds=1.0, stages={"look": 0.5}, peak_memory=10))
        folder.finish(done(folder, todo[0]))
    journal = tmp_path / "out" / "finished.jsonl"
    half = b'{"name": "\xff"}\nnull\n{"name": "../b", "source": "b"}\n{"name": "b", "sta'
    journal.write_bytes(journal.read_bytes() + half)
    with opened(tmp_path / "out") as folder:
        assert [record.name for record in folder.add(images, NOTHING, [])] == ["b", "c"]
        folder.save(Costs(seconds=2.0, stages={"look": 0.25, "cut": 1.0}, peak_memory=7))
    plain = json.loads((tmp_path / "out" / "run.json").read_text())
    assert plain["counts"] == {"done": 1, "failed": 0, "pending": 2}
    assert plain["costs"]["seconds"] == 3.0
    assert plain["costs"]["stages"] == {"look": 0.75, "cut": 1.0}
    assert plain["costs"]["peak_memory"] == 10
    assert not journal.exists()
    assert [record.message for record in caplog.records] == [
        f"4 of 5 lines of {journal} cannot be read; what is recorded only there is done again"
    ]


def test_the_record_alone_waits_for_the_disk(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("os.fsync", told.append)
    with opened(tmp_path / "out") as folder:
        folder.finish(done(folder, folder.add(images, NOTHING, [])[0]))
        assert not told
        folder.save(Costs())
        assert len(told) == 2, "run.json, and the records of the images"
    assert (tmp_path / "out" / "run.json").read_text().startswith('{\n "ovsskit": ')


def test_the_first_image_is_explained_unless_another_was(
    tmp_path: Path, images: list[Path]
) -> None:
    with opened(tmp_path / "out") as folder:
        assert not folder.stale
        folder.explain_first([])
        todo = folder.add(images, NOTHING, [])
        folder.explain_first(todo)
        assert [record.saved for record in todo] == [("maps",), (), ()]
        folder.finish(done(folder, folder.records["a"]))
        left = folder.add(images, NOTHING, [])
        folder.explain_first(left)
        assert [(record.name, record.saved) for record in left] == [("b", ()), ("c", ())]


def test_what_is_done_again(tmp_path: Path, images: list[Path]) -> None:
    with opened(tmp_path / "out") as folder:
        first, second, third = folder.add(images, NOTHING, [])
        for record in (
            done(folder, first),
            done(folder, second),
            replace(third, state="failed", reason="broken"),
        ):
            folder.finish(record)
        assert list(folder.add(images, NOTHING, [])) == [third]
        images[1].write_text("something else")
        assert [record.name for record in folder.add(images, NOTHING, [])] == ["b", "c"]
        assert [record.name for record in folder.add(images, NOTHING, [images[0]])] == [
            "a",
            "b",
            "c",
        ]
        folder.finish(done(folder, first))
        assert [record.name for record in folder.add(images, frozenset({"scores"}), [])] == [
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
        [record] = folder.add([tmp_path / "a.jpg"], NOTHING, [])
        folder.save(Costs())
        folder.finish(done(folder, record))
    with pytest.raises(BadOutput, match=message):
        OutputFolder(tmp_path / "out", changed(**changes))
    with opened(tmp_path / "out"):
        pass


@pytest.mark.parametrize(("count", "end"), [(4, "3 there, 4 now"), (6, "; and 2 more")])
def test_of_many_differences_four_are_named(tmp_path: Path, count: int, end: str) -> None:
    mine, other = ({"fit": {f"x{n}": n + more for n in range(count)}} for more in (0, 1))
    with opened(tmp_path / "out", mine) as folder:
        [record] = folder.add([tmp_path / "a.jpg"], NOTHING, [])
        folder.save(Costs())
        folder.finish(done(folder, record))
    with pytest.raises(BadOutput) as caught:
        OutputFolder(tmp_path / "out", other)
    assert caught.value.there.count(" there, ") == 4
    assert caught.value.there.endswith(end)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "out"), pytest.raises(BadOutput, match="Another run is writing"):
        OutputFolder(tmp_path / "out", IDENTITY)
    with opened(tmp_path / "out"):
        pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadOutput, match="belong to no run"):
        OutputFolder(tmp_path, IDENTITY)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"identity": ',
        '{"ovsskit": "1", "identity": ',
        (
            '{"ovsskit": "1", "identity": {}, "costs": {}, "images": [{"name": "../../x", '
            '"source": "x"}]}'
        ),
        '{"ovsskit": "1", "identity": {}, "costs": {}, "pages": [], "images": []}',
        '{"ovsskit": "1", "identity": {}, "costs": {"seconds": "many"}, "images": []}',
        (
            '{"ovsskit": "1", "identity": {}, "costs": {}, "images": [{"name": "x", "source": '
            '"x", "files": {"../x": [1, "2"]}}]}'
        ),
    ],
)
def test_a_broken_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadOutput, match="broken"):
        OutputFolder(tmp_path, IDENTITY)
    assert (tmp_path / "run.json").read_text() == text


def test_a_folder_in_which_nothing_was_done_is_no_other_run(
    tmp_path: Path, images: list[Path]
) -> None:
    with opened(tmp_path / "out") as folder:
        for record in folder.add(images, NOTHING, []):
            folder.finish(replace(record, state="failed", reason="no such file"))
        folder.save(Costs(seconds=5.0))
    with opened(tmp_path / "out", changed(at=2)) as folder:
        assert len(folder.add(images, NOTHING, [])) == 3
        assert folder.costs.seconds == 0
        folder.save(Costs())
    with opened(tmp_path / "out", changed(at=2)):
        pass


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


@pytest.mark.parametrize("harm", [Path.unlink, truncate, replace_by_link])
def test_what_is_missing_is_done_again_and_said(
    tmp_path: Path, images: list[Path], harm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path / "out") as folder:
        for record in folder.add(images, NOTHING, []):
            folder.finish(done(folder, record))
        harm(tmp_path / "out" / "masks" / "b.png")
        assert [record.name for record in folder.add(images, NOTHING, [])] == ["b"]
    assert [record.message for record in caplog.records] == [
        "1 of the 3 finished images are done again: files are missing or changed"
    ]


def test_changed_content_of_the_same_size_is_found_when_asked_for(
    tmp_path: Path, images: list[Path]
) -> None:
    with opened(tmp_path / "out") as folder:
        for record in folder.add(images, NOTHING, []):
            folder.finish(done(folder, record))
        mask = tmp_path / "out" / "masks" / "b.png"
        mask.write_bytes(b"\0" * mask.stat().st_size)
        assert not folder.add(images, NOTHING, [])
        todo = folder.add(images, NOTHING, [], verify=True)
        assert [record.name for record in todo] == ["b"]


def test_files_of_an_earlier_result_go_and_other_files_stay(
    tmp_path: Path, images: list[Path]
) -> None:
    with opened(tmp_path / "out") as folder:
        [record, *_] = folder.add(images, NOTHING, [])
        folder.finish(done(folder, record, "masks/a.png", "scores/a.npz"))
        mine = tmp_path / "out" / "scores" / "mine.npz"
        mine.write_text("mine")
        images[0].write_text("changed")
        [record, *_] = folder.add(images, NOTHING, [])
        folder.finish(replace(record, state="failed", reason="broken"))
        assert (tmp_path / "out" / "scores" / "a.npz").exists(), "a failure removes nothing"
        [record, *_] = folder.add(images, NOTHING, [])
        folder.finish(done(folder, record, "masks/a.png"))
        assert [path.name for path in mine.parent.iterdir()] == ["mine.npz"]


def test_files_that_vanish_while_the_run_goes_on_are_not_done(
    tmp_path: Path, images: list[Path]
) -> None:
    with opened(tmp_path / "out") as folder:
        for record in folder.add(images, NOTHING, []):
            folder.finish(done(folder, record))
        (tmp_path / "out" / "masks" / "b.png").unlink()
        folder.see_done(["a", "b", "c"])
        assert [record.state for record in folder.records.values()] == ["done", "failed", "done"]


def test_the_pages_are_stale_if_they_are_older_than_the_record(
    tmp_path: Path, images: list[Path]
) -> None:
    with opened(tmp_path / "out") as folder:
        [record, *_] = folder.add(images, NOTHING, [])
        folder.save(Costs())
        folder.save(Costs(), {"index.html": folder.write_text("index.html", "gallery")})
    with opened(tmp_path / "out") as folder:
        assert not folder.stale
        folder.finish(done(folder, record))
    with opened(tmp_path / "out") as folder:
        assert folder.stale
        folder.save(Costs(), {"index.html": folder.write_text("index.html", "gallery")})
    (tmp_path / "out" / "index.html").write_text("")
    with opened(tmp_path / "out") as folder:
        assert folder.stale
