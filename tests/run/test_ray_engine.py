"""Actors of a Ray cluster leave what one process would have left, also when one is killed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from ovsskit.files.inputs import search_images
from ovsskit.recipe.registry import load_plugin
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run import ray_engine
from ovsskit.run.options import RunOptions
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.ray_engine import RayEngine
from ovsskit.run.replica import Replica, Work

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
TESTS = Path(__file__).parent.parent
PLUGIN = TESTS / "toy_stages.py"
WORDS = make_vocabulary(["red", "green", "blue"])


class Once(Replica):
    """Kill the process over one image, once."""

    def run(self, todo: Iterable[ImageRecord], *, in_windows: bool = False) -> None:
        def watched() -> Iterator[ImageRecord]:
            for record in todo:
                if record.name == "3" and not Path("once").exists():
                    Path("once").touch()
                    os._exit(9)
                yield record

        super().run(watched(), in_windows=in_windows)


class Deadly(ray_engine.Actor):
    def __init__(self, work: Work) -> None:
        ray_engine.Replica = Once  # type: ignore[attr-defined, misc]
        super().__init__(work)


def todo_of(out: str) -> tuple[OutputFolder, Any, Work]:
    folder = OutputFolder(Path(out), {"classes": {}})
    found = search_images("photos")
    todo = folder.add(found.images, frozenset({"confidence"}), [], roots=found.roots)
    folder.save(Costs())
    options = RunOptions(str(TESTS / "toy.toml"), device="cpu")
    return folder, todo, Work(options, WORDS, Path(out).absolute(), 2, None, (PLUGIN,))


def test_an_actor_that_is_killed_is_replaced_and_every_image_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else a busy machine lets them wait
    (tmp_path / "photos").mkdir()
    for index in range(8):
        image = PIL.Image.new("RGB", (20 + index, 10), ("red", "lime", "blue")[index % 3])
        image.save(tmp_path / "photos" / f"{index}.png")
    load_plugin(PLUGIN)
    mine, todo, work = todo_of("whole")
    Replica(work, mine.finish).run(todo)
    monkeypatch.setattr(ray_engine, "Actor", Deadly)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    seen: list[str] = []
    try:
        other, todo, work = todo_of("cluster")

        def finish(record: ImageRecord) -> None:
            seen.append(record.name)
            other.finish(record)

        RayEngine(work, finish, lambda: None, actors=2).run(todo, [])
    finally:
        ray.shutdown()
    assert Path("once").exists()
    assert sorted(seen) == [str(index) for index in range(8)]
    assert list(other.records.values()) == list(mine.records.values())
    for record in mine.records.values():
        assert record.files
        for name in record.files:
            assert Path("cluster", name).read_bytes() == Path("whole", name).read_bytes()
    other.close()
    mine.close()
