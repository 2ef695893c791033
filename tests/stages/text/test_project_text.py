from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import TextFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.text.project_text import ProjectText
from ovsskit.testing import ToyBackbone, example


def test_projected_texts_are_unit_vectors_with_their_labels() -> None:
    texts = TextFeatures(3 * example(TextFeatures).data, (1, 2, 2, 3))
    [found] = ProjectText().run_batch([texts], ToyBackbone())
    expected = torch.stack([row.roll(1) / row.norm() for row in texts.data])
    torch.testing.assert_close(found.data, expected)
    assert found.labels == texts.labels


def test_texts_of_another_encoder_are_refused() -> None:
    texts = TextFeatures(torch.ones(2, 3), (1, 2))
    with pytest.raises(BadValue, match="have 3 numbers each, and the projection takes"):
        ProjectText().run_batch([texts], ToyBackbone())
