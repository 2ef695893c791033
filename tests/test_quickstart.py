"""The quickstart segments the packaged sample scenes for real; the floors lie some points below what it reached."""

from __future__ import annotations

import ablation
import pytest


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Return the mean IoU of the variants that the floors are about, from 0 to 100."""
    folder, examples = tmp_path_factory.mktemp("quickstart"), ablation.samples()
    changes = {name: ablation.WITH_TRUTH[name] + ablation.TRUE_THINGS for name in ablation.WITH_TRUTH}
    changes["as it is"] = ""
    wanted = ("as it is", "the whole recipe", "without Salience DropOut", "without CRF", "GradCAM alone")
    return {name: ablation.score("quickstart", changes[name], examples, folder)[0] for name in wanted}


def test_the_sample_scenes_are_segmented(scores: dict[str, float]) -> None:
    assert scores["as it is"] >= 45
    assert scores["the whole recipe"] >= 55
    assert scores["GradCAM alone"] >= 35


def test_parts_pay_off(scores: dict[str, float]) -> None:
    assert scores["the whole recipe"] >= scores["without Salience DropOut"] + 2
    assert scores["the whole recipe"] >= scores["without CRF"] + 10
