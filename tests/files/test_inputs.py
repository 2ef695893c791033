from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.errors import NoImages
from ovsskit.files.inputs import find_images, name_images
from ovsskit.files.own import KINDS


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
        "left out: 1 folder of earlier results (a/Results)"
    }
    mask = "a/Results/masks/x.png"
    caplog.clear()
    assert found(mask) == found("a/Results/masks") == found("a/Results/masks/*.png") == [mask]
    assert not caplog.records
    for text in ("a/Results", "a/Results/*/*.png"):
        with pytest.raises(NoImages) as caught:
            find_images([text])
        assert caught.value.there == "Left out: 1 folder of earlier results (a/Results)"


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


def test_equal_stems_get_names_of_their_own() -> None:
    paths = [Path(text) for text in ("/a/x.jpg", "/b/x.jpg", "/b/X.png", "/c/y.jpg")]
    assert name_images(paths, {}) == ["a_x", "b_x", "b_X_2", "y"]


def test_names_given_before_are_kept() -> None:
    known = {str(Path("/a/x.jpg")): "x"}
    assert name_images([Path("/b/x.jpg"), Path("/a/x.jpg")], known) == ["b_x", "x"]
    assert name_images([Path("/b/x.jpg")], known) == ["x_2"]


def test_names_suit_every_file_system() -> None:
    odd = os.fsdecode(b"/a/\xff:?.jpg")
    assert name_images([Path(odd), Path("/a/" + "ä" * 120 + ".jpg")], {}) == ["___", "ä" * 90]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.text("xyX_2", min_size=1, max_size=3),
            st.sampled_from(["jpg", "png"]),
        ),
        unique=True,
    )
)
def test_names_are_distinct_in_any_case(parts: list[tuple[str, str, str]]) -> None:
    names = name_images([Path(f"/{folder}/{stem}.{ending}") for folder, stem, ending in parts], {})
    assert len({name.casefold() for name in names}) == len(parts)


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
    assert caplog.messages == [
        "1 folder cannot be read, and what is in it is left out: " + str(Path("a", "deep"))
    ]
