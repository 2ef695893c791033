"""Time the start of the commands that people wait for: `python benchmarks/cold_start.py`."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

RECIPE = str(Path(__file__).parent.parent / "recipes" / "pnp_blip.toml")
COMMANDS = {
    "python (nothing)": ["-c", "pass"],
    "import ovsskit": ["-c", "import ovsskit"],
    "ovsskit --help": ["-m", "ovsskit", "--help"],
    "ovsskit check": ["-m", "ovsskit", "check", RECIPE],
    "ovsskit plan": ["-m", "ovsskit", "plan", RECIPE],
    "ovsskit stages": ["-m", "ovsskit", "stages"],
}


def seconds_of(arguments: list[str]) -> float:
    """Return the seconds that one Python process takes from start to end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the best and the median time of every command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    table = Table("command", "best s", "median s")
    for name, arguments in COMMANDS.items():
        times = [seconds_of(arguments) for _ in range(runs)]
        table.add_row(name, f"{min(times):.3f}", f"{statistics.median(times):.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
