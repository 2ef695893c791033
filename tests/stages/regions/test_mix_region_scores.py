from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsskit.engine.values import Logits, RegionFeatures, Regions, TextFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.regions.mix_region_scores import MixRegionScores

TEXTS = TextFeatures.example()
REGIONS, FEATURES = Regions.example(), RegionFeatures.example()


def scores(labels: tuple[int, ...]) -> Logits:
    generator = torch.Generator().manual_seed(2)
    return Logits(torch.randn(len(labels), 8, 11, generator=generator), labels)


@pytest.mark.parametrize("labels", [(1, 2, 2, 3), (1, 2, 3), (3, 1)])
@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_against_places_one_by_one(labels: tuple[int, ...], weight: float) -> None:
    maps = scores(labels)
    found = MixRegionScores(weight=weight).run(maps, REGIONS, FEATURES, TEXTS).data
    height, width = REGIONS.data.shape
    for y, x in np.ndindex(8, 11):
        number = int(REGIONS.data[y * height // 8, x * width // 11])
        vector = FEATURES.data[FEATURES.numbers.tolist().index(number)]
        of_texts = (TEXTS.data @ (vector / vector.norm())).tolist()
        for row, label in enumerate(labels):
            mine = [one for one, text in zip(of_texts, TEXTS.labels, strict=True) if text == label]
            theirs = of_texts[row] if labels == TEXTS.labels else max(mine)
            own = float(maps.data[row, y, x])
            assert float(found[row, y, x]) == pytest.approx(own + weight * (theirs - own), abs=1e-5)


def test_two_models_of_which_each_counts_a_quarter() -> None:
    own, other = scores(TEXTS.labels), RegionFeatures(-FEATURES.data, FEATURES.numbers)
    first = MixRegionScores(weight=1 / 3).run(own, REGIONS, FEATURES, TEXTS)
    both = MixRegionScores(weight=1 / 4).run(first, REGIONS, other, TEXTS)
    torch.testing.assert_close(both.data, own.data / 2)


def test_a_map_of_no_text_is_refused() -> None:
    with pytest.raises(BadValue, match="map of label 9"):
        MixRegionScores().run(scores((1, 9)), REGIONS, FEATURES, TEXTS)


def test_another_space_is_refused() -> None:
    narrow = RegionFeatures(FEATURES.data[:, :3], FEATURES.numbers)
    with pytest.raises(BadValue, match="regions of 3 numbers and texts of 8"):
        MixRegionScores().run(scores((1, 2)), REGIONS, narrow, TEXTS)
