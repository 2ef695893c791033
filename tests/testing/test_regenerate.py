"""Golden files are written where that is asked for, and nowhere else."""

from __future__ import annotations

from subprocess import CompletedProcess
from unittest.mock import patch

import pytest

from ovsskit.testing import regenerate


@pytest.mark.parametrize("asked", [["--help"], ["--unknown"]])
def test_what_is_asked_for_is_read_before_tests_run(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["regenerate", *asked])
    with patch("subprocess.run") as run, pytest.raises(SystemExit):
        regenerate.main()
    run.assert_not_called()


@pytest.mark.parametrize(("asked", "tests"), [([], ["tests"]), (["tests/study"], ["tests/study"])])
def test_tests_that_are_named_run_alone(
    asked: list[str], tests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["regenerate", *asked])
    with patch("subprocess.run", return_value=CompletedProcess([], 3)) as run:
        assert regenerate.main() == 3
    [command] = run.call_args.args
    assert command[command.index("--continue-on-collection-errors") + 1 :] == tests
