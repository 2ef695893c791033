"""Several processes share a run, and leave what one would have left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from finished_runs import tree
from run_records import read_run

from ovsskit.cli.__main__ import main
from ovsskit.errors import BadOutput
from ovsskit.files.shard import Shard
from ovsskit.run import replicas
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.replica import Replica
from ovsskit.run.replicas import serve

TESTS = Path(__file__).parent.parent
COMMAND = ("run", str(TESTS / "toy.toml"), "photos", "--classes", "red, green, blue")
PLUGIN = ("--plugin", str(TESTS / "toy_stages.py"), "--save-confidence", "--quiet")
IDENTITY: dict[str, Any] = {"classes": {"names": ["dog"]}}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(12):
        image = PIL.Image.new("RGB", (20 + index, 10), ("red", "lime", "blue")[index % 3])
        image.putpixel((3, 4), (255, 255, 255))
        image.save(folder / f"{index}.png")
    return folder


def start(out: str, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ovsskit", *COMMAND, *PLUGIN, "--out", out, *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ovsskit", *COMMAND, *PLUGIN, *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def see_same(first: str, second: str) -> None:
    """See that two runs have left the same, but for times and what they cost."""
    assert tree(Path(first)) == tree(Path(second))
    for name in tree(Path(first)) - {"run.json", "index.html", "images.sqlite"}:
        assert Path(first, name).read_bytes() == Path(second, name).read_bytes(), name
    one, other = read_run(first), read_run(second)
    for plain in (one, other):
        for key in ("written", "costs", "pages"):
            del plain[key]
    assert one == other


def test_shards_leave_what_one_process_would(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_here(monkeypatch, "--out", "whole") == 0
    (photos / "broken.png").write_bytes(b"no image")
    assert run_here(monkeypatch, "--out", "whole") == 1
    together = [start("parts", "--shard", f"{number}/3") for number in (1, 2, 3)]
    said = [process.communicate()[1] for process in together]
    assert sorted(process.returncode for process in together) == [0, 0, 1], said
    see_same("whole", "parts")
    assert run_here(monkeypatch, "--out", "parts", "--shard", "2/3") in (0, 1)
    see_same("whole", "parts")


def test_shards_that_are_killed_go_on_also_as_another_number_of_them(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here(monkeypatch, "--out", "whole") == 0
    code = (
        "import os, sys\n"
        "from ovsskit.run.output.folder import OutputFolder\n"
        "finish, left = OutputFolder.finish, [2]\n"
        "def finish_some(folder, record):\n"
        "    finish(folder, record)\n"
        "    left[0] -= 1\n"
        "    if not left[0]:\n"
        "        os._exit(9)\n"
        "OutputFolder.finish = finish_some\n"
        "from ovsskit.cli.__main__ import main\n"
        "main()\n"
    )
    for shard in ("1/2", "2/2"):
        more = [*COMMAND, *PLUGIN, "--out", "parts", "--shard", shard, "--batch", "1"]
        assert subprocess.run([sys.executable, "-c", code, *more], check=False).returncode == 9
    # the second has brought home what the first had done
    assert {path.name for path in Path("parts").glob("*.jsonl")} == {"finished-2-of-2.jsonl"}
    assert [one["state"] for one in read_run("parts")["images"]].count("done") == 2
    for shard in ("1/3", "2/3", "3/3"):
        assert run_here(monkeypatch, "--out", "parts", "--shard", shard) == 0
    see_same("whole", "parts")


def test_a_run_of_all_ends_what_shards_have_begun(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here(monkeypatch, "--out", "whole") == 0
    assert run_here(monkeypatch, "--out", "parts", "--shard", "2/3") == 0
    counts = read_run("parts")["counts"]
    assert 0 < counts["done"] < 12
    assert counts["done"] + counts["pending"] == 12
    assert run_here(monkeypatch, "--out", "parts") == 0
    see_same("whole", "parts")


def test_a_run_of_all_brings_home_what_a_killed_shard_had_noted(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here(monkeypatch, "--out", "whole") == 0
    assert run_here(monkeypatch, "--out", "parts", "--shard", "1/2") == 0
    lines = "\n".join(json.dumps(one) for one in read_run("parts")["images"])
    Path("parts/finished-1-of-2.jsonl").write_text(f"{lines}\n")
    Path("parts/.parts").mkdir()
    Path(f"parts/.parts/{'0' * 32}.part").touch()
    assert run_here(monkeypatch, "--out", "parts") == 0
    see_same("whole", "parts")
    assert tree(Path("whole")) == tree(Path("parts"))


def test_a_shard_that_ends_leaves_alone_what_is_noted_by_another_at_work(photos: Path) -> None:
    first, second = opened(Path("out"), Shard(1, 2), Shard(2, 2))
    todo = second.add(sorted(photos.iterdir()), frozenset(), [])
    second.finish(replace(todo[0], state="failed", reason="dark"))
    with first.alone():
        first.save(Costs())
    first.close()
    assert Path("out/finished-2-of-2.jsonl").exists()
    second.close()
    [again] = opened(Path("out"), Shard())
    assert [one.reason for one in again.records.each("failed")] == ["dark"]
    again.close()


def opened(path: Path, *shards: Shard, identity: dict[str, Any] = IDENTITY) -> Sequence[Any]:
    return [OutputFolder(path, identity, shard) for shard in shards]


def test_who_may_be_in_a_folder_together(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = opened(out, Shard(1, 3), Shard(2, 3))
    for shard, who in ((Shard(1, 3), "1/3"), (Shard(1, 2), "1/3"), (Shard(), "1/3")):
        with pytest.raises(BadOutput, match=f"Shard {who} of a run is writing into this folder"):
            OutputFolder(out, IDENTITY, shard)
    with pytest.raises(BadOutput, match="The folder holds another run"):
        OutputFolder(out, {"classes": {"names": ["cat"]}}, Shard(3, 3))
    first.close()
    [again] = opened(out, Shard(1, 3))
    again.close()
    second.close()
    assert not (out / ".shards").exists()
    opened(out, Shard())[0].close()


def test_one_image_of_all_is_explained_also_by_shards_that_begin_anew(photos: Path) -> None:
    images = sorted(photos.iterdir())
    for _ in range(2):  # the first time both end before they have done anything
        explained = []
        for folder in opened(Path("out"), Shard(1, 2), Shard(2, 2)):
            todo = folder.add(images, frozenset(), [])
            folder.explain_first(todo)
            explained += [record.name for record in todo if "maps" in record.saved]
            with folder.alone():
                folder.save(Costs())
            folder.close()
        assert explained == [images[0].stem]


def test_a_shard_does_not_begin_while_a_whole_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsskit.files.own.locks.PATIENCE", 0.1)
    [whole] = opened(tmp_path / "out", Shard())
    with pytest.raises(BadOutput, match="Another run is writing"):
        opened(tmp_path / "out", Shard(1, 2))
    whole.close()


def test_a_shard_that_is_killed_holds_nothing(photos: Path) -> None:
    process = start("parts", "--shard", "1/2", "--batch", "1")
    locks = Path("parts/.shards")
    while process.poll() is None and not list(locks.glob("*.lock")):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    process = start("parts", "--shard", "1/2")
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert not locks.exists()


def test_replicas_on_several_devices_leave_what_one_process_would(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "broken.png").write_bytes(b"no image")
    assert run_here(monkeypatch, "--out", "whole") == 1
    process = start("parts", "--devices", "cpu,cpu", "--batch", "2")
    _, said = process.communicate()
    assert process.returncode == 1, said
    for folder in ("whole", "parts"):
        plain = json.loads(Path(folder, "run.json").read_text())
        plain["device"], plain["batch"] = "cpu", 2
        Path(folder, "run.json").write_text(json.dumps(plain, indent=1))
    see_same("whole", "parts")


class Deadly(Replica):
    """Die over one image, always or once."""

    def run(self, todo: Iterable[ImageRecord], *, in_windows: bool = False) -> None:
        def watched() -> Iterator[ImageRecord]:
            for record in todo:
                once = Path("once")
                if record.name == "7" or (record.name == "3" and not once.exists()):
                    once.touch()
                    os._exit(9)
                yield record

        super().run(watched(), in_windows=in_windows)


def serve_deadly(*arguments: Any) -> None:
    replicas.Replica = Deadly  # type: ignore[attr-defined]
    serve(*arguments)


def test_what_a_dead_process_had_is_done_again_and_what_kills_them_fails(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here(monkeypatch, "--out", "whole") == 0
    monkeypatch.setattr(replicas, "serve", serve_deadly)
    assert run_here(monkeypatch, "--out", "parts", "--devices", "cpu,cpu", "--batch", "2") == 1
    states = {one["name"]: one["state"] for one in read_run("parts")["images"]}
    assert [name for name, state in states.items() if state != "done"] == ["7"]
    reasons = [one["reason"] for one in read_run("parts")["images"] if one["reason"]]
    assert reasons == ["3 processes died while processing it."]
    for name in states.keys() - {"7"}:
        mask = f"masks/{name}.png"
        assert Path("parts", mask).read_bytes() == Path("whole", mask).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--devices", "cpu,nowhere"), "There is no device `nowhere` here."),
        (("--devices", "cpu,"), "`cpu,` is not a list of devices."),
        (("--devices", "auto,cpu"), "is not a list of devices."),
        (("--devices", "cpu,cpu", "--device", "cpu"), "named by --device and by --devices."),
        (("--shard", "3/2"), "There is no part 3/2."),
    ],
)
def test_devices_and_parts_that_are_not_there_are_refused(
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    what: str,
) -> None:
    assert run_here(monkeypatch, "--out", "parts", *arguments) == 2
    assert what in capfd.readouterr().err
    assert not Path("parts").exists()
