"""Find the recordings: a set that is not there is skipped, a set without cases fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Facts = dict[str, Any]


@dataclass(frozen=True)
class NoCase:
    """Stand for a case where there is none."""

    why: str
    is_failure: bool

    def __str__(self) -> str:
        return "no-case"

    def end_test(self) -> None:
        """Fail or skip the test."""
        (pytest.fail if self.is_failure else pytest.skip)(self.why)


def missing(folder: Path) -> str:
    """Return why a set cannot be tested against, or nothing."""
    return "" if (folder / "case.json").is_file() else f"no recording: {folder} has no case.json"


def find(parity_dir: Path, name: str) -> Path:
    """Return the folder of a set; where there is none, skip the test."""
    if why := missing(parity_dir / name):
        pytest.skip(why)
    return parity_dir / name


def choose(
    metafunc: pytest.Metafunc, name: str, choices: Mapping[str, Callable[[Facts], Sequence[Any]]]
) -> None:
    """Give tests one run for each case that a set's `case.json` names, by the name of
    the argument.
    """
    folder: Path = metafunc.config.getoption("--parity-dir") / name
    facts = None if missing(folder) else json.loads((folder / "case.json").read_text())
    for argument, cases in choices.items():
        if argument in metafunc.fixturenames:
            found = list(cases(facts)) if facts is not None else []
            why = missing(folder) or f"{folder / 'case.json'} has no case for `{argument}`"
            metafunc.parametrize(
                argument,
                found or [NoCase(why, is_failure=facts is not None)],
                ids=lambda case: "-".join(map(str, case)) if isinstance(case, tuple) else str(case),
            )
