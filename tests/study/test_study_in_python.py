"""A study from Python: one call that says nothing and returns what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

import ovsskit
from ovsskit.errors import OvsskitError

TOY = Path(__file__).parent / "toy.toml"


def test_a_study_says_nothing_and_returns_what_it_found(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = ovsskit.run_study(
        TOY, images=[photos], out=tmp_path / "out", trials=4, accept="best", device="cpu"
    )
    assert capfd.readouterr() == ("", "")
    assert len(state.rows) == 4
    assert state.best in state.rows
    assert state.recipe == tmp_path / "out" / "best.toml"
    assert ovsskit.load(state.recipe, device="cpu").plan.stages
    again = ovsskit.run_study(
        TOY, images=[photos], out=tmp_path / "out", trials=5, accept="best", device="cpu"
    )
    assert [row.params for row in again.rows[:4]] == [row.params for row in state.rows]
    assert len(again.rows) == 5


def test_a_notebook_shows_the_state_as_a_table(photos: Path, tmp_path: Path) -> None:
    state = ovsskit.run_study(
        TOY, images=[photos], out=tmp_path / "out", trials=3, accept="best", device="cpu"
    )
    [head, unchanged, *rows] = state.table()
    assert head[0] == "trial"
    assert unchanged[0] == "unchanged"
    assert state.best is not None
    assert rows[0][0] == str(state.best.turn)
    assert {len(row) for row in state.table()} == {len(head)}
    page = state._repr_html_()
    assert page.count("<tr>") == 2 + len(rows)
    assert f"<td>{rows[0][1]}</td>" in page


def test_a_setting_that_there_is_not_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(OvsskitError, match=r"`triels`[\s\S]*`trials`"):
        ovsskit.run_study(TOY, images=[photos], out=tmp_path / "out", triels=3)


def test_classes_are_a_list_or_a_string(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(OvsskitError, match="list of classes is empty"):
        ovsskit.run_study(TOY, images=[photos], out=tmp_path / "out", classes=" ")
    with pytest.raises(OvsskitError, match="more than once: a"):
        ovsskit.run_study(TOY, images=[photos], out=tmp_path / "out", classes=["a", "a"])
