"""The kinds of folders that commands leave, and the record that marks each as ours."""

from __future__ import annotations

import re
from pathlib import Path

RUN, STUDY, FIT, EVAL = "run.json", "study.json", "fit.json", "eval.json"
EXPORT, DISTIL = "export.json", "distil.json"
KINDS = {
    RUN: "run",
    STUDY: "study",
    FIT: "tuning",
    EVAL: "evaluation",
    EXPORT: "export",
    DISTIL: "student",
}
"""The record that marks a folder as ours, and what the folder then holds."""

HEAD = re.compile(rb'\s*\{\s*"ovsskit"\s*:')
"""How every record of ours begins."""


def is_record(path: Path) -> bool:
    """Tell whether a file is a record of ours, by how it begins."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return HEAD.match(file.read(200)) is not None
    except OSError:
        return False


def is_ours(folder: Path) -> bool:
    """Tell whether a folder was written by one of these commands."""
    return any(is_record(folder / record) for record in KINDS)


def one_of(record: str) -> str:
    """Return what a record marks, with its article: `a run`, `an evaluation`."""
    kind = KINDS[record]
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
