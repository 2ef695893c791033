"""An export from the command line: what it writes, leaves out, says, and goes on from."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pyarrow.parquet
import pytest
import tifffile
from finished_runs import CASES, finish_run, one_pixel, tree
from run_records import change_images
from small_videos import write_video

import ovsskit
from ovsskit.cli.__main__ import main
from ovsskit.engine.images import read_image
from ovsskit.engine.notices import Silent
from ovsskit.engine.rendering import Reading, Rendering
from ovsskit.errors import BadOutput
from ovsskit.export.formats import label_studio
from ovsskit.export.registry import format_files
from ovsskit.files.videos import list_frames

TESTS = Path(__file__).parent.parent
Run = Callable[..., tuple[int, str, str]]
MASK = CASES["several classes"][0]
MASKS = {"a": MASK, "b": one_pixel(), "c": MASK.T.copy()}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the process of the test, in a folder with a finished run `found`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    finish_run(tmp_path / "found", MASKS)

    def ran(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ovsskit", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return ran


def record(folder: str = "out") -> dict[str, Any]:
    return json.loads(Path(folder, "export.json").read_text())


def coco(folder: str = "out") -> dict[str, Any]:
    return json.loads(Path(folder, "annotations.json").read_text())


def export(*more: str) -> tuple[str, ...]:
    return ("export", "found", "--to", "coco", "--out", "out", *more)


class Interrupting(Silent):
    """Stop like Ctrl-C once this many images are told of."""

    def __init__(self, after: int) -> None:
        self.told, self.after = list[str](), after

    def tell(self, *what: Any) -> None:
        self.told.append(what[0])
        if len(self.told) == self.after:
            raise KeyboardInterrupt


def test_the_record_says_what_was_exported(run: Run) -> None:
    status, out, err = run(*export())
    assert status == 0, err
    assert "3 exported" in out
    found = record()
    assert found["finished"]
    assert found["format"] == "coco"
    assert found["images"] == {"exported": 3, "left_out": 0}
    assert found["classes"][1] == {"number": 1, "name": "dog", "place": 1}
    assert [one["file_name"] for one in coco()["images"]] == ["a.png", "b.png", "c.png"]
    assert found["root"] == str(Path("photos").absolute())
    assert tree(Path("out")) == {"export.json", "images.jsonl", "annotations.json"}


def test_json_prints_the_record(run: Run) -> None:
    status, out, _ = run(*export("--json"))
    assert status == 0
    assert json.loads(out) == {key: one for key, one in record().items() if key != "ovsskit"}


def test_masks_that_are_missing_or_changed_are_named_and_left_out(run: Run) -> None:
    Path("found/masks/a.png").unlink()
    PIL.Image.new("P", (11, 7), 2).save("found/masks/b.png")
    status, out, err = run(*export())
    assert status == 1
    assert "1 exported, 2 left out" in out
    assert "left out a: The mask of the run cannot be read: No such file or directory." in err
    assert "left out b: The mask is not the one that the run wrote." in err
    assert [one["name"] for one in record()["left_out"]] == ["a", "b"]
    assert [one["file_name"] for one in coco()["images"]] == ["c.png"]


def test_a_mask_larger_than_its_image_is_left_out(run: Run) -> None:
    change_images("found", lambda images: images[0].update(size=[8, 6]))
    status, _, err = run(*export())
    assert status == 1
    assert "It is 9 x 6 pixels, and its image 8 x 6." in err


def test_larger_images_than_allowed_are_left_out(run: Run) -> None:
    status, _, err = run(*export("--max-pixels", "60"))
    assert status == 1
    assert "It has 77 pixels, more than the 60 that are allowed." in err
    assert run(*export())[0] == 0
    assert record()["images"] == {"exported": 3, "left_out": 0}


def test_an_export_that_was_stopped_goes_on(tmp_path: Path) -> None:
    found = finish_run(tmp_path / "found", MASKS)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        ovsskit.run_export(found, "coco", out=out, callbacks=Interrupting(2))
    assert not record(str(out))["finished"]
    assert not (out / "annotations.json").exists()
    lines = out / "images.jsonl"
    before = lines.read_text()
    assert before.count("\n") == 2
    lines.write_text(f'{before}{{"part": ["c", ')
    ovsskit.run_export(found, "coco", out=out)
    assert lines.read_text().startswith(before)
    whole = ovsskit.run_export(found, "coco", out=tmp_path / "whole")
    assert whole["finished"]
    assert coco(str(out)) == coco(str(tmp_path / "whole"))


def test_what_is_exported_already_is_not_read_again(run: Run) -> None:
    run(*export())
    before = Path("out/annotations.json").read_bytes()
    for path in Path("found/masks").iterdir():
        path.unlink()
    assert run(*export())[0] == 0
    assert Path("out/annotations.json").read_bytes() == before


def test_files_of_images_that_are_no_longer_in_the_run_are_removed(run: Run) -> None:
    run(*export("--copy-images"))
    assert Path("out/images/b.png").exists()
    change_images("found", lambda images: images.pop(1))
    Path("out/images/mine.png").write_bytes(b"mine")
    assert run(*export("--copy-images"))[0] == 0
    assert tree(Path("out/images")) == {"a.png", "c.png", "mine.png"}
    assert [one["file_name"] for one in coco()["images"]] == ["images/a.png", "images/c.png"]


def test_paths_are_below_the_common_folder_also_when_it_changes(tmp_path: Path) -> None:
    images = [tmp_path / "photos" / name / "x.png" for name in ("one", "two")]
    for path in images:
        path.parent.mkdir(parents=True)
        PIL.Image.new("L", (11, 7)).save(path)
    found, out = tmp_path / "found", tmp_path / "out"
    ovsskit.run_export(finish_run(found, {"a": one_pixel()}, images=images[:1]), "coco", out=out)
    assert [one["file_name"] for one in coco(str(out))["images"]] == ["x.png"]
    finish_run(found, {"a": one_pixel(), "b": one_pixel()}, images=images)
    ovsskit.run_export(found, "coco", out=out)
    named = [one["file_name"] for one in coco(str(out))["images"]]
    assert named == ["two/x.png", "one/x.png"], "in the order of their names, two/x and x"


def test_files_of_the_whole_that_there_are_no_more_of_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = finish_run(tmp_path / "found", MASKS)
    monkeypatch.setattr(label_studio, "MOST_TASKS", 1)
    for _ in range(2):
        ovsskit.run_export(found, "label_studio", out=tmp_path / "out")
        assert len(list((tmp_path / "out").glob("tasks-*.json"))) == 3
    monkeypatch.setattr(label_studio, "MOST_TASKS", 2)
    ovsskit.run_export(found, "label_studio", out=tmp_path / "out")
    assert len(list((tmp_path / "out").glob("tasks-*.json"))) == 2


def test_folders_of_others_are_not_touched(run: Run) -> None:
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("mine")
    status, _, err = run(*export())
    assert status == 2
    assert "The folder holds files that belong to no export." in err
    assert tree(Path("out")) == {"thesis.tex"}
    status, _, err = run("export", "found", "--to", "coco", "--out", "found")
    assert status == 2
    assert "The folder holds a run, not an export." in err


def test_another_export_needs_another_folder(run: Run) -> None:
    run(*export())
    status, _, err = run(*export("--classes", "dog"))
    assert status == 2
    assert "The folder holds another export." in err


def test_the_folder_is_named_for_the_run_and_the_format(run: Run) -> None:
    run("export", "found", "--to", "coco")
    assert record("ovsskit-export/found-coco")["finished"]


def test_chosen_classes_are_exported_and_others_become_background(run: Run) -> None:
    assert run(*export("--classes", "grass, Dog"))[0] == 0
    assert {one["category_id"] for one in coco()["annotations"]} == {1, 3}
    assert [one["name"] for one in coco()["categories"]] == ["dog", "grass"]


def test_pixels_of_low_confidence_become_background(tmp_path: Path) -> None:
    mask, sure = numpy.array([[1, 1, 2, 2]]), numpy.array([[0.9, 0.2, 0.5, 0.1]])
    found = finish_run(tmp_path / "found", {"a": mask}, confidence={"a": sure})
    ovsskit.run_export(found, "coco", out=tmp_path / "out", min_confidence=0.4)
    entries = coco(str(tmp_path / "out"))["annotations"]
    assert [(one["category_id"], one["bbox"]) for one in entries] == [
        (1, [0, 0, 1, 1]),
        (2, [2, 0, 1, 1]),
    ]


def test_images_are_copied(run: Run) -> None:
    run(*export("--copy-images"))
    for name in MASKS:
        copied = Path("out/images", f"{name}.png")
        assert copied.read_bytes() == Path("photos", f"{name}.png").read_bytes()
        assert not copied.is_symlink()
    assert coco()["images"][0]["file_name"] == "images/a.png"


def test_images_are_linked_and_the_export_can_be_given_again(run: Run) -> None:
    for _ in range(2):
        status, _, err = run(*export("--link-images"))
        assert status == 0, err
        linked = Path("out/images/a.png")
        assert linked.readlink() == Path("photos/a.png").absolute()
    Path("out/images/b.png").unlink()
    run(*export("--link-images"))
    assert Path("out/images/b.png").is_symlink()
    before = Path("photos/a.png").read_bytes()
    change_images("found", lambda images: images.pop(0))
    run(*export("--link-images"))
    assert not linked.is_symlink()
    assert Path("photos/a.png").read_bytes() == before


def test_other_links_in_the_folder_are_refused(run: Run, tmp_path: Path) -> None:
    run(*export("--link-images"))
    Path("out/images.jsonl").unlink()
    Path("out/images.jsonl").symlink_to(tmp_path / "elsewhere")
    status, _, err = run(*export("--link-images"))
    assert status == 2
    assert "A symbolic link is in the folder" in err


def test_images_that_are_missing_or_changed_are_left_out_where_they_are_needed(run: Run) -> None:
    Path("photos/a.png").unlink()
    PIL.Image.new("L", (11, 7), 91).save("photos/b.png")
    assert run(*export())[0] == 0
    status, _, err = run("export", "found", "--to", "coco", "--out", "other", "--copy-images")
    assert status == 1
    assert "left out a: The image no longer exists." in err
    assert "left out b: The image has changed since the run." in err
    assert tree(Path("other/images")) == {"c.png"}


@pytest.mark.parametrize("how", ["copy", "link"])
def test_an_image_that_is_turned_by_its_tag_is_written_upright(how: Any, tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    stored = numpy.zeros((4, 6), "uint8")
    stored[0] = 200
    path = tmp_path / "turned.png"
    PIL.Image.fromarray(stored).save(path, exif=exif)
    found = finish_run(tmp_path / "found", {"turned": numpy.ones((6, 4), "int32")}, images=[path])
    whole = ovsskit.run_export(found, "coco", out=tmp_path / "out", images=how)
    assert whole["losses"] == {"images rewritten as PNG": 1}
    with PIL.Image.open(tmp_path / "out/images/turned.png") as image:
        assert image.size == (4, 6)
        assert (numpy.asarray(image)[:, -1] == 200).all()


@pytest.mark.parametrize("to", ["coco", "hugging_face"])
def test_numbers_that_are_no_colours_are_written_as_the_run_saw_them(
    to: str, tmp_path: Path
) -> None:
    path, bands = tmp_path / "deep.tif", numpy.arange(4 * 6 * 4, dtype="uint16").reshape(4, 6, 4)
    tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="contig")
    found = finish_run(tmp_path / "found", {"deep": numpy.ones((4, 6), "int32")}, images=[path])
    record = json.loads((found / "run.json").read_text())
    record["reading"] = {"stretch": [0, 90], "bands": [4, 3, 2]}
    (found / "run.json").write_text(json.dumps(record))
    ovsskit.run_export(found, to, out=tmp_path / "out", images="copy" if to == "coco" else "")
    if to == "coco":
        shown = PIL.Image.open(tmp_path / "out/images/deep.png")
    else:
        table = pyarrow.parquet.read_table(tmp_path / "out/data/train-00000.parquet")
        shown = PIL.Image.open(io.BytesIO(table.to_pylist()[0]["image"]["bytes"]))
    with shown:
        seen = read_image(path, Reading(rendering=Rendering((0.0, 90.0), (4, 3, 2))))
        assert numpy.array_equal(numpy.asarray(shown), seen.pixels.numpy())


def test_a_frame_of_a_video_is_written_as_an_image(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    write_video(video, [numpy.full((32, 48, 3), 60 * number, "uint8") for number in range(3)])
    frames = list_frames(video)
    masks = {frame.name: numpy.ones((32, 48), "int32") for frame in frames}
    found = finish_run(tmp_path / "found", masks, images=frames)
    whole = ovsskit.run_export(found, "coco", out=tmp_path / "out", images="copy")
    assert whole["left_out"] == []
    assert whole["losses"] == {"images rewritten as PNG": 3}
    with PIL.Image.open(tmp_path / "out/images/000002.png") as image:
        assert abs(numpy.asarray(image).mean() - 120) < 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("found",), "No format is named."),
        (("found", "--to", "cocoa"), "Did you mean `coco`?"),
        (("--to", "coco"), "Nothing says which run to export."),
        (("photos", "--to", "coco"), "The folder holds no finished run"),
        (("found", "--to", "coco", "--classes", "dig"), "Did you mean `dog`?"),
        (("found", "--to", "coco", "--min-confidence", "0.5"), "The run saved no confidence."),
        (
            ("found", "--to", "coco", "--copy-images", "--link-images"),
            "Images cannot be both copied and linked.",
        ),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], message: str) -> None:
    status, _, err = run("export", *arguments)
    assert status == 2
    assert message in err
    assert not Path("ovsskit-export").exists()


def test_a_run_exports_what_it_found_at_its_end(run: Run) -> None:
    toy = ("run", str(TESTS / "toy.toml"), "photos", "--classes", "red, green", "--out", "new")
    plugin = ("--plugin", str(TESTS / "toy_stages.py"))
    formats = ("--export", "coco", "--export", "areas")
    status, out, err = run(*toy, *formats, *plugin, "--json")
    assert status == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [one["export"]["format"] for one in lines if "export" in one] == ["coco", "areas"]
    assert len(coco("ovsskit-export/new-coco")["images"]) == 3
    assert Path("ovsskit-export/new-areas/areas.csv").exists()
    status, _, err = run(*toy, *plugin, "--export", "cocoa")
    assert status == 2
    assert "There is no format `cocoa`." in err


def test_without_a_run_the_formats_are_listed(run: Run) -> None:
    status, out, _ = run("export")
    assert status == 0
    assert all(name in out for name in format_files())


def test_the_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; from ovsskit.cli.app import app\n"
        "try: app(['export', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'numpy', 'pyarrow', 'cv2', 'rasterio'} & set(sys.modules) or 'light')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("light\n")
    assert all(name in done.stdout for name in format_files())


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    found = finish_run(tmp_path / "found", MASKS)

    class Again(Silent):
        def tell(self, *what: Any) -> None:
            with pytest.raises(BadOutput, match="Another export is writing into this folder."):
                ovsskit.run_export(found, "coco", out=tmp_path / "out")

    assert ovsskit.run_export(found, "coco", out=tmp_path / "out", callbacks=Again())["finished"]
