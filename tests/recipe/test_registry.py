"""Stages are found by file name, by plugin file and by entry point."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ovsskit.engine.stage import Stage, use_of
from ovsskit.errors import BadPlugin, Place, Problems
from ovsskit.recipe import registry
from ovsskit.recipe.build import load_recipe
from ovsskit.testing import check_stage

SHARPEN = Path(__file__).parents[2] / "docs" / "examples" / "sharpen.py"


@pytest.mark.parametrize("name", registry.stage_files())
def test_every_stage_file_holds_the_stage_of_its_name(name: str) -> None:
    cls = registry.find_stage(name)
    assert cls is not None
    assert use_of(cls) == name


@pytest.mark.parametrize("name", registry.backbone_files())
def test_every_backbone_file_holds_the_backbone_of_its_name(name: str) -> None:
    cls = registry.find_backbone(name)
    assert cls is not None
    assert use_of(cls) == name


def test_the_documented_plugin_is_found_and_keeps_the_contract() -> None:
    assert registry.load_plugin(SHARPEN) == ["sharpen"]
    cls = registry.find_stage("sharpen")
    assert cls is not None
    check_stage(cls())
    assert "sharpen" in registry.stage_names()


def test_installed_entry_points_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("brighten", "tests.no_such_module:Brighten", "ovsskit.stages")]
    points.append(EntryPoint("grey", "ovsskit.testing:ToyScores", "ovsskit.stages"))
    monkeypatch.setattr(
        registry,
        "_installed",
        lambda group: {point.name: point for point in points if point.group == group},
    )
    assert {"brighten", "grey"} <= set(registry.stage_names())
    found = registry.find_stage("grey")
    assert found is not None
    assert issubclass(found, Stage)
    with pytest.raises(BadPlugin, match="`brighten` cannot be imported"):
        registry.find_stage("brighten")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "SyntaxError"),
        ("import no_such_thing", "No module named"),
        ("x = 1", "defines neither a stage nor a backbone"),
        (
            "from ovsskit import Stage\nclass Old(Stage): run_many = print",
            "Old defines `run_many`, which nothing calls: the method is `run_batch` now",
        ),
    ],
)
def test_a_bad_plugin_says_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BadPlugin, match=message):
        registry.load_plugin(path)
    with pytest.raises(BadPlugin, match="no such Python file"):
        registry.load_plugin(tmp_path / "none.py")


def test_finding_all_stages_and_backbones_imports_no_torch() -> None:
    code = (
        "import sys, ovsskit.recipe.build, ovsskit.recipe.schema; from ovsskit.recipe import "
        "registry as r;"
        "[r.find_stage(n) for n in r.stage_names()]; [r.find_backbone(n) for n in "
        "r.backbone_names()];"
        "ovsskit.recipe.schema.recipe_schema();"
        "sys.exit(', '.join({'torch', 'transformers', 'kornia', 'scipy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_file_of_a_plugin_is_looked_for_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PLUGINS", {})
    plugin, recipe = tmp_path / "plugin.py", tmp_path / "recipe.toml"
    plugin.write_text(
        "from ovsskit.engine.stage import PathOfRecipe, Stage\n"
        "from ovsskit.engine.values import Present\n"
        "class ReadsTable(Stage, writes='present'):\n"
        "    table: PathOfRecipe = ''\n"
        "    def run(self) -> Present:\n"
        "        return Present((1,))\n"
    )
    recipe.write_text('[[stage]]\nuse = "reads_table"\ntable = "table.csv"\n')
    registry.load_plugin(plugin)
    with pytest.raises(Problems) as caught:
        load_recipe(recipe)
    [problem] = caught.value.problems
    assert problem.where == Place(str(recipe), 3)
    assert "reads_table.table names a file that does not exist: table.csv" in problem.what
    (tmp_path / "table.csv").write_text("")
    assert load_recipe(recipe).plan.stages


def test_a_backbone_that_lacks_methods_is_refused_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PLUGINS", {})
    plugin, recipe = tmp_path / "plugin.py", tmp_path / "recipe.toml"
    plugin.write_text(
        "from ovsskit import EncodesText, PretrainedBackbone\n"
        "class Speaks(PretrainedBackbone, EncodesText):\n"
        "    def encode_texts(self, texts): ...\n"
    )
    recipe.write_text(
        'extends = "quickstart"\n[models.judge]\nuse = "speaks"\nweights = "embedded"\n'
    )
    registry.load_plugin(plugin)
    with pytest.raises(Problems) as caught:
        load_recipe(recipe)
    [problem] = caught.value.problems
    assert (problem.code, problem.where) == ("OV502", Place(str(recipe), 3))
    assert problem.what == ("The backbone `speaks` lacks methods: encode_text, load.")
