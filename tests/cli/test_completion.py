"""What a shell is told after a tab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from ovsskit.cli.app import app
from ovsskit.cli.completion import complete_recipe

RECIPES = {"recipe", "recipes", "against", "reference"}


def proposed(*words: str) -> list[str]:
    """Return what bash would show after these words and a tab."""
    told = {
        "_OVSSKIT_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("ovsskit", *words)),
        "COMP_CWORD": str(len(words)),
    }
    program = [sys.executable, "-c", "import sys; sys.argv[0] = 'ovsskit'\n"]
    program[2] += "from ovsskit.cli.__main__ import main; main()"
    found = subprocess.run(program, env=os.environ | told, capture_output=True, text=True)
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "quick"), ["quickstart"]),
        (("eval", "quickstart", "--dataset", "voc"), ["voc20", "voc21"]),
        (("run", "quickstart", "--set", "thresh"), ["threshold.at=", "threshold.at_class="]),
        (("check", "nothing_of_this_name", "--set", "thresh"), []),
        (("stages", "dense"), ["dense_crf"]),
        (("export", "found", "--to", "coco"), ["coco", "coco_panoptic"]),
        (("eval", "quickstart", "--protocol", "pnp"), ["pnp_ovss"]),
    ],
)
def test_what_is_proposed(words: tuple[str, ...], expected: list[str]) -> None:
    assert proposed(*words) == expected


def test_recipes_of_ones_own_are_proposed_beside_the_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quick").mkdir()
    for name in ("quick.toml", "quick.png", ".quick.toml", "quick/deep.toml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert complete_recipe("quick") == ["quickstart", "quick/", "quick.toml"]
    assert complete_recipe("quick/") == ["quick/deep.toml"]
    assert complete_recipe("nowhere/") == []
    assert "quick.toml" in complete_recipe("")
    assert ".quick.toml" not in complete_recipe("")


@pytest.mark.parametrize("name", get_command(app).commands)  # type: ignore[attr-defined]
def test_every_recipe_and_address_is_completed(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    for one in command.params:
        if one.name in {*RECIPES, "sets", "dataset"}:
            assert one._custom_shell_complete is not None, one.name
