"""Remote images are read by every command as the same images on this machine are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy
import PIL.Image
import pytest
from remote_photos import COLOURS, photo
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

import ovsskit
from ovsskit.cli.app import app
from ovsskit.cli.options import load_plugins
from ovsskit.embedded import sample_scenes
from ovsskit.errors import BadFile, BadOutput, CannotWrite, NoImages
from ovsskit.export.folder import ExportFolder
from ovsskit.files import remote
from ovsskit.recipe.build import load_recipe
from ovsskit.serve.pictures import Pictures

TESTS = Path(__file__).parent.parent
TOY = TESTS / "toy.toml"
NAMES = ["red", "green", "blue"]
NUMBERS = {"red": 1, "lime": 2, "blue": 3}


@pytest.fixture
def here(tmp_path: Path) -> str:
    """Return a folder of images on this machine, with their masks beside it."""
    load_plugins([TESTS / "toy_stages.py", TESTS / "study/study_stages.py"])
    for name, colour in COLOURS.items():
        for kind, content in (("photos", photo(colour)), ("masks", b"")):
            path = tmp_path / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        PIL.Image.fromarray(numpy.full((10, 20), NUMBERS[colour], "uint8")).save(path)
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n")
    return str(tmp_path / "photos")


def send(folder: str | Path, address: str) -> str:
    """Copy a folder to a remote one; return the address."""
    files, root = fsspec.core.url_to_fs(address)
    for path in Path(folder).rglob("*.*"):
        if path.is_file():
            files.pipe_file(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return address


def measured(images: str, out: Path) -> dict[str, Any]:
    return ovsskit.run_eval(
        TOY,
        images=images,
        truth=out.parent / "masks",
        truth_classes=out.parent / "classes.txt",
        classes=NAMES,
        out=out,
    )


def test_an_evaluation(here: str, bucket: str, tmp_path: Path) -> None:
    one = measured(here, tmp_path / "one")
    far = send(here, f"{bucket}/photos")
    files, root = fsspec.core.url_to_fs(far)
    files.pipe_file(f"{root}/list.txt", b"a.png\ndeep\nd e.png\nz.png\n")
    for images in (far, f"{far}/list.txt", f"{far}/**/*.png"):
        other = measured(images, tmp_path / f"other {images[-3:]}")
        assert other["images"]["counted"] == len(COLOURS)
        assert other["metrics"] == one["metrics"]
    lines = [(tmp_path / name / "images.jsonl").read_text() for name in ("one", "other tos")]
    assert lines[0] == lines[1].replace(f"{far}/", f"{here}/")


def evaluate(tmp_path: Path, *more: str) -> Result:
    truth = ["--truth-classes", f"{tmp_path}/classes.txt", "--json", "--quiet"]
    return CliRunner().invoke(app, ["eval", *more, *truth])


def test_an_evaluation_of_images_of_several_places(here: str, memory: str, tmp_path: Path) -> None:
    far, masks = send(here, f"{memory}/photos"), ("--truth", f"{tmp_path}/masks")
    two = (f"{far}/deep", f"{far}/a.png")
    result = evaluate(tmp_path, str(TOY), *two, *masks, "--out", f"{tmp_path}/out")
    assert json.loads(result.stdout)["images"]["counted"] == 3
    result = evaluate(tmp_path, str(TOY), far, here, *masks, "--out", f"{tmp_path}/mixed")
    assert isinstance(result.exception, NoImages)
    assert "some elsewhere" in result.exception.what
    masks = ("--truth", f"{memory}/masks")
    result = evaluate(tmp_path, str(TOY), far, *masks, "--out", f"{tmp_path}/mixed")
    assert isinstance(result.exception, BadFile)
    assert str(result.exception.where) == f"{memory}/masks"


def test_a_data_set_elsewhere_is_refused(memory: str, tmp_path: Path) -> None:
    more = ("--dataset", "voc21", "--root", f"{memory}/data", "--out", f"{tmp_path}/out")
    result = CliRunner().invoke(app, ["eval", "naclip_tiny", *more, "--quiet"])
    assert isinstance(result.exception, BadFile)
    assert str(result.exception.where) == f"{memory}/data"


def test_a_run_with_true_masks(here: str, memory: str, tmp_path: Path) -> None:
    found = []
    for name, images in (("one", here), ("other", send(here, f"{memory}/photos"))):
        command = ["run", str(TOY), images, "--classes", "red, green, blue"]
        truth = ["--truth", f"{tmp_path}/masks", "--truth-classes", f"{tmp_path}/classes.txt"]
        result = CliRunner().invoke(
            app, [*command, *truth, "--out", str(tmp_path / name), "--json"]
        )
        assert result.exit_code == 0, result.output
        lines = [json.loads(line) for line in result.stdout.splitlines()[:-1]]
        found.append({one["name"]: one["miou"] for one in lines})
    assert found[0] == found[1]
    assert set(found[0].values()) == {1.0}


def test_a_study(here: str, memory: str, tmp_path: Path) -> None:
    """Twelve images, since a study of fewer proves nothing."""
    for number in range(12):
        name = ("red", "lime", "blue")[number % 3]
        (tmp_path / f"photos/{number}.png").write_bytes(photo(name))
    states = [
        ovsskit.run_study(
            TESTS / "study/toy.toml",
            images=[images],
            out=tmp_path / name,
            trials=3,
            accept="best",
            device="cpu",
        )
        for name, images in (("one", here), ("other", send(here, f"{memory}/photos")))
    ]
    values = [[row.values for row in state.rows] for state in states]
    assert values[0] == values[1]
    assert len(values[0]) == 3
    with pytest.raises(BadOutput, match="written to this machine only"):
        ovsskit.run_study(TESTS / "study/toy.toml", images=[here], out=f"{memory}/out", trials=1)


def test_words(here: str, memory: str, tmp_path: Path) -> None:
    far = send(here, f"{memory}/photos")
    said = []
    for place, images in enumerate((here, far)):
        command = ["words", str(TOY), images, "--classes", "red, green, blue", "--json"]
        result = CliRunner().invoke(app, [*command, "--out", f"{tmp_path}/{place}.txt"])
        assert result.exit_code == 0, result.output
        said.append(json.loads(result.stdout) | {"file": ""})
    assert said[0] == said[1]


@pytest.fixture
def scenes(tmp_path: Path) -> str:
    """Return a folder of sample scenes."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for scene in sample_scenes()[:6]:
        (folder / scene.image.name).write_bytes(scene.image.read_bytes())
    return str(folder)


Command = Callable[[str, Path], list[str]]


def _bank(images: str, out: Path) -> list[str]:
    few = ["--set", "bank.images_per_class=3", "--classes", "dog, tree", "--device", "cpu"]
    return ["bank", "build", "reco_tiny", "--images", images, "--out", str(out), *few]


def test_a_bank(scenes: str, memory: str, tmp_path: Path) -> None:
    files = [tmp_path / "one.safetensors", tmp_path / "other.safetensors"]
    far = send(scenes, f"{memory}/scenes")
    for images, out in zip((scenes, far), files, strict=True):
        result = CliRunner().invoke(app, _bank(images, out))
        assert result.exit_code == 0, result.output
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_student(here: str, memory: str, tmp_path: Path) -> None:
    few = ("image_size=32", "updates=2", "batch=2", "held_out=0.3", "student=segformer-tiny")
    folders = [tmp_path / "one", tmp_path / "other"]
    for images, out in zip((here, send(here, f"{memory}/photos")), folders, strict=True):
        sets = [part for one in few for part in ("--set", f"distil.{one}")]
        command = ["distil", str(TOY), "--images", images, "--classes", "red, green, blue"]
        result = CliRunner().invoke(
            app, [*command, *sets, "--out", str(out), "--device", "cpu", "--quiet"]
        )
        assert result.exit_code == 0, result.output
    weights = [sorted(folder.rglob("*.safetensors")) for folder in folders]
    assert [one.name for one in weights[0]] == [one.name for one in weights[1]]
    assert weights[0]
    for one, other in zip(*weights, strict=True):
        tensors = load_file(other)
        assert all(value.equal(tensors[name]) for name, value in load_file(one).items())


def test_the_page_of_images(here: str, memory: str) -> None:
    from ovsskit.engine.rendering import AS_USUAL
    from ovsskit.files.inputs import find_images

    pages = [
        Pictures(find_images(images), 512, AS_USUAL)
        for images in (here, send(here, f"{memory}/photos"))
    ]
    assert pages[0].names == pages[1].names
    for name in pages[0].names:
        assert pages[0].title(name) == pages[1].title(name)
        assert pages[0].jpeg(name) == pages[1].jpeg(name)


def test_sentences(scenes: str, memory: str, tmp_path: Path) -> None:
    files = [tmp_path / "one.toml", tmp_path / "other.toml"]
    for images, out in zip((scenes, send(scenes, f"{memory}/scenes")), files, strict=True):
        command = ["sentences", "clearclip_tiny", images, "--classes", "dog, tree"]
        few = ["--limit", "1", "--set", 'encode_text.templates=["a {}.", "the {}."]']
        result = CliRunner().invoke(app, [*command, *few, "--out", str(out), "--device", "cpu"])
        assert result.exit_code == 0, result.output
    texts = [one.read_text() for one in files]
    assert texts[0] == texts[1].replace(f"{memory}/scenes", scenes)


def test_masks_of_a_remote_run(here: str, bucket: str, tmp_path: Path) -> None:
    """Evaluations, exports and comparisons read what a run left in a remote folder."""
    runs = [str(tmp_path / "found"), f"{bucket}/found"]
    for out in runs:
        ovsskit.run_images(TOY, here, out=out, classes=NAMES, save=["scores", "confidence"])
    records = []
    for place, out in enumerate(runs):
        more = ("--truth", f"{tmp_path}/masks", "--out", f"{tmp_path}/eval {place}")
        records.append(json.loads(evaluate(tmp_path, "--masks", out, *more).stdout))
    assert records[0]["metrics"] == records[1]["metrics"]
    assert records[1]["run"]["folder"] == runs[1]
    for to in ("coco", "numpy_scores"):
        folders = [tmp_path / f"{to} {place}" for place in range(2)]
        for out, folder in zip(runs, folders, strict=True):
            ovsskit.run_export(out, to, out=folder, min_confidence=0.1 if to == "coco" else None)
        listed = [sorted(path.name for path in folder.iterdir()) for folder in folders]
        assert listed[0] == listed[1]
        for path in folders[0].rglob("*.*"):
            if path.is_file() and path.name != "export.json":
                other = folders[1] / path.relative_to(folders[0])
                assert other.read_bytes() == path.read_bytes(), path
    compared = ovsskit.run_compare(*runs, out=tmp_path / "compared.html")
    assert compared is not None
    with pytest.raises(BadFile, match="holds no finished run") as told:
        ovsskit.run_export(f"{bucket}/nothing", "coco", out=tmp_path / "nothing")
    assert str(told.value.where) == f"{bucket}/nothing"


@pytest.mark.parametrize("to", ["coco", "yolo_seg"])
def test_an_export_into_a_remote_folder(
    here: str, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    """It goes on where its connection was lost, and leaves what a local one does."""
    ovsskit.run_images(TOY, here, out=f"{memory}/found", classes=NAMES)
    ovsskit.run_export(f"{memory}/found", to, out=tmp_path / "one", images="copy")
    kind, left = type(fsspec.filesystem("memory")), [4]
    whole = kind.put_file

    def put_file(self: Any, source: str, target: str, *more: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionResetError("the connection was reset")
        whole(self, source, target, *more, **options)

    with monkeypatch.context() as patched:
        patched.setattr(kind, "put_file", put_file)
        patched.setattr(remote, "PAUSES", ())
        with pytest.raises(CannotWrite, match="the connection was reset"):
            ovsskit.run_export(f"{memory}/found", to, out=f"{memory}/other", images="copy")
    exported: list[str] = []
    write = ExportFolder.add

    def noted(folder: ExportFolder, line: Any) -> None:
        exported.append(line.part.name)
        write(folder, line)

    monkeypatch.setattr(ExportFolder, "add", noted)
    ovsskit.run_export(f"{memory}/found", to, out=f"{memory}/other", images="copy")
    assert 0 < len(exported) < len(COLOURS)
    files = fsspec.filesystem("memory")
    names = {name.removeprefix("/bucket/other/") for name in files.find("/bucket/other")}
    folder = tmp_path / "one"
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    assert names == {path.relative_to(folder).as_posix() for path in paths}
    for path in paths:
        if path.name != "export.json":
            name = path.relative_to(folder).as_posix()
            assert files.cat_file(f"/bucket/other/{name}") == path.read_bytes(), name


def test_what_exports_into_remote_folders_cannot_be(here: str, memory: str, tmp_path: Path) -> None:
    ovsskit.run_images(TOY, here, out=f"{memory}/found", classes=NAMES)
    with pytest.raises(CannotWrite, match="cannot hold links"):
        ovsskit.run_export(f"{memory}/found", "coco", out=f"{memory}/other", images="link")
    with pytest.raises(BadOutput, match="Shards cannot share the remote folder of an export"):
        ovsskit.run_export(f"{memory}/found", "coco", out=f"{memory}/shared", shard="1/2")
    with pytest.raises(BadOutput, match="The folder holds a run, not an export"):
        ovsskit.run_export(f"{memory}/found", "coco", out=f"{memory}/found")
    result = evaluate(
        tmp_path, str(TOY), here, "--truth", f"{tmp_path}/masks", "--out", f"{memory}/eval"
    )
    assert isinstance(result.exception, BadOutput)
    assert "written to this machine only" in result.exception.what
    assert not fsspec.filesystem("memory").exists("/bucket/eval")


def test_an_export_names_the_folder_of_remote_images(
    here: str, memory: str, tmp_path: Path
) -> None:
    far = send(here, f"{memory}/photos")
    ovsskit.run_images(TOY, far, out=tmp_path / "found", classes=NAMES)
    record = ovsskit.run_export(tmp_path / "found", "coco", out=tmp_path / "coco")
    assert record["root"] == far


def test_a_mask_that_others_changed_is_refused(here: str, memory: str, tmp_path: Path) -> None:
    ovsskit.run_images(TOY, here, out=f"{memory}/found", classes=NAMES)
    fsspec.filesystem("memory").pipe_file("/bucket/found/masks/a.png", photo("red"))
    record = ovsskit.run_export(f"{memory}/found", "coco", out=tmp_path / "coco")
    [left] = record["left_out"]
    assert left["name"] == "a"
    assert "not the one that the run wrote" in left["reason"]


def test_recipes_name_remote_images(here: str, memory: str, tmp_path: Path) -> None:
    far = send(here, f"{memory}/photos")
    (tmp_path / "own.toml").write_text(f'extends = "{TOY}"\n\n[input]\nimages = ["{far}"]\n')
    assert load_recipe(str(tmp_path / "own.toml"), ()).input.images == (far,)
    result = CliRunner().invoke(
        app,
        ["run", f"{tmp_path}/own.toml", "--classes", "red, green", "--out", f"{tmp_path}/out"],
    )
    assert result.exit_code == 0, result.output
