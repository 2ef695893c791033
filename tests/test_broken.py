"""Broken recipes give exactly the messages that stand beside them, all at once, without importing torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsskit.errors import OvsskitError
from ovsskit.recipe.build import load_recipe

BROKEN = Path(__file__).parent / "broken"


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_message(
    path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(BROKEN)
    with pytest.raises(OvsskitError) as caught:
        load_recipe(path.name)
    assert caught.value.status == 2
    if request.config.getoption("--write-golden"):
        path.with_suffix(".txt").write_text(f"{caught.value}\n", encoding="utf-8")
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")
