"""Measure a study of 100 trials against one plain run over the same images.

Both are whole commands.
    python benchmarks/study.py
    python benchmarks/study.py --pruner none --trials 100 --objective miou
    python benchmarks/study.py --whole --objective "" miou "region_reward * edge_reward"

The recipe is GradCAM of one layer and head, with blur and dense CRF, on the tiny BLIP, or the whole
quickstart; searched are layer, head, threshold, blur, and the weights of the CRF. Seconds of the
clock and of the processor are printed, start of the program included. A study is run for each
objective, all against the same plain run; an empty one is what the study chooses by its own rule.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

KEPT = 3
"""The exit status of a study that keeps the unchanged recipe."""
RECIPE = """
name    = "gradcam"
extends = "quickstart"

[set]
"salience_dropout.rounds" = 1
"""


def measure(threads: int, *arguments: str | Path) -> tuple[float, float, str]:
    """Run a command of the program; return clock and processor seconds, and its output."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "ovsskit", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode not in (0, KEPT):
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, processor, done.stdout


def main() -> None:
    """Run both, and print what they cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--pruner", default="halving")
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument(
        "--objective", nargs="+", default=[""], help="default: the study's own rule"
    )
    parser.add_argument("--reference", default=None, help="a recipe that the reward asks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--whole", action="store_true", help="the whole quickstart, with Salience DropOut"
    )
    parser.add_argument("--out", type=Path, default=None, help="keep the study's folder here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe = folder / "gradcam.toml"
        recipe.write_text('extends = "quickstart"\n' if chosen.whole else RECIPE)
        plain = measure(
            chosen.threads, "run", recipe, "--out", folder / "run", "--json", "--device", "cpu"
        )
        print(f"one plain run: {plain[0]:.1f} s, {plain[1]:.1f} s of the processor")
        shown = Table(
            "objective", "seconds", "of the processor", "times", "times", "calls made, saved",
            "of the judge", "unchanged", "best", title=f"studies of {chosen.trials} trials",
        )  # fmt: skip
        for number, objective in enumerate(chosen.objective):
            options = ["--trials", str(chosen.trials), "--pruner", chosen.pruner]
            options += ["--sampler", chosen.sampler, "--json", "--device", "cpu"]
            options += ["--out", str((chosen.out or folder) / f"study-{number}")]
            for name, value in (("objective", objective or None), ("reference", chosen.reference)):
                options += [] if value is None else [f"--{name}", value]
            study = measure(chosen.threads, "study", recipe, *options)
            summary = json.loads(study[2].splitlines()[-1])["summary"]
            calls, best = summary["network_calls"], summary["best"]
            shown.add_row(
                objective or "its own rule",
                f"{study[0]:.1f}",
                f"{study[1]:.1f}",
                f"{study[0] / plain[0]:.2f}",
                f"{study[1] / plain[1]:.2f}",
                f"{calls['calls']}, {calls['saved']}",
                f"{calls['judge_calls']}, {calls['judge_saved']}",
                f"{summary['default'][0]:.4f}",
                f"{best['values'][0]:.4f} (trial {best['turn']})",
            )
    Console(width=150).print(shown)


if __name__ == "__main__":
    main()
