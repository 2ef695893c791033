"""`ovsskit recipes`: what it lists, without torch and without the network."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from rich.text import Text
from typer.testing import CliRunner

from ovsskit.cli.app import app
from ovsskit.recipe.build import load_recipe

OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
from ovsskit.cli.app import app
app(["recipes", "--json"], standalone_mode=False)
assert not {"torch", "open_clip", "transformers"} & set(sys.modules), "heavy"
"""


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """List the recipes in a process of their own; return each with its method, by its name."""
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {
        recipe["name"]: {**recipe, "method": method["name"]}
        for method in json.loads(done.stdout)
        for recipe in method["recipes"]
    }


def test_variants_stand_under_their_method(found: dict[str, dict[str, Any]]) -> None:
    assert found["naclip_ade20k"]["method"] == found["naclip"]["method"] == "naclip"
    assert found["naclip"]["extends"] == "clip_baseline"
    assert found["maskclip_refined"]["method"] == "maskclip"
    assert found["quickstart"]["method"] == "pnp_blip"


def test_a_recipe_says_what_it_needs(found: dict[str, dict[str, Any]]) -> None:
    [packaged] = found["naclip_tiny"]["models"]
    assert packaged == {
        "use": "clip",
        "weights": "embedded",
        "revision": "",
        "here": "packaged",
        "licence": "Apache-2.0",
    }
    [elsewhere] = found["pnp_albef"]["models"]
    assert (elsewhere["here"], elsewhere["licence"]) == ("no", "BSD-3-Clause (code)")
    [hub] = found["sclip"]["models"]
    assert hub["weights"] == "timm/vit_base_patch16_clip_224.openai"
    assert hub["here"] in ("no", "cached")
    assert len(hub["revision"]) == 40


def test_published_numbers_are_those_of_the_recipe(found: dict[str, dict[str, Any]]) -> None:
    for name in ("sclip_ade20k", "pnp_blip", "gem_tiny"):
        recipe = load_recipe(name)
        assert found[name]["dataset"] == recipe.plan.vocabulary.dataset
        values = [(one["dataset"], one["value"]) for one in found[name]["published"]]
        assert values == [(one.dataset, one.value) for one in recipe.published]


def test_the_table_has_a_line_for_every_recipe(
    found: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["recipes"])
    assert done.exit_code == 0
    lines = Text.from_ansi(done.stdout).plain.splitlines()
    rows = {line.split()[0]: line for line in lines if line}
    assert found.keys() <= rows.keys()
    assert "16.45, 16.1 mIoU on ade20k" in rows["sclip_ade20k"]
