"""Tell a person, or a program, what an audit of words found."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ovsskit.cli.console import LiveReport, console, progress_bar, show, stderr
from ovsskit.errors import first_of
from ovsskit.words.audit import Audit, Share, percent
from ovsskit.words.proposals import Proposals

PAIRS, DISTRACTORS = 5, 10
"""How many pairs of words are shown at least, and how many distractors at most."""
TOPICS = {
    "pairs": "which words are alike",
    "rivals": "which class comes second",
    "words": "which of a class's words wins",
    "synonyms": "what other words change",
    "distractors": "what distractors change",
}
"""What is not reported, by its topic in `Audit.untold`."""


class WordsReport(LiveReport):
    """Show a progress bar, notices and tables; or JSON; or nothing."""

    def __init__(self, *, quiet: bool, as_json: bool, more: Sequence[str]) -> None:
        """Begin; `more` are the options with which a run needs to be given again."""
        self.quiet, self.as_json, self.more = quiet, as_json, more
        shown = not quiet and not as_json and stderr.is_terminal
        self.progress = progress_bar(shown=shown)
        self.live = self.progress
        self.task = self.progress.add_task("runs on images", total=None, visible=False)

    def begin(self, images: int, runs: int) -> None:
        """Say how often the recipe will run."""
        self.notice(f"runs of the recipe on each image, unchanged and with other words: {runs}")
        self.progress.start()
        self.progress.reset(self.task, total=images * runs, visible=True)

    def tell(self) -> None:
        """Show that the recipe ran once on an image."""
        self.progress.advance(self.task)

    def end(self, path: Path, audit: Audit, proposals: Proposals) -> None:
        """Show what was found, what was written, and how to use it."""
        self.progress.stop()
        if self.as_json:
            found = {**asdict(audit), "winless": audit.winless, "proposals": asdict(proposals)}
            print(json.dumps({**found, "file": str(path)}))
        elif not self.quiet:
            tables = (_classes(audit), _words(audit), _distractors(audit), _pairs(audit))
            for table in tables:
                if table.row_count:
                    show(table)
                    console.print()
            for line in [*_overall(audit), *_untold(audit), *_told(path, proposals)]:
                console.print(line, highlight=False)
            command = ["ovsskit", "run", audit.recipe, "IMAGES", "--classes-file", str(path)]
            console.print(f"use it: {escape(shlex.join([*command, *self.more]))}", highlight=False)


def _classes(audit: Audit) -> Table:
    """Return a table of what each class wins, and how much of it other words change."""
    table = _table("class", "of all pixels", "images", "runner-up")
    others = any(one.replaced for one in audit.classes)
    distracted = audit.changed_by_distractors is not None
    for title, has in (("other words change", others), ("distractors change", distracted)):
        if has:
            table.add_column(title)
    for one in audit.classes:
        shares = [Share(word.word, word.changed) for word in one.replaced if word.changed]
        cells = [
            escape(one.name),
            _percent(one.share) if one.images else "[red]never wins[/]",
            str(one.images),
            _shares([one.rival] if one.rival else []),
            *([_shares(shares)] if others else []),
            *(["" if one.distracted is None else _percent(one.distracted)] if distracted else []),
        ]
        table.add_row(*cells)
    return table


def _words(audit: Audit) -> Table:
    """Return a table of what each word wins where a class has several."""
    table = _table("class", "word", "of its pixels", "images", "unchanged label", "source")
    for one in audit.classes:
        for word in one.words:
            numbers = (_percent(word.share), str(word.images), _shares(word.before))
            table.add_row(escape(one.name), escape(word.word), *numbers, escape(word.source))
    return table


def _distractors(audit: Audit) -> Table:
    """Return a table of the distractors that win most."""
    table = _table("distractor", "of all pixels", "images", "unchanged label")
    for word in audit.distractors[:DISTRACTORS]:
        numbers = (_percent(word.share), str(word.images), _shares(word.before))
        table.add_row(escape(word.word), *numbers)
    return table


def _pairs(audit: Audit) -> Table:
    """Return a table of the near-duplicates among words, or else of the nearest."""
    table = _table("most alike", "", "cosine", "among all pairs", "")
    near = sum(pair.is_near for pair in audit.pairs)
    for pair in audit.pairs[: max(near, PAIRS)]:
        words = (escape(pair.first), escape(pair.second))
        note = "[red]near-duplicates[/]" if pair.is_near else ""
        table.add_row(*words, f"{pair.cosine:.2f}", f"above {_percent(pair.rank)}", note)
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, padding=(0, 2, 0, 0))


def _percent(share: float) -> str:
    """Return a share that does not break at the end of a line."""
    return percent(share).replace(" ", "\u00a0")


def _shares(shares: Sequence[Share]) -> str:
    return ", ".join(f"{escape(one.name)}\u00a0{_percent(one.share)}" for one in shares)


def _overall(audit: Audit) -> list[str]:
    """Return what concerns all classes together."""
    told = [f"{percent(audit.background)} of all pixels have no class"]
    if audit.winless:
        told.append(f"never win: {escape(first_of(audit.winless))}")
    if audit.changed_by_synonyms:
        shares = ", ".join(map(percent, audit.changed_by_synonyms))
        told.append(f"other words in place of names change the label of {shares} of all pixels")
    if audit.changed_by_distractors is not None:
        told.append(f"distractors change the label of {percent(audit.changed_by_distractors)}")
    return told


def _untold(audit: Audit) -> list[str]:
    """Return what cannot be told, and why."""
    return [f"not reported: {TOPICS[topic]}. {escape(why)}" for topic, why in audit.untold.items()]


def _told(path: Path, proposals: Proposals) -> list[str]:
    """Return what is proposed, and where it was written."""
    told = [
        f"`{escape(other.word)}` in place of `{escape(name)}`, which never wins, would win "
        f"{percent(other.share)} of all pixels"
        for name, other in proposals.instead.items()
    ]
    file, count = escape(str(path)), sum(map(len, proposals.synonyms.values()))
    added = f"words for the background {len(proposals.background)}, synonyms {count}"
    return [*told, f"wrote {file}, for review. Proposed: {added}"]
