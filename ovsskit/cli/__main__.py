"""The program `ovsskit`: how it starts, and how it ends when something goes wrong."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

STOPPED = 130
"""The exit status after Ctrl-C or SIGTERM."""


def main() -> NoReturn:
    """Run the program; an error ends in a sentence and an exit status, a traceback with `--debug`.

    The status is 0 if all went well, 1 if images failed or the disk was full, 2 for bad input
    before anything ran, 130 after Ctrl-C or SIGTERM. A closed standard output changes nothing; one
    that cannot be written makes a 0 a 1.
    """
    try:
        signal.signal(signal.SIGTERM, _stop)
        from ovsskit.cli.streams import close_streams, open_streams

        open_streams()
        status = _run()
        if not close_streams():
            status = status or 1
    except KeyboardInterrupt:
        status = STOPPED
    sys.exit(status)


def _run() -> int:
    """Run the command that the person typed and return its exit status."""
    try:
        from ovsskit.cli.app import app

        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        return _explain(error)
    return 0


def _stop(number: int, frame: object) -> NoReturn:
    """End like Ctrl-C when the system asks this process to end."""
    raise KeyboardInterrupt


def _explain(error: Exception) -> int:
    from ovsskit.cli.console import as_error, show_error

    explained = as_error(error)
    show_error(explained)
    return explained.status


if __name__ == "__main__":
    main()
