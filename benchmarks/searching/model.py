"""A model of a recipe: what it would be worth at any setting, interpolated between judged ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import RBFInterpolator
from scipy.stats import spearmanr

from ovsskit.recipe.describe import toml
from ovsskit.study.spec.dimension import Dimension

REACH = 1.0
"""How fast the influence of a setting bends, in parts of a range: ours."""
SMOOTHING = 1e-3
FEW = 5
"""Whole numbers of no more values are choices, as layers and heads are."""


@dataclass(frozen=True)
class Model:
    """Interpolate rewards and mIoU between settings by multiquadrics (Hardy 1971)."""

    space: Sequence[Dimension]
    settings: Sequence[Mapping[str, Any]]
    worth: Float[ndarray, "setting 2"]

    def __call__(self, values: Mapping[str, Any]) -> tuple[float, float]:
        """Return reward and mIoU at values by address."""
        reward, miou = self._fitted(self.place(values)[None])[0]
        return float(reward), float(miou)

    def place(self, values: Mapping[str, Any]) -> Float[ndarray, " feature"]:
        """Return values from 0 to 1, a feature for each choice; of what is left out, the middle."""
        features: list[float] = []
        for one in self.space:
            value, few = values.get(one.address), one.values() or ()
            if one.choices or (one.kind == "int" and len(few) <= FEW):
                features += [math.sqrt(0.5) * (toml(value) == toml(each)) for each in few]
                continue
            scale = math.log if one.log else float
            low, high = scale(one.low), scale(one.high)
            features.append(0.5 if value is None else (scale(value) - low) / (high - low))
        return np.array(features)

    @cached_property
    def _places(self) -> Float[ndarray, "setting feature"]:
        return np.stack([self.place(one) for one in self.settings])

    @cached_property
    def _fitted(self) -> RBFInterpolator:
        return self._fit(np.arange(len(self.settings)))

    def _fit(self, chosen: Any) -> RBFInterpolator:
        return RBFInterpolator(
            self._places[chosen],
            self.worth[chosen],
            kernel="multiquadric",
            epsilon=REACH,
            smoothing=SMOOTHING,
        )

    @cached_property
    def rank_correlation(self) -> float:
        """Return how well rewards of left-out settings are foretold from the others, by rank."""
        indices = np.arange(len(self.settings))
        foretold = [
            self._fit(indices != index)(self._places[index][None])[0, 0] for index in indices
        ]
        return float(spearmanr(foretold, self.worth[:, 0]).statistic)
