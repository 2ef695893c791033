"""What no golden message shows: files that are not text, are too large, or extend each other
without end.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import typer
from optuna.trial import TrialState
from rich.table import Table
from rich.tree import Tree

from ovsskit.backbones.clip._weights import architectures
from ovsskit.cli import console
from ovsskit.cli.check import check
from ovsskit.cli.stages import stages
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Scores
from ovsskit.errors import BadFile, BrokenToml, ExtendsCycle, MissingRecipe, Problems, shorten
from ovsskit.recipe import registry
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.toml_lines import MOST_BYTES, parse
from ovsskit.study.report.plots import FEWEST_TRIALS, importance_plot
from ovsskit.study.spec.check_file import check_file

GOOD = 'extends = "quickstart"\n'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "it is not UTF-8 text"),
        (b"#" * (MOST_BYTES + 1), "it is larger than 0.2 MB"),
        (b"x = " + b"[" * 1000, "more than 32 deep"),
        (b"x." * 1000 + b"x = 1", "more than 32 deep"),
        (b'"x" . ' * 1000 + b"x = 1", "more than 32 deep"),
        (b"[" + b"x." * 1000 + b"x]\n", "more than 32 deep"),
        (b"x = { x." + b"x." * 20 + b"x = { x." + b"x." * 20 + b"x = 1 } }", "more than 32 deep"),
        (b"x = " + b"9" * 5000, "thousands of digits"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises((BadFile, BrokenToml), match=reason) as caught:
        check_file(str(path))
    assert len(str(caught.value)) < 500
    assert caught.value.where is not None
    assert caught.value.where.file == str(path)


def test_brackets_and_dots_inside_of_texts_are_not_deep() -> None:
    text = f'x = "{"[" * 100} {"a." * 100}" # {"[" * 100}\ny = [[1.5, 2.5], [3.5]]\n'
    assert parse(text, "x.toml")["y"] == [[1.5, 2.5], [3.5]]


def test_the_smallest_byte_over_the_limit_counts(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + "#" * (MOST_BYTES - len(GOOD)))
    load_recipe(path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)

    def refuse(self: Path, *mode: str) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadFile, match="cannot be read: Permission denied"):
        load_recipe(path)


def test_a_chain_of_recipes_without_end(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    with pytest.raises(ExtendsCycle, match="More than 32 recipes"):
        load_recipe(tmp_path / "0.toml")
    (tmp_path / "32.toml").write_text(GOOD)
    load_recipe(tmp_path / "5.toml")


def test_a_recipe_of_many_wrong_stages_is_told_in_bounds(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[stage]]\nuse = "softmaks"\n' * 60)
    with pytest.raises(Problems) as caught:
        load_recipe(path)
    assert str(caught.value).endswith("more problems")
    assert len(str(caught.value)) < 20_000
    path.write_text("stage = [" + '{ use = "softmax" },' * 1001 + "]")
    with pytest.raises(Problems, match="`stage` has 1001 tables; at most 1000 are allowed"):
        load_recipe(path)


def test_long_values_are_shortened(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'{GOOD}[set]\n"threshold.at" = "{"long" * 10_000}"\n')
    with pytest.raises(Problems) as caught:
        load_recipe(path)
    assert len(str(caught.value)) < 300
    assert shorten("abcdefghij", 5) == "ab…ij"


def test_what_changes_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'remove = ["softmax"]\n[set]\n"softmax.scale" = 2\n[[stage]]\nuse = "softmax"\n'
    )
    with pytest.raises(Problems) as caught:
        load_recipe(path)
    said = [one.what for one in caught.value.problems]
    for key in ("remove", "set"):
        assert f"`{key}` changes a recipe that is extended, but this one extends none." in said


@pytest.mark.parametrize(
    ("given", "what", "fix"),
    [
        ("threshold=0.3", "`threshold` is a stage", "threshold.at"),
        ("backbone=clip", "`backbone` is a table", "backbone.weights"),
        ("at=0.3", "Nothing in the recipe has the address `at`", "Did you mean `threshold.at`?"),
        ("treshold.at=0.3", "the address `treshold.at`", "Did you mean `threshold.at`?"),
        ("threshold.use=5", "`threshold.use` is 5; it must be text", 'use = "..."'),
        ("salience_dropout.inner=5", "must be a list of tables", "double brackets"),
        ("threshold.at=2024-01-01", "is the date 2024-01-01", "in quotes"),
        ("threshold.at=inf", "`threshold.at` is inf", ""),
        ("backbone.weights=" + "x" * 300, "more than 255 bytes", ""),
        ("models.judge=5", "the address `models.judge`", ""),
    ],
)
def test_an_override_of_another_shape(given: str, what: str, fix: str) -> None:
    with pytest.raises(Problems) as caught:
        load_recipe("quickstart", [given])
    assert what in str(caught.value)
    assert fix in str(caught.value)
    assert caught.value.problems[0].where is not None
    assert caught.value.problems[0].where.file.startswith("--set")


def test_a_whole_stage_from_the_command_line() -> None:
    recipe = load_recipe("quickstart", ['softmax.reads={ scores = "scores" }'])
    assert recipe.header.name == "quickstart"


class Failing(Stage, writes="scores"):
    """Fail when it is checked."""

    def run(self, image: Image) -> Scores:
        raise NotImplementedError

    def settle(self, following: object) -> Stage:
        raise ZeroDivisionError("a plugin's own")


def test_one_broken_file_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry.PLUGINS, "failing", Failing)
    files = {
        "a.toml": "[stage]\n",
        "b.toml": GOOD,
        "c.toml": '[[stage]]\nuse = "failing"\n',
        "d.toml": "\0",
        "e.toml": GOOD,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "f.toml").mkdir()
    (tmp_path / "g.toml").symlink_to(tmp_path / "none")
    with pytest.raises(typer.Exit) as end:
        check([str(tmp_path)])
    assert end.value.exit_code == 2
    out, error = capsys.readouterr()
    assert out == f"ok {tmp_path / 'b.toml'}\nok {tmp_path / 'e.toml'}\n"
    for name in ("a.toml", "c.toml", "d.toml", "g.toml"):
        assert str(tmp_path / name) in error
    assert "ZeroDivisionError: a plugin's own" in error


def test_a_folder_without_recipes_is_not_ok(tmp_path: Path) -> None:
    with pytest.raises(MissingRecipe, match="There is no recipe in this folder"):
        check([str(tmp_path)])


def test_words_stay_whole_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "mplug_image-text-retrieval_flickr30k_large_en"
    table = Table("weights", "address", "what it is")
    table.add_row(
        name, "presence_by_similarity.at_least", "one word_of_prose_that_is_very_long_indeed"
    )
    for columns in (20, 80, 200):
        # `width` itself would be fixed for all later tests
        monkeypatch.setattr(console.console, "_width", columns)
        console.show(table, prose="what it is")
        tree = Tree("recipe")
        tree.add(f"backbone = {name}")
        console.show(tree)
        out = capsys.readouterr().out
        assert out.count(name) == 2
        assert "presence_by_similarity.at_least" in out


def test_the_list_of_stages_fits_into_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console.console, "_width", 80)
    stages()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert {*registry.stage_names(), *registry.backbone_names()} <= {
        line.split(" ")[0] for line in lines
    }


def test_an_architecture_is_checked_without_torch() -> None:
    code = (
        "import sys; from ovsskit.recipe.build import load_recipe; from ovsskit.errors "
        "import Problems\n"
        "try: load_recipe('sclip', ['backbone.model=ViT-B/16'])\n"
        "except Problems as error: print(error)\n"
        "assert not {'torch', 'open_clip'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'backbone.model is "ViT-B/16"; open_clip has no such architecture.' in done.stdout
    assert "Did you mean `ViT-B-16`?" in done.stdout


def test_the_architectures_are_those_that_open_clip_lists() -> None:
    open_clip = pytest.importorskip("open_clip")
    assert {*architectures()} == {*open_clip.list_models()}


def test_importance_takes_trials_that_were_judged_on_all_images() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, chance = optuna.create_study(), random.Random(0)
    space = {name: optuna.distributions.FloatDistribution(0, 1) for name in ("a", "b")}
    for number in range(FEWEST_TRIALS):
        assert importance_plot(study) is None
        params = {"a": number / 10, "b": chance.random()}
        for state in (TrialState.PRUNED, TrialState.COMPLETE):
            trial = optuna.trial.create_trial(
                state=state,
                params=params,
                distributions=space,
                value=params["a"],
                intermediate_values={1: 0.5},
            )
            study.add_trial(trial)
    assert importance_plot(study) is not None
