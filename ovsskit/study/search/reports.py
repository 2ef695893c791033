"""What hears of a trial's single images, and asks the study's pruner."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import optuna

from ovsskit.study.search.queue import DEFAULT
from ovsskit.study.search.samplers import TURN, is_left, rungs
from ovsskit.study.search.trial_result import by_index
from ovsskit.study.spec.plan import StudyPlan


@runtime_checkable
class Report(Protocol):
    """Hear of single images, and say whether the rest can be left out."""

    def __call__(self, index: int, value: float) -> bool:
        """Hear what the image of an index gave."""

    def is_hopeless(self, most: Mapping[int, float]) -> bool:
        """Hear what the next images give at most; say whether even that is too little."""


@dataclass
class ImageReports:
    """Report image by image, as Wilcoxon compares; an image without any class says nothing."""

    trial: optuna.Trial

    def __call__(self, index: int, value: float) -> bool:
        """Hear what an image gave; say whether the trial is left."""
        if math.isnan(value):
            return False
        self.trial.report(value, index)
        return self.trial.should_prune()

    def is_hopeless(self, most: Mapping[int, float]) -> bool:
        """Say no: a test looks at values, and not at what they are at most."""
        return False


@dataclass
class GainReports:
    """Report means over few images, others in each trial, as halving compares.

    They are of what is better there than with the unchanged recipe, since images differ more than
    candidates do. Optuna is asked after the images that `steps` counts alone, for a report waits
    for the disk.
    """

    trial: optuna.Trial
    before: Mapping[int, float]
    steps: Sequence[int]
    gains: list[float] = field(default_factory=list)

    def __call__(self, index: int, value: float) -> bool:
        """Hear what an image gave; say whether the trial is left."""
        gains = self._gains({index: value})
        self.gains += gains
        if not gains or len(self.gains) not in self.steps:
            return False
        self.trial.report(sum(self.gains) / len(self.gains), len(self.gains))
        return self.trial.should_prune()

    def is_hopeless(self, most: Mapping[int, float]) -> bool:
        """Say whether the trial is left if the next images give their most; report it if so."""
        more = self._gains(most)
        gains = [*self.gains, *more]
        if not more or len(gains) not in self.steps or not self._is_left(gains):
            return False
        self.trial.report(sum(gains) / len(gains), len(gains))
        return True

    def _is_left(self, gains: Sequence[float]) -> bool:
        mean, turn = sum(gains) / len(gains), self.trial.user_attrs[TURN]
        return is_left(self.trial.study, turn, len(gains), mean)

    def _gains(self, found: Mapping[int, float]) -> list[float]:
        """Return the gains of images; those without any class say nothing."""
        gains = (value - self.before[index] for index, value in found.items())
        return [gain for gain in gains if not math.isnan(gain)]


def reports_of(plan: StudyPlan, trial: optuna.Trial) -> Report | None:
    """Return what receives single images and asks the pruner, if any."""
    pruner = plan.search.settings.pruner
    if pruner == "none":
        return None
    if pruner == "wilcoxon":
        return ImageReports(trial)
    before = by_index(trial.study.user_attrs[DEFAULT]["images"])
    return GainReports(trial, before, rungs(len(before)))
