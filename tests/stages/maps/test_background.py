from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import Saliency
from ovsskit.stages.maps.background import Background


@pytest.mark.parametrize(
    ("when", "classes", "is_added"),
    [("always", 3, True), ("few_classes", 3, False), ("few_classes", 2, True), ("never", 1, False)],
)
def test_the_rule(when: Any, classes: int, is_added: bool) -> None:
    data = torch.rand(classes, 4, 5)
    data[:, 1, 2] = 0
    labels = tuple(range(4, 4 + classes))
    found = Background(when=when).run(Saliency(data, labels))
    assert found.labels == ((0, *labels) if is_added else labels)
    torch.testing.assert_close(found.data[is_added:], data)
    if is_added:
        assert found.data[0].nonzero().tolist() == [[1, 2]]
        assert float(found.data[0, 1, 2]) == 1
