"""Remote files: which images a folder holds, and what becomes of reads that fail."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import fsspec
import pytest
from remote_photos import COLOURS, photo, put_photos

from ovsskit.errors import BadImage, BadOutput, MissingExtra, NoImages
from ovsskit.files import remote
from ovsskit.files.image_names import name_images
from ovsskit.files.inputs import search_images
from ovsskit.files.own.kinds import DISTIL, FIT, RUN, STUDY
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.files.remote import RemotePath, address_of, image_path, stamp_from


def test_a_folder_gives_images_as_a_local_one_does(bucket: str, tmp_path: Path) -> None:
    put_photos(f"{bucket}/photos")
    put_photos(f"file://{tmp_path}/photos")
    here = search_images(f"file://{tmp_path}/photos")
    afar = search_images(f"{bucket}/photos/")
    names = [name_images(one.images, lambda source: None, [], one.roots) for one in (here, afar)]
    assert names[0] == names[1] == sorted(COLOURS)
    assert afar.left_out.replace(bucket, str(tmp_path)) == here.left_out
    assert str(afar.images[0]) == f"{bucket}/photos/a.png"


def test_files_globs_and_lists_are_named(bucket: str, tmp_path: Path) -> None:
    put_photos(f"{bucket}/photos")
    files, root = fsspec.core.url_to_fs(f"{bucket}/photos")
    files.pipe_file(f"{root}/list.txt", b"# some\na.png\ndeep\nnot there yet.png\n")
    (tmp_path / "list.txt").write_text(f"{bucket}/photos/z.png\n")

    def found(text: str) -> list[str]:
        return [str(one).removeprefix(f"{bucket}/photos/") for one in search_images(text).images]

    assert found(f"{bucket}/photos/d e.png") == ["d e.png"]
    assert found(f"{bucket}/photos/*.png") == ["a.png", "d e.png", "z.png"]
    assert found(f"{bucket}/photos/deep/**") == ["deep/b.png", "deep/er/c.png"]
    assert found(str(tmp_path / "list.txt")) == ["z.png"]
    listed = ["a.png", "deep/b.png", "deep/er/c.png", "not there yet.png"]
    assert found(f"{bucket}/photos/list.txt") == listed


def test_what_is_not_there_is_said(bucket: str) -> None:
    for text in (f"{bucket}/none", f"{bucket}/none.png", f"{bucket}/none/*.png"):
        with pytest.raises(NoImages):
            search_images(text)
    put_photos(f"{bucket}/photos")
    with pytest.raises(NoImages, match="1 .md"):
        search_images(f"{bucket}/photos/*.md")
    with pytest.raises(BadImage, match="no such bucket"):
        image_path(f"{bucket}/none.png").read_bytes()


def test_addresses_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoImages, match="no file system `nowhere`"):
        search_images("nowhere://bucket/photos")
    with pytest.raises(NoImages, match="holds a password") as caught:
        search_images("ftp://me:secret@host/photos")
    assert "secret" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(MissingExtra, match="ovsskit\\[remote\\]"):
        search_images("s3://bucket/photos")


def test_videos_are_not_read_from_afar(memory: str) -> None:
    fsspec.filesystem("memory").pipe_file("/bucket/clip.mp4", b"video")
    with pytest.raises(NoImages, match="Copy it to this machine"):
        search_images(f"{memory}/clip.mp4")


def test_a_stamp_follows_the_content(bucket: str) -> None:
    files, root = fsspec.core.url_to_fs(bucket)
    files.pipe_file(f"{root}/a.png", photo("red"))
    listed = search_images(bucket).images[0]
    asked = image_path(str(listed))
    assert isinstance(listed, RemotePath)
    assert listed.stamp == remote.stamp_of_remote(asked) != (0, 0)
    files.pipe_file(f"{root}/a.png", photo("blue"))
    assert remote.stamp_of_remote(asked) != listed.stamp
    assert remote.stamp_of_remote(image_path(f"{bucket}/none.png")) == (0, 0)
    again = pickle.loads(pickle.dumps(listed))
    assert isinstance(again, RemotePath)
    assert (str(again), again.stamp) == (str(listed), listed.stamp)


def test_tags_count_before_times() -> None:
    one, other = {"size": 3, "ETag": '"x"', "mtime": 1.0}, {"size": 3, "ETag": "x", "mtime": 2.0}
    assert stamp_from(one) == stamp_from(other)
    assert stamp_from({"size": 3, "mtime": 1.5}) == (3, 1_500_000)
    assert stamp_from({"size": 3, "updated": "2026-01-01"})[1] > 0


@pytest.mark.parametrize("broken", [2, 4])
def test_a_read_that_breaks_off_is_tried_again(
    memory: str, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/a.png", photo("red"))
    whole, tries = type(files).cat_file, list[str]()

    def cut(self: object, path: str, *more: object, **options: object) -> bytes:
        tries.append(path)
        content: bytes = whole(self, path, *more, **options)
        return content[:-7] if len(tries) <= broken else content

    monkeypatch.setattr(type(files), "cat_file", cut)
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0, 0.0))
    path = image_path(f"{memory}/a.png")
    if broken == 2:
        assert path.read_bytes() == photo("red")
    else:
        with pytest.raises(BadImage, match="bytes arrived"):
            path.read_bytes()
    assert len(tries) == min(broken + 1, 4)


def test_a_file_that_is_too_large_is_not_read(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").pipe_file("/bucket/a.png", photo("red"))
    monkeypatch.setattr(remote, "MOST_BYTES", 10)
    with pytest.raises(BadImage, match="MB"):
        image_path(f"{memory}/a.png").read_bytes()


def test_credentials_are_asked_for(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCredentialsError(Exception):
        """What botocore raises."""

    def refuse(self: object, path: str, **options: object) -> None:
        raise NoCredentialsError("Unable to locate credentials")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", refuse)
    with pytest.raises(NoImages, match="come from the environment"):
        search_images(f"{memory}/photos")


def test_paths_that_were_meant_as_addresses() -> None:
    assert address_of(Path("s3://bucket/found")) == "s3://bucket/found"
    assert [address_of(Path(one)) for one in ("/tmp/found", "C:/found", "a", "s3:")] == [""] * 4


@pytest.mark.parametrize("address", ["s3://bucket/found", "memory://found"])
@pytest.mark.parametrize("record", [STUDY, FIT, DISTIL])
def test_what_is_not_written_to_remote_folders_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, record: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadOutput, match="can be written to this machine only") as caught:
        OwnFolder(Path(address), record)
    assert str(caught.value.where) == address
    assert not list(tmp_path.iterdir())


def test_a_file_address_is_a_folder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = OwnFolder(Path(f"file://{tmp_path}/found"), RUN)
    assert folder.path == folder.where == tmp_path / "found"
    folder.write_text("run.json", "{}")
    folder.close()
    assert [one.name for one in tmp_path.iterdir()] == ["found"]
