"""Kill studies and their workers at random moments, and see that no finished trial is lost, none counts twice, and they end.

    python benchmarks/kills.py --kills 20 --workers 3
    python benchmarks/kills.py --kills 20 --workers 3 --storage postgresql://postgres@localhost/postgres

Every second kill, by chance, hits the study itself, which is then started again with the same command; the others hit one
of its workers. The recipe is a toy whose stages sleep.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import optuna
from PIL import Image

from ovsskit.registry import load_plugin
from ovsskit.study.history import read_rows
from ovsskit.study.plan import StudyWishes, read_search
from ovsskit.study.storage import JOURNAL, open_keeper

TESTS = Path(__file__).parent.parent / "tests" / "study"
PLUGIN, RECIPE = TESTS / "study_stages.py", TESTS / "toy.toml"
Finished = dict[int, tuple[int, tuple[float, ...]]]


@dataclass
class Outcome:
    """Hold what came of it: kills by their target, finished trials that were lost, and those at the end by turn."""

    kills: dict[str, int] = field(default_factory=lambda: {"study": 0, "worker": 0})
    lost: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    retried: int = 0
    status: int = -1


def torture(folder: Path, *, kills: int, workers: int, trials: int, seconds: float, seed: int, storage: str = "") -> Outcome:
    """Run a study of the toy recipe to its end in spite of so many kills; a picture takes so many seconds."""
    chance = random.Random(seed)
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for index in range(3):
        grey = numpy.random.default_rng(index).integers(0, 255, (16, 16)).astype("uint8")
        Image.fromarray(grey).convert("RGB").save(pictures / f"p{index}.png")
    study = folder / "study.toml"
    study.write_text(f'recipe = "{RECIPE}"\nname = "kills {seed}"\nheartbeat = 1\n[set]\n"toy_cut.seconds" = {seconds}\n')
    out = folder / "out"
    command = [sys.executable, "-m", "ovsskit", "study", str(study), str(pictures), "--out", str(out), "--plugin", str(PLUGIN)]
    command += ["--workers", str(workers), "--trials", str(trials), "--device", "cpu", "--quiet"]
    command += ["--storage", storage] if storage else []
    outcome, seen = Outcome(), Finished()
    process = subprocess.Popen(command)
    try:
        while sum(outcome.kills.values()) < kills and process.poll() is None:
            time.sleep(chance.uniform(0.0, 3.0))
            seen |= finished(study, out, storage)
            target = chance.choice(["study", "worker"])
            victims = [process.pid] if target == "study" else workers_of(process.pid)
            if not victims or process.poll() is not None:
                continue
            outcome.kills[target] += 1
            os.kill(chance.choice(victims), signal.SIGKILL)
            if target == "study":
                process.wait()
                process = subprocess.Popen(command)
        outcome.status = process.wait()
    finally:
        process.kill()
    last = finished(study, out, storage)
    outcome.lost = [turn for turn, trial in seen.items() if last.get(turn) != trial]
    rows, trials_seen = rows_of(study, out, storage)
    outcome.turns = [row.turn for row in rows]
    outcome.retried = trials_seen - len(rows)
    return outcome


def finished(study: Path, out: Path, storage: str) -> Finished:
    """Return number and values of the finished trials by turn."""
    return {row.turn: (row.number, tuple(row.values or ())) for row in rows_of(study, out, storage)[0]}


def rows_of(study: Path, out: Path, storage: str) -> tuple[list[Any], int]:
    """Return the finished trials, and how many trials there are in all."""
    if not storage and not (out / JOURNAL).exists():
        return [], 0
    search = read_search(StudyWishes(str(study)))
    keeper = open_keeper(storage, out, 60, search.title)
    try:
        found = optuna.load_study(study_name=search.title, storage=keeper.trials)
        return read_rows(found, search), len(found.get_trials(deepcopy=False))
    except KeyError:  # it has not begun yet
        return [], 0
    finally:
        keeper.close()


def workers_of(pid: int) -> list[int]:
    """Return the processes that a study has started to work for it (Linux)."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    except FileNotFoundError:
        return []


def main() -> None:
    """Kill as often as asked, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=0.1, help="that a picture takes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storage", default="")
    options = vars(parser.parse_args())
    load_plugin(PLUGIN)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        outcome = torture(Path(folder), **options)
        print(f"kills: {outcome.kills['study']} of the study, {outcome.kills['worker']} of a worker")
        print(f"finished trials lost: {len(outcome.lost)}")
        print(f"turns counted twice: {len(outcome.turns) - len(set(outcome.turns))}")
        print(f"turns done: {len(set(outcome.turns))} of {options['trials']}; exit status {outcome.status}")
        print(f"trials that died: {outcome.retried}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
