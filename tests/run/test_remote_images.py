"""A run on remote images finds what a run on the same local images does, and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
from remote_photos import COLOURS, photo, put_photos

import ovsskit
from ovsskit.files import remote
from ovsskit.recipe.registry import load_plugin

TESTS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def toys() -> None:
    load_plugin(TESTS / "toy_stages.py")


def run(images: str, out: Path, **options: Any) -> dict[str, Any]:
    words = ["red", "green", "blue"]
    return ovsskit.run_images(TESTS / "toy.toml", images, out=out, classes=words, **options)


def masks(out: Path) -> dict[str, bytes]:
    folder = out / "masks"
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_remote_images_give_the_masks_of_local_ones(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_photos(f"file://{tmp_path}/photos")
    put_photos(f"{bucket}/photos")
    here = run(str(tmp_path / "photos"), tmp_path / "here")
    afar = run(f"{bucket}/photos", tmp_path / "afar")
    assert masks(tmp_path / "afar") == masks(tmp_path / "here")
    assert [one["name"] for one in afar["images"]] == [one["name"] for one in here["images"]]
    assert [one["areas"] for one in afar["images"]] == [one["areas"] for one in here["images"]]
    assert afar["images"][0]["source"] == f"{bucket}/photos/a.png"

    files, root = fsspec.core.url_to_fs(f"{bucket}/photos")
    files.pipe_file(f"{root}/a.png", photo("blue"))
    files.rm(f"{root}/z.png")
    read, whole = list[str](), remote.RemotePath.read_bytes

    def noted(self: remote.RemotePath) -> bytes:
        read.append(self.name)
        return whole(self)

    monkeypatch.setattr(remote.RemotePath, "read_bytes", noted)
    again = run(f"{bucket}/photos", tmp_path / "afar")
    assert read == ["a.png"]
    assert again["counts"]["done"] == len(COLOURS)


def test_images_that_vanish_or_break_off_fail_alone(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_photos(f"{memory}/photos")
    files = fsspec.filesystem("memory")
    whole = type(files).cat_file

    def cut(self: object, path: str, *more: object, **options: object) -> bytes:
        if path.endswith("/a.png"):
            raise ConnectionResetError("the connection was reset")
        if path.endswith("/z.png"):
            raise FileNotFoundError(path)
        content: bytes = whole(self, path, *more, **options)
        return content

    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0, 0.0))
    with monkeypatch.context() as patched:
        patched.setattr(type(files), "cat_file", cut)
        record = run(f"{memory}/photos", tmp_path / "out")
    reasons = {one["name"]: one["reason"] for one in record["images"] if one["reason"]}
    assert reasons == {
        "a": "It cannot be reached: the connection was reset.",
        "z": "There is no such bucket, folder or file.",
    }
    assert run(f"{memory}/photos", tmp_path / "out")["counts"]["failed"] == 0


def test_masks_are_exported_with_copies_of_remote_images(memory: str, tmp_path: Path) -> None:
    put_photos(f"{memory}/photos")
    found, copied, linked = tmp_path / "out", tmp_path / "copied", tmp_path / "linked"
    run(f"{memory}/photos", found)
    record = ovsskit.run_export(found, "yolo_seg", out=copied, images="copy")
    assert record["images"] == {"exported": len(COLOURS), "left_out": 0}
    assert photo("red") in [path.read_bytes() for path in copied.rglob("*.png")]
    record = ovsskit.run_export(found, "yolo_seg", out=linked, images="link")
    assert "Give --copy-images." in record["left_out"][0]["reason"]


def test_replicas_read_remote_images(s3: str, tmp_path: Path) -> None:
    put_photos(f"{s3}/photos")
    record = run(f"{s3}/photos", tmp_path / "out", devices=["cpu", "cpu"])
    assert record["counts"]["done"] == len(COLOURS)
