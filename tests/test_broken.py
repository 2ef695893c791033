"""Broken recipes give exactly the messages that stand beside them, all at once, without importing
torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ovsskit.errors import OvsskitError
from ovsskit.recipe.build import load_recipe

BROKEN = Path(__file__).parent / "broken"


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_message(
    path: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[Path, str], str]
) -> None:
    monkeypatch.chdir(BROKEN)
    with pytest.raises(OvsskitError) as caught:
        load_recipe(path.name)
    assert caught.value.status == 2
    text = f"{caught.value}\n"
    assert text == golden(path.with_suffix(".txt"), text)
