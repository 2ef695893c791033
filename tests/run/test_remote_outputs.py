"""A run into a remote folder leaves what one into a local folder does, and goes on from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from painted_rasters import patches, write_raster
from remote_photos import COLOURS, KEYS, photo, put_photos
from run_records import read_run
from shared_files import SharedFileSystem

import ovsskit
from ovsskit.errors import BadOutput, CannotWrite
from ovsskit.files import remote
from ovsskit.files.remote_folder import RemoteFolder
from ovsskit.recipe.registry import load_plugin
from ovsskit.run import runner
from ovsskit.run.output.folder import OutputFolder

TESTS = Path(__file__).parent.parent
WORDS = ["red", "green", "blue"]


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_plugin(TESTS / "toy_stages.py")
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0, 0.0))
    put_photos(f"file://{tmp_path}/photos")


@pytest.fixture(params=["memory", "s3", "shared"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of a remote folder that is not there yet."""
    if request.param == "shared":
        return f"shared:/{tmp_path}/elsewhere/found"
    return f"{request.getfixturevalue(request.param)}/found"


def run(out: str | Path, tmp_path: Path, **options: Any) -> dict[str, Any]:
    options = {"images": str(tmp_path / "photos"), "save": ["confidence"]} | options
    return ovsskit.run_images(TESTS / "toy.toml", out=out, classes=WORDS, **options)


def copy(address: str, target: Path) -> Path:
    """Copy a remote folder to this machine."""
    files, root = fsspec.core.url_to_fs(address)
    for name in files.find(root):
        path = target / name.removeprefix(f"{root}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.cat_file(name))
    return target


def see_same(here: Path, far: Path) -> None:
    """See that two folders hold the same, but for times, costs, notices and journals."""
    trees = [
        {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.is_file() and path.name != ".lock" and ".journal" not in path.parts
        }
        for folder in (here, far)
    ]
    assert trees[0].keys() == trees[1].keys()
    for name in trees[0].keys() - {"run.json", "images.sqlite", "index.html"}:
        assert trees[0][name].read_bytes() == trees[1][name].read_bytes(), name
    one, other = read_run(here), read_run(far)
    for plain in (one, other):
        for key in ("written", "costs", "pages", "notices", "sessions"):
            plain.pop(key, None)
    assert one == other


def journals(address: str) -> list[str]:
    files, root = fsspec.core.url_to_fs(address)
    return [name for name in files.find(root) if "/.journal/" in name]


def test_a_remote_folder_holds_what_a_local_one_does(out: str, tmp_path: Path) -> None:
    run(tmp_path / "here", tmp_path)
    record = run(out, tmp_path)
    assert record["counts"] == {"done": len(COLOURS), "failed": 0, "pending": 0}
    assert len(list(record["images"])) == len(COLOURS)
    see_same(tmp_path / "here", copy(out, tmp_path / "far"))
    left = [path for path in (tmp_path / "cache/outputs").rglob("*") if path.is_file()]
    assert [path.name for path in left] == [".lock"]
    assert not journals(out)


def test_what_is_missing_or_changed_is_done_again(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = f"{memory}/found"
    run(out, tmp_path)
    done: list[str] = []
    finish = OutputFolder.finish

    def noted(folder: OutputFolder, record: Any) -> None:
        done.append(record.name)
        finish(folder, record)

    monkeypatch.setattr(OutputFolder, "finish", noted)
    run(out, tmp_path)
    assert not done
    files, root = fsspec.core.url_to_fs(out)
    files.rm_file(f"{root}/overlays/deep/b.jpg")
    (tmp_path / "photos/a.png").write_bytes(photo("blue"))
    run(out, tmp_path)
    assert sorted(done) == ["a", "deep/b"]
    run(tmp_path / "here", tmp_path)
    see_same(tmp_path / "here", copy(out, tmp_path / "far"))


def test_content_is_compared_where_that_is_asked(memory: str, tmp_path: Path) -> None:
    run(f"{memory}/found", tmp_path)
    files = fsspec.filesystem("memory")
    good = files.cat_file("/bucket/found/masks/a.png")
    files.pipe_file("/bucket/found/masks/a.png", good[:-1] + b"x")
    folder = OutputFolder.__new__(OutputFolder)
    folder.remote = RemoteFolder(remote.remote_path(f"{memory}/found"))
    written = next(iter(run(f"{memory}/found", tmp_path)["images"]))["files"]["masks/a.png"]
    from ovsskit.files.own.written import Written

    assert folder.holds("masks/a.png", Written(*written))
    assert not folder.holds("masks/a.png", Written(*written), verify=True)


def test_shards_leave_together_what_one_run_does(out: str, tmp_path: Path) -> None:
    run(tmp_path / "here", tmp_path)
    (tmp_path / "photos/broken.png").write_bytes(b"no image")
    run(tmp_path / "here", tmp_path)
    for number in (1, 2, 3):
        record = run(out, tmp_path, shard=f"{number}/3")
    see_same(tmp_path / "here", copy(out, tmp_path / "far"))
    assert journals(out)
    ends = [json.loads(_read(name, out)) for name in journals(out) if name.endswith("end.json")]
    assert record["costs"]["seconds"] == pytest.approx(sum(one["costs"]["seconds"] for one in ends))
    whole = run(out, tmp_path)
    assert whole["costs"]["seconds"] >= record["costs"]["seconds"]
    assert not journals(out)


def _read(name: str, address: str) -> bytes:
    content: bytes = fsspec.core.url_to_fs(address)[0].cat_file(name)
    return content


def test_the_last_of_shards_that_end_at_once_is_right(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One shard reads all journals, another runs from its start to its end, the first writes."""
    run(tmp_path / "here", tmp_path)
    out, put, meanwhile = f"{memory}/found", RemoteFolder.put, ["2/2"]

    def late(folder: RemoteFolder, name: str, source: Any) -> None:
        if name == "index.html" and meanwhile:
            run(out, tmp_path, shard=meanwhile.pop())
        put(folder, name, source)

    monkeypatch.setattr(RemoteFolder, "put", late)
    run(out, tmp_path, shard="1/2")
    assert not meanwhile
    see_same(tmp_path / "here", copy(out, tmp_path / "far"))


def start(out: str, tmp_path: Path, *more: str, **said: str) -> subprocess.Popen[bytes]:
    """Start a run in a process of its own."""
    code = "import shared_files; from ovsskit.cli.__main__ import main; main()"
    recipe = ["run", str(TESTS / "toy.toml"), str(tmp_path / "photos"), "--out", out]
    words = ["--classes", "red, green, blue", "--save-confidence", "--quiet", "--batch", "1"]
    plugin = ["--plugin", str(TESTS / "toy_stages.py")]
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-c", code, *recipe, *words, *plugin, *more],
        env=os.environ | {"PYTHONPATH": paths} | said,
    )


def test_a_killed_run_goes_on_also_on_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = f"shared:/{tmp_path}/elsewhere/found"
    run(tmp_path / "here", tmp_path)
    assert start(far, tmp_path, TOY_KILL_AT="z").wait() == -9
    assert journals(far)
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path / "another machine"))
    done: list[str] = []
    finish = OutputFolder.finish

    def noted(folder: OutputFolder, record: Any) -> None:
        done.append(record.name)
        finish(folder, record)

    monkeypatch.setattr(OutputFolder, "finish", noted)
    run(far, tmp_path)
    assert "z" in done
    assert len(done) < len(COLOURS)
    see_same(tmp_path / "here", copy(far, tmp_path / "far copy"))
    assert not journals(far)


def test_shards_in_processes_of_which_one_is_killed(s3: str, tmp_path: Path) -> None:
    far = f"{s3}/found"
    run(tmp_path / "here", tmp_path, batch=1)
    parts = [("--shard", f"{number}/2") for number in (1, 2)]
    killed = [start(far, tmp_path, *part, TOY_KILL_AT="z") for part in parts]
    assert sorted(one.wait() for one in killed) == [-9, 0]
    again = [start(far, tmp_path, *part) for part in parts]
    assert [one.wait() for one in again] == [0, 0]
    see_same(tmp_path / "here", copy(far, tmp_path / "far copy"))


def test_replicas_write_into_a_remote_folder(s3: str, tmp_path: Path) -> None:
    run(tmp_path / "here", tmp_path, devices=["cpu"])
    run(f"{s3}/found", tmp_path, devices=["cpu", "cpu"])
    far = copy(f"{s3}/found", tmp_path / "far")
    for path in (tmp_path / "here/masks").rglob("*.png"):
        assert (far / path.relative_to(tmp_path / "here")).read_bytes() == path.read_bytes()
    assert read_run(far)["counts"]["done"] == len(COLOURS)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Exception], None]:
    """Let puts fail after some have worked."""
    kind = type(fsspec.filesystem("memory"))
    whole, left = kind.put_file, [10**6, OSError()]

    def put_file(self: Any, source: str, target: str, *more: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise left[1]
        whole(self, source, target, *more, **options)

    def after(puts: int, error: Exception) -> None:
        left[:] = [puts, error]

    monkeypatch.setattr(kind, "put_file", put_file)
    return after


def test_a_lost_connection_ends_a_run_and_loses_nothing(
    memory: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[int, Exception], None],
) -> None:
    out = f"{memory}/found"
    run(tmp_path / "here", tmp_path)
    monkeypatch.setattr(runner, "REMOTE_WRITERS", 1)
    broken(20, ConnectionResetError("the connection was reset"))
    with pytest.raises(CannotWrite, match="It cannot be reached: the connection was reset") as told:
        run(out, tmp_path, batch=1)
    assert str(told.value.where).startswith(out)
    assert "resumes where it stopped" in told.value.fix
    broken(10**6, OSError())
    done: list[str] = []
    finish = OutputFolder.finish

    def noted(folder: OutputFolder, record: Any) -> None:
        done.append(record.name)
        finish(folder, record)

    monkeypatch.setattr(OutputFolder, "finish", noted)
    run(out, tmp_path)
    assert 0 < len(done) < len(COLOURS)
    see_same(tmp_path / "here", copy(out, tmp_path / "far"))


def test_a_put_that_breaks_off_is_tried_again(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(fsspec.filesystem("memory"))
    whole, tries = kind.put_file, list[str]()

    def put_file(self: Any, source: str, target: str, *more: Any, **options: Any) -> None:
        tries.append(target)
        if tries.count(target) % 3:
            raise TimeoutError("no answer")
        whole(self, source, target, *more, **options)

    monkeypatch.setattr(kind, "put_file", put_file)
    assert run(f"{memory}/found", tmp_path)["counts"]["done"] == len(COLOURS)


def test_what_may_not_be_written_is_said_before_anything_runs(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, path: str, *more: object, **options: object) -> None:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
    with pytest.raises(BadOutput, match="Access is denied"):
        run(f"{memory}/found", tmp_path)


def test_windows_of_a_raster_stay_here(memory: str, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", patches(150, 130))
    options = {"images": str(path), "window": 64, "overlap": 16}
    run(tmp_path / "here", tmp_path, **options)
    run(f"{memory}/found", tmp_path, **options)
    far = copy(f"{memory}/found", tmp_path / "far")
    see_same(tmp_path / "here", far)
    assert (far / "masks/map.tif").is_file()
    left = [path for path in (tmp_path / "cache/outputs").rglob("*") if path.is_file()]
    assert [path.name for path in left] == [".lock"]


def test_shards_of_two_runs_that_begin_together(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has seen the other's record when it begins; the first to end is refused."""
    out, finish, meanwhile = f"{memory}/found", OutputFolder.finish, ["blue, red"]

    def late(folder: OutputFolder, record: Any) -> None:
        if meanwhile:
            other = dict(json.loads(_read("/bucket/found/run.json", out)))
            other["identity"]["classes"]["names"] = meanwhile.pop()
            fsspec.filesystem("memory").pipe_file(
                "/bucket/found/run.json", json.dumps(other).encode()
            )
        finish(folder, record)

    monkeypatch.setattr(OutputFolder, "finish", late)
    with pytest.raises(CannotWrite, match="other settings, classes or models"):
        run(out, tmp_path, shard="1/2")


def test_a_bucket_that_is_not_there_is_said(s3: str, tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match="no such bucket"):
        run("s3://another-bucket/found", tmp_path)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("sftp://me:secret@host/found", "holds a password"),
        ("abfs://found?sig=secret", "is not allowed in the address"),
        ("https://host/found", "to the web"),
        ("nowhere://found", "no file system `nowhere`"),
    ],
)
def test_addresses_that_are_refused(tmp_path: Path, address: str, what: str) -> None:
    with pytest.raises(BadOutput, match=what) as told:
        run(address, tmp_path)
    assert "secret" not in str(told.value)
    assert not list(tmp_path.glob("*:"))


def test_secrets_are_recorded_nowhere(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    put_photos(f"{s3}/photos")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    run(f"{s3}/found", tmp_path, images=f"{s3}/photos", shard="1/2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["AWS_SECRET_ACCESS_KEY"])
    far = copy(f"{s3}/found", tmp_path / "far")
    for path in [*far.rglob("*"), *(tmp_path / "cache").rglob("*")]:
        assert path.is_dir() or b"a-secret-key" not in path.read_bytes()
    assert "a-secret-key" not in "".join(capsys.readouterr())


def test_folders_of_others_are_left_alone(memory: str, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/theirs/notes.txt", b"not ours")
    with pytest.raises(BadOutput, match="holds files that belong to no run"):
        run(f"{memory}/theirs", tmp_path)
    files.pipe_file("/bucket/eval/eval.json", b'{"ovsskit": "1"}')
    with pytest.raises(BadOutput, match="The folder holds an evaluation, not a run"):
        run(f"{memory}/eval", tmp_path)
    files.pipe_file("/bucket/broken/run.json", b"{")
    with pytest.raises(BadOutput, match="is broken"):
        run(f"{memory}/broken", tmp_path)
    run(f"{memory}/found", tmp_path)
    with pytest.raises(BadOutput, match="The folder holds another run") as told:
        ovsskit.run_images(
            TESTS / "toy.toml", tmp_path / "photos", out=f"{memory}/found", classes="red"
        )
    assert str(told.value.where) == f"{memory}/found"
    assert len(files.find("/bucket/theirs")) == len(files.find("/bucket/eval")) == 1


def test_files_that_are_put_do_not_stay_here(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    finish = OutputFolder.finish

    def noted(folder: OutputFolder, record: Any) -> None:
        finish(folder, record)
        seen.append({one.name for one in folder.path.rglob("*") if one.is_file()})

    monkeypatch.setattr(OutputFolder, "finish", noted)
    monkeypatch.setattr(runner, "REMOTE_WRITERS", 1)
    run(f"{memory}/found", tmp_path, batch=1)
    names = set.union(*seen)
    assert {"run.json", "images.sqlite", "finished.jsonl", ".lock"} <= names
    assert all(
        name.count(".part")
        for name in names
        - {"run.json", "images.sqlite", "finished.jsonl", ".lock", "images.sqlite-journal"}
    )
    assert max(map(len, seen)) < 12


def test_other_file_systems_show_a_file_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RemoteFolder(remote.remote_path(f"shared:/{tmp_path}/far"))
    whole = SharedFileSystem.put_file

    def half(self: Any, source: str, target: str, *more: Any, **options: Any) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:3])
        raise TimeoutError("no answer")

    (tmp_path / "file").write_bytes(b"content")
    monkeypatch.setattr(SharedFileSystem, "put_file", half)
    with pytest.raises(CannotWrite, match="no answer"):
        folder.put("masks/a.png", tmp_path / "file")
    assert folder.size_of("masks/a.png") is None
    monkeypatch.setattr(SharedFileSystem, "put_file", whole)
    folder.put("masks/a.png", tmp_path / "file")
    assert folder.size_of("masks/a.png") == 7
    assert folder.read("masks/a.png") == b"content"
    assert folder.read("masks/b.png") == b""
