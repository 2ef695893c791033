from __future__ import annotations

import torch

from ovsskit.engine.values import END, PROMPT, Present, TokenMaps
from ovsskit.stages.maps.background import Background
from ovsskit.stages.maps.merge_tokens import MergeTokens

MAPS = TokenMaps(torch.rand(6, 2, 3), torch.tensor([PROMPT, 0, 1, 3, 3, END]), (6,))
PRESENT = Present((5, 2, 9, 4))


def test_the_mean_of_a_class_and_zeros_without_tokens() -> None:
    scores = MergeTokens().run(MAPS, PRESENT)
    assert scores.labels == PRESENT.labels
    expected = [MAPS.data[1], MAPS.data[2], torch.zeros(2, 3), (MAPS.data[3] + MAPS.data[4]) / 2]
    torch.testing.assert_close(scores.data, torch.stack(expected))


def test_released_sums_the_last() -> None:
    scores = MergeTokens(pieces="released").run(MAPS, PRESENT)
    torch.testing.assert_close(scores.data[3], MAPS.data[3] + MAPS.data[4])
    torch.testing.assert_close(scores.data[0], MAPS.data[1])


def test_where_no_class_is_present_all_is_background() -> None:
    scores = MergeTokens().run(MAPS, Present(()))
    assert scores.labels == (0,)
    assert scores.data.shape == (1, 2, 3)
    assert Background().run(scores).labels == (0,)
