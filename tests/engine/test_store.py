"""Stores give back what was kept, hold so many bytes at most, and take what cannot be read as
absent.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ovsskit.engine.store import OVERHEAD, STALE, Store, size_of
from ovsskit.engine.values import (
    Captions,
    CrossAttention,
    Image,
    Labels,
    PatchFeatures,
    Present,
    TextFeatures,
    Value,
    Vocabulary,
)
from ovsskit.errors import BadOutput
from ovsskit.testing import example, fingerprint

KINDS = [Image, Vocabulary, Present, Captions, CrossAttention, TextFeatures, Labels]


def features(number: int, count: int = 256) -> PatchFeatures:
    return PatchFeatures(torch.full((1, 1, count), float(number)))


def number_of(value: Value | None) -> float | None:
    return None if value is None else float(value.data.flatten()[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_disk", [False, True])
def test_values_come_back_as_they_were(kind: Any, on_disk: bool, tmp_path: Path) -> None:
    value = example(kind)
    store = Store(tmp_path)
    store.keep("key", value)
    found = (Store(tmp_path) if on_disk else store).find("key")
    assert found is not None
    assert fingerprint(found) == fingerprint(value)
    assert store.find("other") is None


@pytest.mark.parametrize(
    "data",
    [
        torch.tensor(float("nan")).expand(1, 1, 2),
        torch.rand(1, 3, 4).transpose(1, 2),
        torch.rand(2, 3, 4, dtype=torch.bfloat16),
        torch.zeros(0, 3, 4),
    ],
)
def test_any_tensor_comes_back_bit_by_bit(data: torch.Tensor, tmp_path: Path) -> None:
    Store(tmp_path).keep("key", PatchFeatures(data))
    found = Store(tmp_path).find("key")
    assert isinstance(found, PatchFeatures)
    assert found.data.dtype == data.dtype
    assert torch.equal(found.data.nan_to_num(7), data.nan_to_num(7))


def test_memory_holds_what_was_used_last() -> None:
    store = Store(memory_bytes=3 * size_of(features(0)))
    for number in (1, 2, 3):
        store.keep(str(number), features(number))
    assert number_of(store.find("1")) == 1
    store.keep("4", features(4))
    assert [number_of(store.find(key)) for key in "1234"] == [1, None, 3, 4]
    assert store.size == store.limit
    store.keep("large", features(9, 4096))
    assert store.find("large") is None
    assert [number_of(store.find(key)) for key in "134"] == [1, 3, 4]


def test_a_part_of_a_batch_does_not_keep_the_batch_alive() -> None:
    store = Store()
    store.keep("key", PatchFeatures(torch.rand(100, 1, 1, 256)[3]))
    found: Any = store.find("key")
    assert found.data.untyped_storage().nbytes() == found.data.nbytes == store.size - OVERHEAD


def size_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_disk_holds_what_was_used_last(tmp_path: Path) -> None:
    limit = 100_000
    for number in range(60):
        Store(tmp_path, disk_bytes=limit).keep(f"{number:02}", features(number, 1024))
        assert size_on_disk(tmp_path) <= limit
        assert Store(tmp_path, disk_bytes=limit).find("00") is not None, (
            "it is asked for all the time"
        )
    kept = [Store(tmp_path).find(f"{number:02}") is not None for number in range(60)]
    assert 15 <= sum(kept) < 60
    assert kept == [True, *sorted(kept[1:])], "the oldest are gone"


def test_one_process_looks_at_its_folder_now_and_then(tmp_path: Path) -> None:
    store = Store(tmp_path, memory_bytes=0, disk_bytes=100_000)
    for number in range(60):
        store.keep(f"{number:02}", features(number, 1024))
        assert size_on_disk(tmp_path) <= 100_000
    store.keep("large", features(9, 100_000))
    assert store.find("large") is None


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "a flipped bit", "no blob", "of an unknown kind"]
)
def test_what_cannot_be_read_is_absent_and_made_anew(damage: str, tmp_path: Path) -> None:
    Store(tmp_path).keep("key", features(5))
    [path] = tmp_path.rglob("*.safetensors")
    content = path.read_bytes()
    damaged = {
        "truncated": content[:-9],
        "empty": b"",
        "a flipped bit": content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
        "no blob": b"{}" * 100,
        "of an unknown kind": content.replace(b"PatchFeatures", b"PatchCreatures"),
    }
    path.write_bytes(damaged[damage])
    store = Store(tmp_path)
    assert store.find("key") is None
    store.keep("key", features(6))
    assert number_of(Store(tmp_path).find("key")) == 6


@dataclass(frozen=True, eq=False)
class Strange(Value):
    what: object


def test_what_cannot_be_written_is_kept_in_memory_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    with caplog.at_level(logging.WARNING):
        store.keep("key", Strange({1, 2}))
        store.keep("other", Strange({1, 2}))
    assert store.find("key") is not None
    assert Store(tmp_path).find("key") is None
    assert [record.message for record in caplog.records] == [
        f"results cannot be kept in {tmp_path}, and will be computed again: a set cannot be written"
    ]


def test_a_folder_that_vanished_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "store")
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").write_text("a file")
    store.keep("key", features(1))
    store.keep("other", features(2))
    assert len(caplog.records) == 1
    assert number_of(store.find("key")) == 1


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOutput):
        Store(tmp_path / "file" / "store")


def test_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    Store(tmp_path)
    (tmp_path / "ab").mkdir()
    old, new, mine = (
        tmp_path / "ab" / name for name in (f".{'0' * 32}.part", f".{'1' * 32}.part", ".mine.part")
    )
    for path in (old, new, mine):
        path.write_text("half")
    past = new.stat().st_mtime - STALE - 1
    for path in (old, mine):
        os.utime(path, (past, past))
    Store(tmp_path).keep("key", features(1))
    assert not old.exists()
    assert new.exists()
    assert mine.exists()


@pytest.mark.parametrize("name", ["thesis.tex", "masks/a.png", "CACHEDIR.TAG"])
def test_a_folder_of_others_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    with pytest.raises(BadOutput, match="not kept there"):
        Store(tmp_path)
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 1


def test_files_of_others_in_a_store_stay(tmp_path: Path) -> None:
    Store(tmp_path)
    mine = [tmp_path / name for name in ("ab/old", "ab/x.safetensors", "mine/a", "cd/0.part")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(90_000))
        os.utime(path, (0, 0))
    store = Store(tmp_path, memory_bytes=0, disk_bytes=20_000)
    for number in range(30):
        store.keep(str(number), features(number, 1024))
    assert all(path.stat().st_size == 90_000 for path in mine)
    assert sum(store.find(str(number)) is not None for number in range(30)) < 10


def test_links_in_a_store_are_not_followed(tmp_path: Path) -> None:
    key = f"{0xAB:032x}"[::-1]
    folder = tmp_path / "store"
    Store(folder).keep(key, features(1))
    elsewhere = tmp_path / "elsewhere"
    shutil.move(folder / key[:2], elsewhere)
    (folder / key[:2]).symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in elsewhere.iterdir()}
    store = Store(folder, memory_bytes=0, disk_bytes=9000)
    assert store.find(key) is None
    for number in range(30):
        store.keep(str(number), features(number))
    store.keep(key, features(2))
    assert {path: path.stat().st_mtime_ns for path in elsewhere.iterdir()} == before


@pytest.mark.parametrize("key", ["../../x", "/tmp/x", "", "a" * 5000, "k\0"])
def test_any_key_stays_inside_the_folder(tmp_path: Path, key: str) -> None:
    folder = tmp_path / "deep" / "store"
    Store(folder).keep(key, features(3))
    assert number_of(Store(folder).find(key)) == 3
    outside = [
        path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents
    ]
    assert outside == []


def work(folder: Path, first: int, wrong: Any) -> None:
    """Write and read numbered values in a folder with room for some of them."""
    store = Store(folder, memory_bytes=0, disk_bytes=200_000)
    for step in range(150):
        number = (first + step) % 50
        found = number_of(store.find(f"{number:02}"))
        if found not in (None, number):
            wrong.put(found)
        store.keep(f"{number:02}", features(number, 1024))


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    wrong = context.Queue()
    workers = [context.Process(target=work, args=(tmp_path, first, wrong)) for first in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert wrong.empty()
    assert size_on_disk(tmp_path) <= 220_000
    assert not list(tmp_path.rglob("*.part"))
    reader = Store(tmp_path)
    assert sum(reader.find(f"{number:02}") is not None for number in range(50)) >= 30
