"""Say where a study's processor time goes: by what the study does, and by stage.

    python benchmarks/study_parts.py study quickstart --pruner halving --out folder

The arguments are those of the program. Times are exclusive: what one part calls that is listed
itself counts there alone. Parts below a hundredth of all are added up as `rest`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

import ovsskit.study.report.report as report
import ovsskit.study.study as study
from ovsskit._lazy import Lazy
from ovsskit.backbones.clip.clip import Clip
from ovsskit.cli.app import app
from ovsskit.engine import driver
from ovsskit.ops import mean_field
from ovsskit.study.search import cost_meter, evaluate, finals, queue, workers

PHASES: dict[str, tuple[Any, str]] = {
    "the unchanged recipe": (study._Job, "_judge_default"),
    "trials": (workers, "work"),
    "finalists": (finals.Finals, "decide"),
    "results and report": (study._Job, "_publish"),
}
PARTS: dict[str, tuple[Any, str]] = {
    "judge: sees masked images": (Clip, "encode_image"),
    "lattices": (mean_field, "build_lattice"),
    "Optuna and its journal": (queue.TrialQueue, "take"),
    "candidates' recipes": (evaluate.Evaluator, "pipeline"),
    "what candidates have in common": (queue, "candidate_key"),
    "seconds and memory": (cost_meter.CostMeter, "__call__"),
    "keys": (driver.Driver, "_key"),
    "plots": (report, "_plots"),
}
"""Parts that are no stages."""


class Clock:
    """Add up processor seconds by phase and part, and count the calls."""

    def __init__(self) -> None:
        self.phase = "start"
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.calls: Counter[tuple[str, str]] = Counter()
        self._inside = [0.0]

    def run(self, part: str, work: Callable[[], Any], phase: str = "") -> Any:
        """Return what the work returns, and note what it took."""
        before, self.phase = self.phase, phase or self.phase
        begun = time.process_time()
        self._inside.append(0.0)
        try:
            return work()
        finally:
            whole, key = time.process_time() - begun, (self.phase, part)
            self.seconds[key] += whole - self._inside.pop()
            self.calls[key] += 1
            self._inside[-1] += whole
            self.phase = before

    def watch(self, owner: Any, name: str, part: Any, phase: str = "") -> None:
        """Let a function be timed; `part` is a name, or gives one by the arguments."""
        function = getattr(owner, name)

        @wraps(function)
        def timed(*given: Any, **more: Any) -> Any:
            title = part if isinstance(part, str) else part(*given)
            return self.run(title, lambda: function(*given, **more), phase)

        setattr(owner, name, timed)

    def tell(self) -> None:
        """Print every phase with its parts."""
        total = sum(self.seconds.values())
        print(f"{total:.1f} s of the processor")
        for phase in dict.fromkeys(phase for phase, _ in self.seconds):
            mine = {key: some for key, some in self.seconds.items() if key[0] == phase}
            print(f"{phase}: {sum(mine.values()):.1f} s, {100 * sum(mine.values()) / total:.0f} %")
            rest = 0.0
            for key, some in sorted(mine.items(), key=lambda one: -one[1]):
                if some < total / 100:
                    rest += some
                    continue
                count = self.calls[key]
                print(f"  {key[1]:32} {some:6.2f} s  {count:5} times {1000 * some / count:8.1f} ms")
            print(f"  {'rest':32} {rest:6.2f} s")


def stage_of(stage: Any, _: Any) -> str:
    """Return the name of a stage that runs."""
    return str(stage.address.rpartition(".")[2])


def main() -> None:
    """Run the program with clocks in it, and print what they say."""
    clock = Clock()
    imports = vars(Lazy)["_module"]
    imports.func = _imported(clock, imports.func)
    for phase, (owner, name) in PHASES.items():
        clock.watch(owner, name, "rest of the phase", phase)
    for part, (owner, name) in PARTS.items():
        clock.watch(owner, name, part)
    clock.watch(driver, "run_together", stage_of)
    try:
        clock.run("rest of the phase", lambda: app(sys.argv[1:]))
    except SystemExit as end:
        print(f"exit {end.code}")
    clock.tell()


def _imported(clock: Clock, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda lazy: clock.run("imports", lambda: function(lazy))


if __name__ == "__main__":
    main()
