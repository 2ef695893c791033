from __future__ import annotations

import errno
import os
from pathlib import Path

import PIL.Image
import pytest

from ovsskit.errors import NoImages
from ovsskit.files.inputs import find_images, search_images
from ovsskit.files.own.kinds import KINDS


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b/x.jpg",
        "a/x.JPG",
        "a/deep/y.png",
        "a/notes.md",
        "a/.hidden/z.png",
        "a/._x.jpg",
        "odd.data",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*inputs: str) -> list[str]:
    return [path.as_posix() for path in find_images(inputs)]


def test_files_folders_and_globs_each_once(tree: Path) -> None:
    assert found("b/x.jpg", "odd.data") == ["b/x.jpg", "odd.data"]
    assert found("a") == ["a/deep/y.png", "a/x.JPG"]
    assert found("a/*") == ["a/x.JPG"]
    assert found("**/*.png", "a", "./b/../b") == ["a/deep/y.png", "a/x.JPG", "b/../b/x.jpg"]


def test_a_name_with_brackets_is_a_file_before_a_glob(tree: Path) -> None:
    (tree / "x[1].jpg").write_bytes(b"")
    assert found("x[1].jpg") == ["x[1].jpg"]


@pytest.mark.parametrize("record", KINDS)
def test_folders_of_earlier_results_are_left_out_and_it_is_said(
    tree: Path, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    results = tree / "a" / "Results"
    (results / "masks").mkdir(parents=True)
    (results / "masks" / "x.png").write_bytes(b"")
    (results / record).write_text('{\n "ovsskit": "1"}')
    (tree / "list.txt").write_text("a\n")
    caplog.set_level("INFO")
    own = ["a/deep/y.png", "a/x.JPG"]
    assert found("a") == found("list.txt") == own
    assert found("**/*.png") == found("a/**/*.png") == found("a/*/*.png") == own[:1]
    assert {one.message for one in caplog.records} == {
        "1 folder of earlier results left out: a/Results; 1 file left out: 1 .md",
        "1 folder of earlier results left out: a/Results",
    }
    mask = "a/Results/masks/x.png"
    caplog.clear()
    assert found(mask) == found("a/Results/masks") == found("a/Results/masks/*.png") == [mask]
    assert not caplog.records
    for text in ("a/Results", "a/Results/*/*.png"):
        with pytest.raises(NoImages) as caught:
            find_images([text])
        assert caught.value.there == "1 folder of earlier results left out: a/Results"


def test_a_record_of_another_program_leaves_nothing_out(tree: Path) -> None:
    (tree / "a" / "run.json").write_text('{"accuracy": 0.9}')
    assert found("a") == ["a/deep/y.png", "a/x.JPG"]


def test_lists_are_relative_to_themselves(tree: Path) -> None:
    (tree / "a" / "list.txt").write_text("# some\nx.JPG\n\n../b\n  deep/*.png \nlater.jpg\n")
    assert found("a/list.txt") == ["a/x.JPG", "a/../b/x.jpg", "a/deep/y.png", "a/later.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c", "no such file or folder"),
        ("*.webp", "No image matches"),
        ("empty", "This folder holds no image"),
        ("empty.txt", "names no image"),
        ("binary.txt", "not UTF-8 text"),
    ],
)
def test_what_names_nothing(tree: Path, text: str, message: str) -> None:
    (tree / "empty").mkdir()
    (tree / "empty.txt").write_text("\n# nothing\n")
    (tree / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NoImages, match=message) as caught:
        find_images(["b", text])
    assert str(caught.value.where) == text


def test_what_is_left_out_of_folders_and_globs_is_counted_by_ending(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a/1.MOV", "a/2.mov", "a/deep/3.mov", "a/notes", "b/film.mp4"):
        (tree / name).write_bytes(b"film")
    caplog.set_level("INFO")
    said = "5 files left out: 3 .mov, 1 .md, 1 without an ending"
    assert search_images(["a"]).left_out == said
    assert caplog.messages == [said]
    assert search_images(["b/*"]).left_out == "1 file left out: 1 .mp4"
    assert search_images(["a", "a/notes.md"]).left_out == (
        "4 files left out: 3 .mov, 1 without an ending"
    )
    assert search_images(["b/*.jpg", "b/x.jpg"]).left_out == ""


def test_files_without_an_ending_are_taken_by_their_content(tree: Path) -> None:
    PIL.Image.new("RGB", (2, 2)).save(tree / "a" / "photo", "WEBP")
    (tree / "a" / "README").write_text("BM not an image")
    assert found("a") == ["a/deep/y.png", "a/photo", "a/x.JPG"]
    assert found("a/p*") == ["a/photo"]


@pytest.mark.parametrize(
    ("inputs", "roots"),
    [
        (("a",), ("a",)),
        (("a/**/*.png",), ("a",)),
        (("a/x.JPG", "list.txt"), ("a", ".")),
    ],
)
def test_the_folders_below_which_images_are_named(
    tree: Path, inputs: tuple[str, ...], roots: tuple[str, ...]
) -> None:
    (tree / "list.txt").write_text("a/x.JPG\n")
    assert [root.as_posix() for root in search_images(inputs).roots] == list(roots)


@pytest.mark.parametrize("name", ["trip [2024]", "a?", "*", "[!x]"])
def test_brackets_in_the_name_of_a_folder_are_no_pattern(tree: Path, name: str) -> None:
    (tree / name / "in").mkdir(parents=True)
    (tree / name / "in" / "x.jpg").write_bytes(b"")
    (tree / name / "list.txt").write_text("in/*.jpg\n")
    only = [Path(name, "in", "x.jpg")]
    assert find_images([name]) == only
    assert find_images([f"{name}/in/*.jpg"]) == only
    assert find_images([f"{tree / name}/**/*.jpg"]) == [tree / only[0]]
    assert find_images([f"{name}/list.txt"]) == only


def test_folders_that_cannot_be_read_are_counted(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert find_images(["a"]) == [Path("a/x.JPG")]
    assert caplog.messages[0] == (
        "1 folder cannot be read, and its contents are left out: " + str(Path("a", "deep"))
    )
