"""What commands keep of their work: records, journals, trials."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from fuzzing.feeding import Reader, Readers
from fuzzing.recipes import STUDY


def _records(file: str) -> Reader:
    from ovsskit.run.output.folder import OutputFolder
    from ovsskit.run.output.record import Costs, ImageRecord

    identity = {
        "stages": [{"address": "softmax", "scale": 1.0}],
        "models": {},
        "classes": {"names": ["dog"]},
    }
    record = ImageRecord(
        "a", "/a.jpg", "done", "", (1, 2), (3, 4), ("scores",), ((1, 0.5),), (0.1, 0.9)
    )
    with tempfile.TemporaryDirectory() as folder:
        mine = OutputFolder(Path(folder, "out"), identity)
        mine.records["a"] = record
        mine.save(Costs(1.0, {"softmax": 0.5}, 100))
        mine.close()
        whole = Path(folder, "out", "run.json").read_bytes()
        images = Path(folder, "out", "images.sqlite").read_bytes()
    older = json.dumps({**json.loads(whole), "images": [dataclasses.asdict(record)]}).encode()

    def read(path: Path) -> object:
        if file != "run.json":
            path.with_name("run.json").write_bytes(whole)
        mine = OutputFolder(path.parent, identity)
        try:
            mine.add([Path("/a.jpg"), Path("/b.jpg")], frozenset(), [])
            mine.save(Costs())
            return list(mine.records.values())
        finally:
            mine.close()

    line = f"{record.to_line()}\n".encode()
    good = {"run.json": (whole, older), "images.sqlite": (images,)}.get(file, (line, line * 3))
    return Reader(file, good, file, read)


def _tuned() -> Reader:
    from ovsskit.fit.folder import TunedFolder

    identity: dict[str, Any] = {"classes": ["dog"], "settings": {"updates": 5}}
    with tempfile.TemporaryDirectory() as folder:
        mine = TunedFolder(Path(folder, "out"), identity, {"name": "x"})
        mine.progress.losses = [1.0, 0.5]
        mine.note()
        good = Path(folder, "out", "fit.json").read_bytes()
        mine.close()

    def read(path: Path) -> object:
        mine = TunedFolder(path.parent, identity, {"name": "x"})
        mine.note()
        mine.close()
        return mine

    return Reader("fit.json", (good,), "fit.json", read)


def _trials() -> Reader:
    from ovsskit.study.report.compare import compare
    from ovsskit.study.search.trials import Row

    rows = [
        Row(turn, turn, "done", {"threshold.at": 0.1}, [0.5 + turn], 1.0, 1.0 + turn).plain()
        for turn in range(3)
    ]
    content = {
        "study": "x",
        "sampler": "tpe",
        "seed": 0,
        "objectives": [{"name": "miou", "direction": "maximize"}],
        "default": {"values": [0.4]},
        "trials": rows,
    }

    def read(path: Path) -> object:
        from ovsskit.cli.study_report import comparison_tables

        other = path.with_name("other.json")
        other.write_text(json.dumps(content))
        return comparison_tables(compare([path, other]))

    return Reader("trials.json", (json.dumps(content).encode(),), "trials.json", read)


def _journals() -> Reader:
    import optuna

    from ovsskit.study.search.journal import JOURNAL, Journal
    from ovsskit.study.search.queue import TrialQueue
    from ovsskit.study.spec.options import StudyOptions
    from ovsskit.study.spec.read_search import read_search

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "study.toml")
        file.write_bytes(STUDY)
        search = read_search(StudyOptions(str(file)))
        trial_storage = Journal(Path(folder))
        queue = TrialQueue(search, trial_storage, {"a": 1})
        for _ in range(2):
            queue.take(lambda trial, values: [0.5])
        trial_storage.close()
        good = Path(folder, JOURNAL).read_bytes()

    def read(path: Path) -> object:
        from ovsskit.study.search.trials import read_rows

        trial_storage = Journal(path.parent)
        try:
            queue = TrialQueue(search, trial_storage, {"a": 1})
            queue.take(lambda trial, values: [0.5])
            return read_rows(queue.study, search)
        finally:
            trial_storage.close()

    return Reader("journals", (good,), JOURNAL, read)


def _counts(file: str) -> Reader:
    from ovsskit.eval.counts import ImageCounts
    from ovsskit.eval.folder import EvalFolder
    from ovsskit.run.output.record import Costs

    identity = {"predictions": "x"}
    counts = [ImageCounts(number, f"i{number}", ((0, 0, 5), (1, 0, 2))) for number in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        mine = EvalFolder(Path(folder, "out"), identity)
        mine.save(Costs(1.0), {"images": {"counted": 3}})
        mine.close()
        whole = Path(folder, "out", "eval.json").read_bytes()
    lines = "".join(f"{one.to_line()}\n" for one in counts).encode()

    def read(path: Path) -> object:
        for name, content in (("eval.json", whole), ("images.jsonl", lines)):
            if name != file:
                path.with_name(name).write_bytes(content)
        mine = EvalFolder(path.parent, identity)
        try:
            done = mine.start()
            mine.save(Costs(), {})
            return done
        finally:
            mine.close()

    good = whole if file == "eval.json" else lines
    return Reader(f"{file} of eval", (good,), file, read)


def _results() -> Reader:
    from ovsskit.report.results import NEEDED, read_result

    content: dict[str, Any] = {key: {} for key in NEEDED} | {
        "images": {"counted": 3, "left_out": 0}
    }
    return Reader("results", (json.dumps(content).encode(),), "eval.json", read_result)


def _exported(file: str) -> Reader:
    from ovsskit.export.folder import ExportFolder, Line
    from ovsskit.export.format import Part

    identity = {"format": "coco"}
    with tempfile.TemporaryDirectory() as folder:
        mine = ExportFolder(Path(folder, "out"), identity, "images")
        mine.start({"finished": False})
        for number in range(3):
            mine.add(Line(Part(f"i{number}", "/a.jpg", "images/a.jpg", {"losses": {}}), "k", {}))
        mine.close()
        whole = Path(folder, "out", "export.json").read_bytes()
        lines = Path(folder, "out", "images.jsonl").read_bytes()

    def read(path: Path) -> object:
        for name, content in (("export.json", whole), ("images.jsonl", lines)):
            if name != file:
                path.with_name(name).write_bytes(content)
        mine = ExportFolder(path.parent, identity, "images")
        try:
            mine.start({"finished": False})
            mine.keep([name for name in mine.names() if mine.find(name) is not None])
            return list(mine.parts())
        finally:
            mine.close()

    good = whole if file == "export.json" else lines
    return Reader(f"{file} of export", (good,), file, read)


READERS: Readers = {
    "run.json": partial(_records, "run.json"),
    "finished.jsonl": partial(_records, "finished.jsonl"),
    "images.sqlite": partial(_records, "images.sqlite"),
    "fit.json": _tuned,
    "eval.json": partial(_counts, "eval.json"),
    "lines of eval": partial(_counts, "images.jsonl"),
    "results": _results,
    "export.json": partial(_exported, "export.json"),
    "lines of export": partial(_exported, "images.jsonl"),
    "trials.json": _trials,
    "journals": _journals,
}
