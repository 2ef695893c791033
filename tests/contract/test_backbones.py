"""Every backbone keeps its promises, with the weights in the package and with random ones of
another shape.
"""

from __future__ import annotations

import pytest
from twins import TWINS

from ovsskit.engine.model import Backbone, PretrainedBackbone
from ovsskit.errors import MissingWeights
from ovsskit.recipe.registry import backbone_names, find_backbone
from ovsskit.testing import ToyBackbone, check_backbone


@pytest.mark.parametrize("name", backbone_names())
def test_backbone_with_the_weights_of_the_package(name: str) -> None:
    cls = find_backbone(name)
    assert cls is not None
    assert issubclass(cls, Backbone)
    if not issubclass(cls, PretrainedBackbone):
        check_backbone(cls())
    elif cls.embedded.parts:
        check_backbone(cls(weights="embedded"))  # type: ignore[call-arg]
    else:
        with pytest.raises(MissingWeights, match="The package holds no weights"):
            cls(weights="embedded").need_weights()  # type: ignore[call-arg]


@pytest.mark.parametrize("name", backbone_names())
def test_backbone_with_random_weights(name: str) -> None:
    cls = find_backbone(name)
    assert cls is not None
    check_backbone(cls(**TWINS[name]))


def test_the_toy_backbone_keeps_the_contract_too() -> None:
    check_backbone(ToyBackbone())
