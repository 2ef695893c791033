"""The commands beside `run`: check, plan, stages, new, schema, models."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import tomlkit

from ovsskit.cli.__main__ import main
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.registry import backbone_names, stage_names

RECIPES = sorted(recipe_folder().rglob("*.toml"))
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def ovsskit(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ovsskit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_check_says_ok_for_a_folder_of_recipes() -> None:
    done = ovsskit("check", recipe_folder())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok ") == len(RECIPES) > 3


def test_check_reports_all_problems_of_all_recipes_and_fails() -> None:
    broken = Path(__file__).parent.parent / "broken"
    done = ovsskit("check", "misspelt.toml", "circle_a.toml", "base/whole.toml", cwd=broken)
    assert done.returncode == 2
    assert done.stdout == "ok base/whole.toml\n"
    assert (
        done.stderr == (broken / "misspelt.txt").read_text() + (broken / "circle_a.txt").read_text()
    )


def test_check_lists_all_problems_as_json_with_the_same_status() -> None:
    broken = Path(__file__).parent.parent / "broken"
    files = ("misspelt.toml", "circle_a.toml", "base/whole.toml")
    told, done = (
        ovsskit("check", *files, cwd=broken),
        ovsskit("check", "--json", *files, cwd=broken),
    )
    assert done.returncode == told.returncode == 2
    assert not done.stderr
    found = json.loads(done.stdout)
    assert {one["recipe"] for one in found} == {"misspelt.toml", "circle_a.toml"}
    written = ""
    for one in found:
        place = one["file"] if one["line"] is None else f"{one['file']}:{one['line']}"
        written += f"{place}  {one['code']}  {one['title']}\n"
        written += "".join(f"  {one[key]}\n" for key in ("sentence", "there", "fix") if one[key])
    assert written == told.stderr


def test_check_json_lists_more_problems_than_are_shown_and_none_of_a_sound_recipe(
    tmp_path: Path,
) -> None:
    many = tmp_path / "many.toml"
    keys = "".join(f'"nothing_{number}.at" = 1\n' for number in range(60))
    many.write_text(f'extends = "quickstart"\n[set]\n{keys}')
    found = json.loads(ovsskit("check", "--json", many).stdout)
    assert [one["line"] for one in found] == list(range(3, 63))
    option = json.loads(ovsskit("check", "--json", "quickstart", "--set", "none.at=1").stdout)
    assert [(one["recipe"], one["line"], one["code"]) for one in option] == [
        ("quickstart", None, "OV116")
    ]
    sound = ovsskit("check", "--json", "quickstart")
    assert (sound.returncode, json.loads(sound.stdout)) == (0, [])


def test_check_and_help_import_no_torch() -> None:
    code = (
        "import sys; from ovsskit.cli.__main__ import main; sys.argv = ['ovsskit', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'torch', 'transformers', 'kornia'} & set(sys.modules) or 'light')"
    )
    for arguments in (
        ["--help"],
        ["check", str(RECIPES[0])],
        ["stages"],
        ["datasets", "ade20k"],
        ["plan", str(RECIPES[0])],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.endswith("light\n"), arguments


def test_plan_shows_stages_parameters_links_and_shapes() -> None:
    done = ovsskit("plan", "pnp_blip", "--set", "threshold.at=0.25")
    assert done.returncode == 0, done.stderr
    for part in (
        "salience_dropout",
        "at = 0.25",
        "from merge_tokens",
        "scores: Probabilities [class h w]",
        "backbone",
    ):
        assert part in done.stdout


@pytest.mark.parametrize(
    "override", ["threshold.ta=0.2", "treshold.at=0.2", "threshold.at=high", "threshold.at"]
)
def test_bad_overrides_are_clear(override: str) -> None:
    done = ovsskit("plan", "pnp_blip", "--set", override)
    assert done.returncode == 2
    assert done.stderr.startswith("--set")
    assert "Traceback" not in done.stderr


def test_stages_lists_all() -> None:
    done = ovsskit("stages")
    assert all(name in done.stdout for name in [*stage_names(), *backbone_names()])


@pytest.mark.parametrize("name", [*stage_names(), *backbone_names()])
def test_every_stage_and_backbone_is_explained(name: str) -> None:
    from ovsskit.recipe.describe import field_rows, summary
    from ovsskit.recipe.registry import find_backbone, find_stage

    cls = find_stage(name) or find_backbone(name)
    assert cls is not None
    assert summary(cls).endswith(".")
    assert all(row.meaning and row.range for row in field_rows(cls))


def test_stages_explains_one_and_guesses_misspelt_ones() -> None:
    done = ovsskit("stages", "threshold")
    assert done.returncode == 0
    assert "number, 0 to 1" in done.stdout
    done = ovsskit("stages", "treshold")
    assert done.returncode == 2
    assert "Did you mean `threshold`?" in done.stderr


def test_an_old_name_is_noted_once(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text('extends = "quickstart"\n[set]\ncaption.prompt = "A photo of "\n')
    note = f"{path}:3: `caption` is now called `write_captions`"
    assert ovsskit("check", path).stderr.count(note) == 1
    assert ovsskit("plan", path).stderr.count(note) == 1
    explained = ovsskit("stages", "caption")
    assert explained.stdout.startswith("write_captions")
    assert "`caption` is now called `write_captions`" in explained.stderr


def test_a_plan_shows_the_axes_of_values_of_plugins(tmp_path: Path) -> None:
    path = tmp_path / "averaged.toml"
    path.write_text(
        'extends = "quickstart"\n[models.tones]\nuse = "tones"\n'
        '[[stage]]\nuse = "find_regions"\nafter = "dense_crf"\n'
    )
    shown = ovsskit("plan", path, "--plugin", EXAMPLES / "regions.py")
    assert "writes regions: Regions [h w]" in shown.stdout


def test_what_is_set_for_a_check_is_not_searched() -> None:
    assert ovsskit("check", "pnp_mplug", "--set", "select_head.layer=2").returncode == 0
    refused = ovsskit("check", "pnp_mplug", "--set", "select_head.layer=6")
    assert refused.returncode == 2
    assert (
        "select_head.layer is 6, but after the last layer `mplug` reads only the first token"
        in refused.stderr
    )
    assert "searched" not in refused.stderr


@pytest.mark.parametrize("options", [[], ["--whole"]])
def test_a_new_recipe_passes_the_check_and_never_replaces_a_file(
    tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / "mine.toml"
    assert ovsskit("new", path, "--from", "pnp_blip", *options).returncode == 0
    assert ovsskit("check", path).returncode == 0
    before = path.read_text()
    assert tomlkit.parse(before)["name"] == "mine"
    again = ovsskit("new", path)
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert path.read_text() == before


def test_the_published_schema_is_current(golden: Callable[[Path, str], str]) -> None:
    printed = ovsskit("schema").stdout
    assert printed == golden(recipe_folder() / "recipe.schema.json", printed), (
        "python -m ovsskit.testing.regenerate"
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_satisfy_the_schema(path: Path) -> None:
    schema = json.loads((recipe_folder() / "recipe.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomlkit.parse(path.read_text()).unwrap(), schema)


@pytest.mark.parametrize("name", ["misspelt", "values"])
def test_the_schema_refuses_what_check_refuses(name: str) -> None:
    schema = json.loads((recipe_folder() / "recipe.schema.json").read_text())
    broken = Path(__file__).parent.parent / "broken" / f"{name}.toml"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomlkit.parse(broken.read_text()).unwrap(), schema)


def test_models_tells_what_is_here() -> None:
    done = ovsskit("models", "quickstart")
    assert done.returncode == 0, done.stderr
    assert "packaged" in done.stdout


def test_models_of_a_study_are_its_judge_too() -> None:
    done = ovsskit("models", "quickstart", "--study")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["clip", "blip_itm"]


def test_models_of_a_recipe_without_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "regions.toml"
    path.write_text('[backbone]\nuse = "tones"\n\n[[stage]]\nuse = "find_regions"\n')
    plugin = Path(__file__).parents[2] / "docs" / "examples" / "regions.py"
    monkeypatch.setattr(sys, "argv", ["ovsskit", "models", str(path), "--plugin", str(plugin)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capfd.readouterr().out == "No model of this recipe has weights.\n"
