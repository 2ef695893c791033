from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ovsskit.errors import BadFile, CannotWrite
from ovsskit.files.own.written import Written
from ovsskit.run.output import records as module
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.output.records import IMAGES, InState, Records, open_records

DONE = ImageRecord(
    "a", "/p/a.jpg", "done", size=(4, 3), areas=((1, 1.0),), files={"x": Written(1, "2")}
)


def write(path: Path, *records: ImageRecord) -> Path:
    held = Records()
    for record in records:
        held[record.name] = record
    held.copy_to(path)
    return path


def named(names: str, state: Any = "done") -> list[ImageRecord]:
    return [replace(DONE, name=name, source=f"/p/{name}.jpg", state=state) for name in names]


def test_what_is_put_in_comes_out_in_the_order_of_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    path = write(tmp_path / IMAGES, *named("cabed"), *named("fg", "failed"))
    held = Records(path)
    assert [*held] == [*"abcdefg"]
    assert [one.name for one in held.values()] == [*"abcdefg"]
    assert held["a"] == replace(DONE, name="a")
    assert held.counts() == {"done": 5, "failed": 2, "pending": 0}
    done = InState(held, "done")
    assert [one.name for one in done] == [*"abcde"]
    assert (len(done), done[1].name, done[-1].name) == (5, "b", "e")
    assert [one.name for one in done[1:3]] == ["b", "c"]
    with pytest.raises(IndexError):
        done[5]
    with pytest.raises(KeyError):
        held["x"]


def test_images_are_found_by_path_and_by_stem(tmp_path: Path) -> None:
    odd = replace(DONE, name="odd", source="/p/\udcff.jpg")
    held = Records(write(tmp_path / IMAGES, *named("ab"), odd))
    assert held.of_source("/p/b.jpg") == held["b"]
    assert held.of_source("/p/\udcff.jpg") == odd
    assert held.of_source("/p/\\udcff.jpg") is None, "a path that is only written alike"
    assert held.name_of("/p/a.jpg") == "a"
    assert held.name_of("/q/a.jpg") is None
    assert held.of_stem("b", "done") == held["b"]
    assert held.of_stem("b", "failed") is None


def test_a_record_can_be_replaced_and_what_is_asked_of_all_follows(tmp_path: Path) -> None:
    held = Records(write(tmp_path / IMAGES, *named("ab")))
    held["a"] = replace(held["a"], areas=((0, 1.0),), notes=("odd",), saved=("maps",))
    for kind in ("empty", "noted", "explained"):
        assert [one.name for one in held.first(kind, 5)] == ["a"]
    assert (held.count_empty(), held.count_noted(), len(held)) == (1, 1, 2)
    held["a"] = DONE
    assert held.first("empty", 5) == held.first("noted", 5) == held.first("explained", 5) == []


def test_records_change_while_they_are_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    held = Records(write(tmp_path / IMAGES, *named("abcdef")))
    seen = []
    for record in held.each():
        held[record.name] = replace(record, state="failed")
        seen.append(record.name)
    assert seen == [*"abcdef"]


def test_several_threads_may_put_records_in(tmp_path: Path) -> None:
    held = Records(write(tmp_path / IMAGES, DONE))

    def put(start: int) -> None:
        for number in range(start, 400, 4):
            name = f"{number:03d}"
            held[name] = replace(DONE, name=name, source=name)
            assert held[name].name == name

    threads = [threading.Thread(target=put, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 401


@pytest.mark.parametrize("together", [7, 10_000])
def test_a_killed_process_leaves_what_was_committed(tmp_path: Path, together: int) -> None:
    path = write(tmp_path / IMAGES, *named("ab"))
    code = (
        "import os, sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from ovsskit.run.output import records\n"
        "records.TOGETHER = int(sys.argv[2])\n"
        "held = records.Records(Path(sys.argv[1]))\n"
        "for number in range(5000):\n"
        "    name = f'n{number:05d}'\n"
        "    held[name] = replace(held['a'], name=name, notes=('x' * 2000,))\n"
        "os._exit(9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path), str(together)], check=False)
    assert killed.returncode == 9
    held = Records(path)
    assert len(held) == 2 + (5000 // together * together if together < 5000 else 0)
    assert [one.name for one in held.values()] == sorted(held)


def other_table(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TRIGGER t AFTER UPDATE ON images BEGIN DELETE FROM images; END")


def no_record(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("UPDATE images SET record = '{}'")


def another_name(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("UPDATE images SET name = 'zz'")


def as_link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no file of records" * 100),
        cut,
        other_table,
        no_record,
        another_name,
        as_link,
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, harm: Any) -> None:
    path = write(tmp_path / IMAGES, DONE)
    harm(path)
    with pytest.raises(BadFile, match="The records of the images are broken"):
        list(Records(path).each())


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    held = Records(write(tmp_path / IMAGES, DONE))
    held._file.execute("PRAGMA max_page_count = 20")
    many = (replace(DONE, name=f"n{number}", notes=("x" * 5000,)) for number in range(100))
    with pytest.raises(CannotWrite, match="The disk is full") as caught:
        held.update({one.name: one for one in many})
    assert "run the same command again" in caught.value.fix


def test_records_that_an_older_version_kept_in_run_json_are_read_and_moved(tmp_path: Path) -> None:
    out, identity = tmp_path / "out", {"classes": {"names": ["dog"]}}
    image = tmp_path / "a.jpg"
    image.write_text("a")
    folder = OutputFolder(out, identity)
    [record] = folder.add([image], frozenset(), [])
    files = {"masks/a.png": folder.write_text("masks/a.png", "mask")}
    folder.finish(replace(record, state="done", files=files))
    old = [asdict(one) for one in folder.records.values()]
    folder.write_record(costs=asdict(Costs(seconds=4.0)), identity=identity, pages={}, images=old)
    (out / "finished.jsonl").unlink()
    folder.close()
    again = OutputFolder(out, identity)
    assert not again.add([image], frozenset(), [])
    again.save(Costs())
    again.close()
    assert '"images"' not in (out / "run.json").read_text()
    held = open_records(out, {})
    assert [asdict(one) for one in held.values()] == old
