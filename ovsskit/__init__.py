"""Open-vocabulary semantic segmentation without pixel labels: say which words, get which pixels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovsskit.pipeline import Pipeline as Pipeline
    from ovsskit.pipeline import Result as Result
    from ovsskit.pipeline import load as load
    from ovsskit.stage import S as S
    from ovsskit.stage import Stage as Stage
    from ovsskit.stage import Wrapper as Wrapper
    from ovsskit.stage import Wraps as Wraps
    from ovsskit.values import (
        Captions as Captions,
    )
    from ovsskit.values import (
        CrossAttention as CrossAttention,
    )
    from ovsskit.values import (
        Image as Image,
    )
    from ovsskit.values import (
        Labels as Labels,
    )
    from ovsskit.values import (
        Logits as Logits,
    )
    from ovsskit.values import (
        Present as Present,
    )
    from ovsskit.values import (
        Probabilities as Probabilities,
    )
    from ovsskit.values import (
        Saliency as Saliency,
    )
    from ovsskit.values import (
        Scores as Scores,
    )
    from ovsskit.values import (
        TokenMaps as TokenMaps,
    )
    from ovsskit.values import (
        Vocabulary as Vocabulary,
    )

_HOMES = {
    "ovsskit.pipeline": ("Pipeline", "Result", "load"),
    "ovsskit.stage": ("S", "Stage", "Wrapper", "Wraps"),
    "ovsskit.values": (
        "Captions", "CrossAttention", "Image", "Labels", "Logits", "Present", "Probabilities", "Saliency", "Scores",
        "TokenMaps", "Vocabulary",
    ),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for, so that `import ovsskit` stays instant."""
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'ovsskit' has no attribute {name!r}")
