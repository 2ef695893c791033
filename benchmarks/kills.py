"""Kill studies and workers at random; no finished trial may be lost or counted twice.

    python benchmarks/kills.py --kills 20 --workers 3
    python benchmarks/kills.py --kills 20 --workers 3 --storage
        postgresql://postgres@localhost/postgres

Every second kill, by chance, hits the study itself, which is then started again; the others hit one
of its workers. While there are kills to come the study has more trials than it can do, so that it
cannot end before them; then it has some more to do. The recipe is a toy whose stages sleep.
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

from ovsskit.recipe.registry import load_plugin
from ovsskit.study.search.journal import JOURNAL
from ovsskit.study.search.open_storage import open_storage
from ovsskit.study.search.trials import read_rows
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.read_search import read_search
from ovsskit.study.spec.search import Search

TESTS = Path(__file__).parent.parent / "tests" / "study"
PLUGIN, RECIPE = TESTS / "study_stages.py", TESTS / "toy.toml"
Finished = dict[int, tuple[int, tuple[float, ...]]]
ENDLESS = 100_000
"""More trials than a study finishes while it is killed."""


@dataclass
class Outcome:
    """Hold the kills by target, the finished trials that were lost, and those at the end by turn.

    `trials` are those that the study had to do in all, `at_kills` how many were finished before
    each kill.
    """

    kills: dict[str, int] = field(default_factory=lambda: {"study": 0, "worker": 0})
    lost: list[int] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    at_kills: list[int] = field(default_factory=list)
    trials: int = 0
    retried: int = 0
    status: int = -1


def torture(
    folder: Path,
    *,
    kills: int,
    workers: int,
    more: int,
    seconds: float,
    seed: int,
    storage: str = "",
) -> Outcome:
    """Kill a study of the toy recipe this many times, at last as a whole, and let it finish.

    An image takes so many seconds.
    """
    chance = random.Random(seed)
    images = folder / "images"
    images.mkdir(parents=True)
    for index in range(3):
        grey = numpy.random.default_rng(index).integers(0, 255, (16, 16)).astype("uint8")
        Image.fromarray(grey).convert("RGB").save(images / f"p{index}.png")
    study = folder / "study.toml"
    study.write_text(
        f'recipe = "{RECIPE}"\nname = "kills {seed}"\nheartbeat = 1\naccept = "best"\n[set]\n'
        f'"toy_cut.seconds" = {seconds}\n'
    )
    out = folder / "out"
    command = [
        sys.executable,
        "-m",
        "ovsskit",
        "study",
        str(study),
        str(images),
        "--out",
        str(out),
        "--plugin",
        str(PLUGIN),
    ]
    command += [
        "--workers",
        str(workers),
        "--device",
        "cpu",
        "--quiet",
        *(["--storage", storage] if storage else []),
        "--trials",
    ]
    outcome, seen = Outcome(), Finished()
    search = read_search(StudyOptions(str(study)))
    process = subprocess.Popen([*command, str(ENDLESS)])
    try:
        while len(outcome.at_kills) < kills and process.poll() is None:
            wanted = len(seen) + chance.choice(
                [0, 1, 2, 5]
            )  # none: while it starts, or soon after another kill
            while len(seen) < wanted and process.poll() is None:
                time.sleep(0.3)
                seen |= finished(search, out, storage)
            time.sleep(chance.uniform(0.0, 1.0))
            seen |= finished(search, out, storage)
            last = len(outcome.at_kills) == kills - 1
            target = "study" if last else chance.choice(["study", "worker"])
            victims = [process.pid] if target == "study" else workers_of(process.pid)
            if not victims or process.poll() is not None:
                continue
            outcome.kills[target] += 1
            outcome.at_kills.append(len(seen))
            os.kill(chance.choice(victims), signal.SIGKILL)
            if target == "study":
                process.wait()
                outcome.trials = len(finished(search, out, storage)) + more if last else ENDLESS
                process = subprocess.Popen([*command, str(outcome.trials)])
        outcome.status = process.wait()
    finally:
        process.kill()
    end = finished(search, out, storage)
    outcome.lost = [turn for turn, trial in seen.items() if end.get(turn) != trial]
    rows, trials_seen = rows_of(search, out, storage)
    outcome.turns = [row.turn for row in rows]
    outcome.retried = trials_seen - len(rows)
    return outcome


def finished(search: Search, out: Path, storage: str) -> Finished:
    """Return number and values of the finished trials by turn."""
    return {
        row.turn: (row.number, tuple(row.values or ())) for row in rows_of(search, out, storage)[0]
    }


def rows_of(search: Search, out: Path, storage: str) -> tuple[list[Any], int]:
    """Return the finished trials, and how many trials there are in all."""
    if not storage and not (out / JOURNAL).exists():
        return [], 0
    trial_storage = open_storage(storage, out, 60, search.title)
    try:
        found = optuna.load_study(study_name=search.title, storage=trial_storage.trials)
        return read_rows(found, search), len(found.get_trials(deepcopy=False))
    except KeyError:  # it has not begun yet
        return [], 0
    finally:
        trial_storage.close()


def workers_of(pid: int) -> list[int]:
    """Return the processes that a study has started to work for it (Linux)."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [
            int(one)
            for one in children
            if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()
        ]
    except FileNotFoundError:
        return []


def main() -> None:
    """Kill as often as asked, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--more", type=int, default=20, help="trials after the last kill")
    parser.add_argument("--seconds", type=float, default=0.1, help="that an image takes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storage", default="")
    options = vars(parser.parse_args())
    load_plugin(PLUGIN)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        outcome = torture(Path(folder), **options)
        print(
            f"kills: {outcome.kills['study']} of the study, {outcome.kills['worker']} of a worker"
        )
        print(f"finished trials before each: {', '.join(map(str, outcome.at_kills))}")
        print(f"finished trials lost: {len(outcome.lost)}")
        print(f"turns counted twice: {len(outcome.turns) - len(set(outcome.turns))}")
        print(
            f"turns done: {len(set(outcome.turns))} of {outcome.trials}; exit status "
            f"{outcome.status}"
        )
        print(f"trials that died: {outcome.retried}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
