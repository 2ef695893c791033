"""Names that become files stay inside the folder that they are put into, on every system."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.errors import BadValue, Problems
from ovsskit.files.names import LONGEST_NAME, safe_name
from ovsskit.recipe.build import load_recipe
from ovsskit.study.spec.check_file import check_file

CHAIN = '[[stage]]\nuse = "all_classes"\n'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pnp-blip", "pnp-blip"),
        ("two words, ümläüt", "two words, ümläüt"),
        ("../../x", "_.._x"),
        ("/etc/passwd", "_etc_passwd"),
        (r"C:\x", "C__x"),
        ("..", ""),
        (" . ", ""),
        ("", ""),
        (".hidden. ", "hidden"),
        ("con", "_con"),
        ("Aux.x.y", "_Aux.x.y"),
        ("COM1", "_COM1"),
        ("lpt³.txt", "_lpt³.txt"),
        ("console", "console"),
        ("line\nbreak\x1b[2J", "line_break_[2J"),
        ("x" * 300, "x" * LONGEST_NAME),
    ],
)
def test_the_nearest_safe_name(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text(), st.sampled_from(["", "_2", "-trial-17"]))
def test_a_safe_name_is_one_part_of_a_path_everywhere(text: str, ending: str) -> None:
    name = safe_name(text, ending)
    if not name:
        assert not text.strip(" .")
        return
    assert len(name.encode()) <= LONGEST_NAME
    assert name.endswith(ending)
    assert Path(name).parts == PureWindowsPath(name).parts == (name,)
    assert name not in (".", "..")
    assert name.partition(".")[0].upper() not in ("CON", "PRN", "AUX", "NUL", "COM1", "LPT9")
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("../../x", "x"),
        ("/tmp/x", "x"),
        ("a/b", "b"),
        ("nul", "_nul"),
        ("x.", "x"),
        ("x" * 181, "x" * 180),
    ],
)
@pytest.mark.parametrize("file", ["one", "study"])
def test_a_recipe_and_a_study_are_refused_by_their_name(
    tmp_path: Path, name: str, better: str, file: str
) -> None:
    (tmp_path / "one.toml").write_text(f'about = "x"\nname = "{name}"\n{CHAIN}')
    (tmp_path / "good.toml").write_text(CHAIN)
    (tmp_path / "study.toml").write_text(f'recipe = "good.toml"\nname = "{name}"\n')
    with pytest.raises(Problems) as caught:
        check_file(str(tmp_path / f"{file}.toml"))
    [problem] = [one for one in caught.value.problems if isinstance(one, BadValue)]
    assert problem.where is not None
    assert problem.where.line == 2
    assert "must be one part of a path" in problem.what
    assert problem.fix == f'Write "{better}".'


def test_a_file_whose_name_is_dots_still_writes_below_the_default_folder(tmp_path: Path) -> None:
    (tmp_path / "...toml").write_text(CHAIN)
    assert (tmp_path / "...toml").stem == ".."
    assert load_recipe(tmp_path / "...toml").title == "recipe"
