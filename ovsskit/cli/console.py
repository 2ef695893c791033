"""Where commands print: results to standard output, errors and progress to standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segments
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ovsskit.errors import OvsskitError, Place, ProgramError, Refused

CONTROLS = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
VISIBLE = {code: ascii(chr(code))[1:-1] for code in CONTROLS if chr(code) not in "\n\t"}
"""What a terminal would obey (escapes, the order of writing) by what is shown in its place."""

SENTENCE = 12
"""The fewest columns in which prose can be read."""
LINE = 10_000
"""A width into which every cell fits."""


class TimeLeft(ProgressColumn):
    """Show how long the rest will take at the mean pace since the beginning.

    Images end in bursts, a batch at a time: the pace of the last few would tell too little. Steps
    that were done before (`before`) do not count.
    """

    def render(self, task: Task) -> Text:
        """Return hours, minutes and seconds, or dashes where nothing tells."""
        done = task.completed - task.fields.get("before", 0)
        if task.remaining is None or task.elapsed is None or done <= 0:
            return Text("-:--:--", style="progress.remaining")
        seconds = round(task.elapsed / done * task.remaining)
        return Text(str(timedelta(seconds=seconds)), style="progress.remaining")


class Screen(Console):
    """Print what a person reads; control characters in names are shown and not obeyed."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as rich text, control characters by their codes."""
        return super().render_str(text.translate(VISIBLE), **options)


console = Screen(soft_wrap=True)
stderr = Screen(stderr=True, soft_wrap=True)


def show(found: Table | Tree, prose: str = "") -> None:
    """Print a table or a tree in which no word is broken, so that ids can be copied.

    Words break in the column of prose alone. Where that takes more than the terminal's width, lines
    are longer.
    """
    wide = console.options.update(width=LINE)
    for column in found.columns if isinstance(found, Table) else ():
        texts = (column.header, *column.cells)
        cells = [Measurement.get(console, wide, text) for text in texts]
        if column.header == prose:
            column.min_width = column.max_width = SENTENCE
        else:
            column.min_width = max((cell.minimum for cell in cells), default=0)
            column.no_wrap = all(cell.minimum == cell.maximum for cell in cells)
    width = max(console.width, Measurement.get(console, wide, found).minimum)
    for column in found.columns if isinstance(found, Table) else ():
        column.max_width = None
    console.print(Segments(console.render(found, console.options.update(width=width))))


def progress_bar(detail: str = "", *, shown: bool = True) -> Progress:
    """Return a progress bar: what is done, a detail of it, the time it took and will take."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([TextColumn(detail)] if detail else []),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeLeft(),
        TextColumn("left"),
    )
    return Progress(*columns, console=stderr, disable=not shown, transient=True)


class Notes:
    """Show what a person should know, unless nothing but errors or JSON is wanted."""

    quiet = as_json = False

    def notice(self, text: str) -> None:
        """Show something that the person should know."""
        if not self.quiet and not self.as_json:
            stderr.print(f"[yellow]note[/] {escape(text)}", highlight=False)


R = TypeVar("R", bound="LiveReport")


class LiveReport(Notes):
    """Show how something goes until it ends.

    Nothing is shown at first, so that downloads before it can show their own bars.
    """

    live: Progress | Live
    progress: Progress
    task: TaskID

    def __enter__(self: R) -> R:
        """Be ready."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take away what is shown."""
        self.live.stop()

    @contextmanager
    def phase(self, doing: str) -> Iterator[None]:
        """Show what is being done before the steps that are counted, whose time begins after it."""
        task = self.progress.tasks[0]
        steps, done = task.description, int(task.completed)
        self.progress.update(self.task, description=doing)
        try:
            yield
        finally:
            self.progress.reset(self.task, completed=done, description=steps)


@contextmanager
def resumable() -> Iterator[None]:
    """Let Ctrl-C end a command that goes on when it is given again, with a word and status 130."""
    try:
        yield
    except KeyboardInterrupt:
        stderr.print("stopped; run the same command to resume")
        raise typer.Exit(130) from None


def show_error(error: OvsskitError) -> None:
    """Print an error, or every problem of a recipe."""
    for head, *sentences in error.paragraphs():
        stderr.print(escape(head), style="bold red", highlight=False)
        for line in sentences:
            stderr.print(escape(line), highlight=False)


def as_error(error: Exception, where: Place | None = None) -> OvsskitError:
    """Return the message of an error; `where` is its place if it names none itself."""
    if isinstance(error, OvsskitError):
        return error
    if isinstance(error, OSError) and error.strerror:
        place = Place(str(error.filename)) if error.filename else where
        return Refused(f"The system refuses: {error.strerror}.", where=place)
    what = f"ovsskit failed: {type(error).__name__}: {error}"
    fix = "`ovsskit --debug ...` shows the traceback; please report it."
    return ProgramError(what, fix=fix, where=where)
