"""A judge is asked last, and not about candidates that are left whatever it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ovsskit.stages.reward.clip_reward import ClipReward
from ovsskit.study.search import reports
from ovsskit.study.search.reports import GainReports
from ovsskit.study.search.samplers import TURN
from ovsskit.study.search.state import StudyState

PRODUCT = (
    'objective = { product = [{ use = "toy_bounded" }, { use = "toy_goal" }] }\n'
    '[models.judge]\nuse = "clip"\nweights = "embedded"'
)


@pytest.mark.parametrize("batch", ["1", "4"])
def test_a_candidate_is_left_unjudged_only_if_it_were_left_anyway(
    batch: str,
    search: Callable[..., StudyState],
    study_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Patient(GainReports):
        """Let the judge be asked always, and note what would be decided without it, and then."""

        def is_hopeless(self, most: Mapping[int, float]) -> bool:
            gains = [*self.gains, *self._gains(most)]
            heard.add((len(self.gains), len(most)))
            expected[self._turn, [*most][-1]] = len(gains) in self.steps and self._is_left(gains)
            return False

        def __call__(self, index: int, value: float) -> bool:
            left = super().__call__(index, value)
            if (self._turn, index) in expected:  # else it is the unchanged recipe, known before
                decided.append((expected[self._turn, index], left))
            return left

        @property
        def _turn(self) -> int:
            return int(self.trial.user_attrs[TURN])

    heard: set[tuple[int, int]] = set()
    expected: dict[tuple[int, int], bool] = {}
    decided: list[tuple[bool, bool]] = []
    options: dict[str, Any] = {"trials": 16, "pruner": "halving", "batch": batch}
    lazy = search(study_file(PRODUCT), **options)
    monkeypatch.setattr(reports, "GainReports", Patient)
    asked = search(study_file(PRODUCT), "asked", **options)

    # of six images, candidates are left after one, two and four
    in_stretches = {(0, 1), (1, 1), (2, 2), (4, 2)}
    assert heard == (in_stretches if batch == "4" else {(before, 1) for before in range(6)})
    assert (True, False) not in decided
    assert (True, True) in decided
    assert not [row.reason for row in (*lazy.rows, *asked.rows) if row.state == "failed"]
    left = [row for row in lazy.rows if row.state == "pruned" and not row.result["images"]]
    assert left  # after the first image, which no reward was computed of
    assert lazy.best is not None
    assert len(lazy.best.result["images"]) == 6


def test_a_judge_says_its_most_where_it_has_one() -> None:
    assert ClipReward(form="share", among="all").most == 1
    assert ClipReward(total="sum").most == float("inf")
    assert ClipReward(form="released_ratio").most == float("inf")
