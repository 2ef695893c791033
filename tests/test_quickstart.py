"""The quickstart segments the packaged sample scenes for real; the floors lie some points below
what it reached.
"""

from __future__ import annotations

import pytest

import ablation

PARTS = {"Salience DropOut": 3, "blur": 12, "CRF": 14}
"""What the whole recipe gains by each, at least, in points of mean IoU."""


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Return the mean IoU of the variants that the floors are about, from 0 to 100."""
    folder, examples = tmp_path_factory.mktemp("quickstart"), ablation.samples()
    changes = {
        name: ablation.WITH_TRUTH[name] + ablation.TRUE_THINGS for name in ablation.WITH_TRUTH
    }
    changes["as it is"] = ""
    wanted = (
        "as it is",
        "the whole recipe",
        *(f"without {part}" for part in PARTS),
        "GradCAM alone",
        "GradCAM and Salience DropOut",
    )
    return {
        name: ablation.score("quickstart", changes[name], examples, folder)[0] for name in wanted
    }


def test_the_sample_scenes_are_segmented(scores: dict[str, float]) -> None:
    assert scores["as it is"] >= 50
    assert scores["the whole recipe"] >= 61
    assert scores["GradCAM alone"] >= 38


def test_every_part_pays_off(scores: dict[str, float]) -> None:
    assert scores["GradCAM and Salience DropOut"] >= scores["GradCAM alone"] + 2
    for part, gain in PARTS.items():
        assert scores["the whole recipe"] >= scores[f"without {part}"] + gain
