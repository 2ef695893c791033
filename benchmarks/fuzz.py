"""Feed broken files to every reader, and check that each ends in a result or a helpful error.

    python benchmarks/fuzz.py --count 3000
    python benchmarks/fuzz.py --count 300 --seed 7 --only recipes presence

Every reader gets its share of `--count` files. A file is a good one with one to three changes: TOML
and JSON are changed as trees (a value of another type, a key left out, a list for a table...), and
every file also as text and as bytes. The same seed gives the same files. What ends in any other
error is printed, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import collections
import sys
import warnings
from pathlib import Path

from fuzzing import banks, images, recipes, records, weights, words
from fuzzing.feeding import Readers, feed

READERS: Readers = {
    **recipes.READERS,
    **words.READERS,
    **images.READERS,
    **records.READERS,
    **banks.READERS,
    **weights.READERS,
}
SHARES = collections.defaultdict(lambda: 1, {"recipes": 28, "studies": 5, "run.json": 2})
"""How many files a reader gets beside the others."""


def main() -> int:
    """Feed every reader, print what came of it, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--only", dest="readers", nargs="+", default=[], help=f"some of: {', '.join(READERS)}"
    )
    options.add_argument("--count", type=int, default=3000, help="files in all")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, help="a folder for the first file of every crash")
    given = options.parse_args()
    warnings.simplefilter("ignore")
    chosen = given.readers or list(READERS)
    whole = sum(SHARES[name] for name in chosen)
    crashed = files = 0
    for name in chosen:
        count = max(1, given.count * SHARES[name] // whole)
        outcome = feed(READERS[name](), count, given.seed)
        files, crashed = files + count, crashed + outcome.crashed
        print(
            f"{name:16} {count:5} files: {outcome.fine:5} read, {outcome.explained:5} explained, "
            f"{outcome.crashed:4} in other errors; the slowest took {outcome.slowest:.2f} s",
            flush=True,
        )
        for number, (key, (times, content)) in enumerate(sorted(outcome.crashes.items())):
            print(f"    {times} x {key}")
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"{name.replace('/', '_')}_{number}").write_bytes(content)
    print(f"{files} files, {crashed} in other errors")
    return int(crashed > 0)


if __name__ == "__main__":
    sys.exit(main())
