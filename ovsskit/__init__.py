"""Open-vocabulary semantic segmentation without pixel labels: say which words, get which pixels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ovsskit._version import __version__ as __version__

if TYPE_CHECKING:
    from ovsskit.engine.stage import Batch as Batch
    from ovsskit.engine.stage import S as S
    from ovsskit.engine.stage import Stage as Stage
    from ovsskit.engine.stage import Wrapper as Wrapper
    from ovsskit.engine.stage import Wraps as Wraps
    from ovsskit.engine.values import (
        Captions as Captions,
    )
    from ovsskit.engine.values import (
        CrossAttention as CrossAttention,
    )
    from ovsskit.engine.values import (
        Image as Image,
    )
    from ovsskit.engine.values import (
        Labels as Labels,
    )
    from ovsskit.engine.values import (
        Logits as Logits,
    )
    from ovsskit.engine.values import (
        Present as Present,
    )
    from ovsskit.engine.values import (
        Probabilities as Probabilities,
    )
    from ovsskit.engine.values import (
        Saliency as Saliency,
    )
    from ovsskit.engine.values import (
        Scores as Scores,
    )
    from ovsskit.engine.values import (
        TokenMaps as TokenMaps,
    )
    from ovsskit.engine.values import (
        Vocabulary as Vocabulary,
    )
    from ovsskit.run.pipeline import Pipeline as Pipeline
    from ovsskit.run.pipeline import Result as Result
    from ovsskit.run.pipeline import load as load

_HOMES = {
    "ovsskit.run.pipeline": ("Pipeline", "Result", "load"),
    "ovsskit.engine.stage": ("Batch", "S", "Stage", "Wrapper", "Wraps"),
    "ovsskit.engine.values": (
        "Captions", "CrossAttention", "Image", "Labels", "Logits", "Present", "Probabilities", "Saliency", "Scores",
        "TokenMaps", "Vocabulary",
    ),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for, so that `import ovsskit` stays instant."""
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'ovsskit' has no attribute {name!r}")
