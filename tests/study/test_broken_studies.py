"""Broken studies give exactly the messages that stand beside them, with file and line, before any
image is looked at.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ovsskit.errors import BadFile, BadStudy, NothingFound, OvsskitError
from ovsskit.study.search.state import StudyState
from ovsskit.study.spec.check_file import check_file

HERE = Path(__file__).parent
BROKEN = HERE / "broken"
Search = Callable[..., StudyState]
Write = Callable[..., Path]


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.toml")), ids=lambda path: path.stem)
def test_message(
    path: Path, monkeypatch: pytest.MonkeyPatch, golden: Callable[[Path, str], str]
) -> None:
    monkeypatch.chdir(BROKEN)
    with pytest.raises(OvsskitError) as caught:
        check_file(path.name)
    assert caught.value.status == 2
    text = f"{caught.value}\n"
    assert text == golden(path.with_suffix(".txt"), text)


def test_a_study_is_checked_without_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from ovsskit.cli.__main__ import main\n"
        "sys.argv = ['ovsskit', 'check', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'torch', 'transformers', 'optuna'} & set(sys.modules) or 'light')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "quickstart"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "ok quickstart\nlight\n"


def test_images_in_which_no_class_is_found(search: Search, study_file: Write) -> None:
    tables = '[objective]\nuse = "toy_goal"\nempty = true\n'
    with pytest.raises(NothingFound, match="no class is found in any of them"):
        search(study_file(tables=tables), trials=2)


JUDGED = """
name = "judged"
extends = "toy.toml"

[[stage]]
use = "toy_presence"
before = "toy_cut"
shown = []

[study]
objective = { use = "clip_reward" }

[study.models.judge]
use     = "clip"
weights = "embedded"
"""


def test_images_in_which_no_class_is_found_judged_by_clip(search: Search, tmp_path: Path) -> None:
    shutil.copy(HERE / "toy.toml", tmp_path)
    (tmp_path / "none.toml").write_text(JUDGED)
    with pytest.raises(NothingFound) as caught:
        search(tmp_path / "none.toml", classes="dog", trials=2)
    assert str(caught.value) == (
        f"{tmp_path / 'none.toml'}:11  OV605  nothing to judge\n"
        "  No image gives `clip_reward` anything to judge: no class is found in any of them.\n"
        "  Look for classes that the images show, or relax the choice of present classes."
    )
    (tmp_path / "some.toml").write_text(JUDGED.replace("shown = []", 'shown = ["p1", "p4"]'))
    [row] = search(tmp_path / "some.toml", classes="dog", trials=1, out="some").rows
    found = row.result["images"]
    assert [index for index, reward in found.items() if not math.isnan(reward)] == ["1", "4"]
    assert row.values == [pytest.approx((found["1"] + found["4"]) / 2)]


def test_miou_needs_masks(search: Search, study_file: Write, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(BadStudy, match="needs true masks"):
        search(study_file(tables='[objective]\nmetric = "miou"\n'), trials=2)
    (tmp_path / "masks").mkdir()
    with pytest.raises(BadFile, match=r"6 of 6 images have no mask, such as p0\.png"):
        search(study_file(tables='[objective]\nmetric = "miou"\nmasks = "masks"\n'), trials=2)


def test_a_stage_that_the_others_need_cannot_be_switched_off(
    search: Search, study_file: Write
) -> None:
    tables = '[space]\n"toy_cut" = { choices = ["on", "off"] }\n'
    with pytest.raises(
        OvsskitError,
        match="Without `toy_cut` the recipe does not fit together: toy_goal reads `labels`",
    ):
        search(study_file(tables=tables), trials=1)


def test_cmaes_takes_no_shared_storage(search: Search) -> None:
    with pytest.raises(OvsskitError, match="stores pickles"):
        search(sampler="cmaes", storage="postgresql://localhost/db")


def test_options_are_checked_like_the_file(search: Search) -> None:
    for options, word in (
        ({"trials": 0}, "--trials"),
        ({"sampler": "x"}, "--sampler"),
        ({"preset": "y"}, "--preset"),
    ):
        with pytest.raises(OvsskitError, match=word):
            search(**options)
