"""Kill `run`, its shards, `eval`, `fit` and `export` at random; each image may count once.

    python benchmarks/kills_of_runs.py --kills 50

Every command works on images of one colour with a toy recipe, in turn as one process, as three
shards, and as two replicas; `fit` tunes a tiny model for a few updates. It is killed (`kill -9`)
after a random time, started again, killed again, and at last left to end. What it leaves is then
compared with what an undisturbed one left: the same files, byte by byte, and the same records of
the same images. Commands are forked from this process, which has imported all that they need: so
kills meet them at work, and not while they start.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy
from PIL import Image
from safetensors.numpy import load_file

from ovsskit.cli.__main__ import main as run_command

TESTS = Path(__file__).parent.parent / "tests"
RECIPE, PLUGIN = TESTS / "toy.toml", TESTS / "toy_stages.py"
RECORDS = ("run.json", "eval.json", "fit.json", "export.json")
TIMES = {*RECORDS, "index.html", "images.sqlite", ".lock"}
"""Files that hold times, or that are compared by what they hold."""
KEPT = {"written", "costs", "pages", "notices", "identity", "device", "run", "files"}
"""What a record holds of times and places, and the digests of files that hold times."""
IMPORTED = ("run.run", "eval.eval", "fit.fit", "export.export", "backbones.ofa.ofa")
"""What commands import, before they are forked."""
UPDATES = ("updates=10", "batch=2", "at_once=2", "save_every=2")
"""What `fit` is told, so that it is soon done."""


@dataclass(frozen=True)
class Kind:
    """Name a way to work, and its commands, all of which run at the same time."""

    name: str
    commands: tuple[tuple[str, ...], ...]


def kinds(home: Path) -> list[Kind]:
    """Return the ways to work on the images of a folder; `OUT` stands for the output folder."""
    photos, classes = str(home / "photos"), ("--classes", "red, green, blue")
    toy = (str(RECIPE), photos, *classes, "--plugin", str(PLUGIN), "--out", "OUT", "--quiet")
    run = ("run", *toy, "--batch", "1")
    truth = ("--truth", str(home / "truth"), "--truth-classes", str(home / "classes.txt"))
    measured = ("eval", *toy, *truth, "--batch", "1")
    shards = [("--shard", f"{number}/3") for number in (1, 2, 3)]
    exported = ("export", str(home / "found"), "--to", "coco", "--out", "OUT", "--quiet")
    sets = [part for one in UPDATES for part in ("--set", f"fit.{one}")]
    words = ("--classes", "dog, grass")
    tuned = ("fit", "ifseg_tiny", *words, *sets, "--out", "OUT", "--quiet")
    return [
        Kind("run", (run,)),
        Kind("run in shards", tuple((*run, *shard) for shard in shards)),
        Kind("run in replicas", ((*run, "--devices", "cpu,cpu"),)),
        Kind("eval", (measured,)),
        Kind("eval in shards", tuple((*measured, *shard) for shard in shards)),
        Kind("fit", (tuned,)),
        Kind("export", (exported,)),
        Kind("export in shards", tuple((*exported, *shard) for shard in shards)),
    ]


def paint(home: Path, count: int) -> None:
    """Write images and their true masks."""
    for kind in ("photos", "truth"):
        (home / kind).mkdir()
    for number in range(count):
        pixels = numpy.zeros((24, 24, 3), "uint8")
        pixels[..., number % 3] = 255
        pixels[: number % 24, :, 1] = 200
        Image.fromarray(pixels).save(home / "photos" / f"{number:03d}.png")
        truth = numpy.full((24, 24), 1 + number % 3, "uint8")
        Image.fromarray(truth).save(home / "truth" / f"{number:03d}.png")
    (home / "classes.txt").write_text("1 red\n2 green\n3 blue\n")


def start(kind: Kind, out: Path) -> list[ForkProcess]:
    """Start all commands of a kind, in process groups: replicas are killed with their command."""
    context = multiprocessing.get_context("fork")
    commands = [[str(out) if one == "OUT" else one for one in command] for command in kind.commands]
    processes = [context.Process(target=work, args=(command,)) for command in commands]
    for process in processes:
        process.start()
        os.setpgid(process.pid or 0, process.pid or 0)
    return processes


def work(command: list[str]) -> None:
    """Run a command, as a process does that was started for it."""
    sys.argv = ["ovsskit", *command]
    run_command()


def end(processes: list[ForkProcess]) -> list[int | None]:
    """Wait for all of them; return their exit statuses."""
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def content(out: Path) -> dict[str, Any]:
    """Return what an output folder holds, but for times and places; weights by their tensors."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name not in TIMES:
            whole = path.suffix != ".safetensors"
            kept = path.read_bytes() if whole else read_tensors(path)
            found[path.relative_to(out).as_posix()] = kept
    for name in RECORDS:
        if (out / name).exists():
            plain = json.loads((out / name).read_text())
            found[name] = {key: value for key, value in plain.items() if key not in KEPT}
            if "progress" in plain:
                found[name]["progress"] = plain["progress"]["losses"]
    if (out / "images.sqlite").exists():
        with sqlite3.connect(out / "images.sqlite") as file:
            found["images.sqlite"] = file.execute("SELECT * FROM images ORDER BY name").fetchall()
    return found


def read_tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return type, shape and content of every tensor in a file."""
    tensors = load_file(path)
    return {name: (str(one.dtype), one.shape, one.tobytes()) for name, one in tensors.items()}


def torture(kind: Kind, home: Path, kills: int, chance: random.Random) -> tuple[int, list[str]]:
    """Kill commands this many times; return how many were killed, and what differs at the end."""
    whole, out = home / f"whole {kind.name}", home / f"killed {kind.name}"
    begun = time.perf_counter()
    if any(end(start(kind, whole))):
        raise SystemExit(f"{kind.name} fails undisturbed")
    lasts = time.perf_counter() - begun
    killed = 0
    while killed < kills:
        processes = start(kind, out)
        moment = time.perf_counter() + chance.uniform(0.0, 1.1) * lasts
        for process in processes:
            process.join(max(0.0, moment - time.perf_counter()))
        victims = [one for one in processes if one.is_alive()]
        for victim in chance.sample(victims, chance.randint(0, len(victims))):
            os.killpg(victim.pid or 0, signal.SIGKILL)
            killed += 1
        end(processes)
    if any(end(start(kind, out))):
        return killed, ["the exit status"]
    expected, found = content(whole), content(out)
    names = sorted(expected.keys() | found.keys())
    return killed, [name for name in names if expected.get(name) != found.get(name)]


def main() -> None:
    """Kill as often as asked, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="in all")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], help="some of the ways to work")
    given = parser.parse_args()
    chance, broken = random.Random(given.seed), 0
    for module in IMPORTED:
        importlib.import_module(f"ovsskit.{module}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        paint(home, given.images)
        every = kinds(home)
        if any(end(start(every[0], home / "found"))):
            raise SystemExit("the run fails that is exported")
        ways = [one for one in every if not given.only or one.name in given.only]
        for kind in ways:
            killed, differs = torture(kind, home, -(-given.kills // len(ways)), chance)
            broken += bool(differs)
            told = f"differs: {', '.join(differs[:5])}" if differs else "as undisturbed"
            print(f"{kind.name:16} {killed:3} kills: {told}", flush=True)
    sys.exit(broken)


if __name__ == "__main__":
    main()
