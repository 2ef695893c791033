"""Write anew what follows from the lists of stages, backbones, commands and errors.

    python -m ovsskit.testing.regenerate [tests/study ...]

In a checkout this writes the schema of recipes and the golden files of the tests, and says which.
Numbers that are known of a stage's version stay.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from ovsskit.files.shipped import PACKAGE


def main() -> int:
    """Run the tests that hold files to what is found, and let them write it."""
    parser = argparse.ArgumentParser(
        prog="python -m ovsskit.testing.regenerate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tests", nargs="*", default=["tests"], help="where to look; else all tests")
    chosen = parser.parse_args()
    if not (PACKAGE.parent / "tests").is_dir():
        print("This works in a checkout of ovsskit, and there are no tests beside the package.")
        return 2
    options = ("-q", "--write-golden", "--continue-on-collection-errors")
    command = [sys.executable, "-m", "pytest", *options, *chosen.tests]
    return subprocess.run(command, cwd=PACKAGE.parent).returncode


if __name__ == "__main__":
    sys.exit(main())
