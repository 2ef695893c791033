"""Open-vocabulary semantic segmentation without pixel labels: say which words, get which pixels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ovsskit._version import __version__ as __version__

if TYPE_CHECKING:
    from ovsskit.compare.in_python import run_compare as run_compare
    from ovsskit.distil.in_python import run_distil as run_distil
    from ovsskit.engine.model import Backbone as Backbone
    from ovsskit.engine.model import CrossAttends as CrossAttends
    from ovsskit.engine.model import DecodesPatches as DecodesPatches
    from ovsskit.engine.model import DescribesPatches as DescribesPatches
    from ovsskit.engine.model import DescribesPatchesAndText as DescribesPatchesAndText
    from ovsskit.engine.model import EncodesImage as EncodesImage
    from ovsskit.engine.model import EncodesImageAndText as EncodesImageAndText
    from ovsskit.engine.model import EncodesPatches as EncodesPatches
    from ovsskit.engine.model import EncodesRegions as EncodesRegions
    from ovsskit.engine.model import EncodesText as EncodesText
    from ovsskit.engine.model import EncodesTokens as EncodesTokens
    from ovsskit.engine.model import ExplainsPatches as ExplainsPatches
    from ovsskit.engine.model import FindsForeground as FindsForeground
    from ovsskit.engine.model import GroundsText as GroundsText
    from ovsskit.engine.model import GroundsWords as GroundsWords
    from ovsskit.engine.model import GroupsPatches as GroupsPatches
    from ovsskit.engine.model import GuidesPatches as GuidesPatches
    from ovsskit.engine.model import MatchesText as MatchesText
    from ovsskit.engine.model import PretrainedBackbone as PretrainedBackbone
    from ovsskit.engine.model import ProjectsText as ProjectsText
    from ovsskit.engine.model import SegmentsClasses as SegmentsClasses
    from ovsskit.engine.stage import Batch as Batch
    from ovsskit.engine.stage import Capability as Capability
    from ovsskit.engine.stage import Demand as Demand
    from ovsskit.engine.stage import PathOfRecipe as PathOfRecipe
    from ovsskit.engine.stage import PerClass as PerClass
    from ovsskit.engine.stage import Rerun as Rerun
    from ovsskit.engine.stage import S as S
    from ovsskit.engine.stage import Stage as Stage
    from ovsskit.engine.stage import TakesLayers as TakesLayers
    from ovsskit.engine.stage import Wrapper as Wrapper
    from ovsskit.engine.stage import Wraps as Wraps
    from ovsskit.engine.store import Store as Store
    from ovsskit.engine.values import Attention as Attention
    from ovsskit.engine.values import Captions as Captions
    from ovsskit.engine.values import Confidences as Confidences
    from ovsskit.engine.values import CrossAttention as CrossAttention
    from ovsskit.engine.values import Explanation as Explanation
    from ovsskit.engine.values import Features as Features
    from ovsskit.engine.values import ForegroundMap as ForegroundMap
    from ovsskit.engine.values import Gathered as Gathered
    from ovsskit.engine.values import Groups as Groups
    from ovsskit.engine.values import GuideFeatures as GuideFeatures
    from ovsskit.engine.values import Hidden as Hidden
    from ovsskit.engine.values import Image as Image
    from ovsskit.engine.values import Labels as Labels
    from ovsskit.engine.values import Logits as Logits
    from ovsskit.engine.values import Nodes as Nodes
    from ovsskit.engine.values import PatchAffinity as PatchAffinity
    from ovsskit.engine.values import PatchAttention as PatchAttention
    from ovsskit.engine.values import PatchFeatures as PatchFeatures
    from ovsskit.engine.values import PatchSimilarity as PatchSimilarity
    from ovsskit.engine.values import PatchWeights as PatchWeights
    from ovsskit.engine.values import Present as Present
    from ovsskit.engine.values import Probabilities as Probabilities
    from ovsskit.engine.values import Prototypes as Prototypes
    from ovsskit.engine.values import Reward as Reward
    from ovsskit.engine.values import Saliency as Saliency
    from ovsskit.engine.values import Scores as Scores
    from ovsskit.engine.values import Similarity as Similarity
    from ovsskit.engine.values import Spatial as Spatial
    from ovsskit.engine.values import TextFeatures as TextFeatures
    from ovsskit.engine.values import TokenMaps as TokenMaps
    from ovsskit.engine.values import Value as Value
    from ovsskit.engine.values import Vocabulary as Vocabulary
    from ovsskit.engine.values import Window as Window
    from ovsskit.engine.values import WordMasks as WordMasks
    from ovsskit.engine.values import WordTokens as WordTokens
    from ovsskit.errors import OvsskitError as OvsskitError
    from ovsskit.eval.in_python import run_eval as run_eval
    from ovsskit.export.in_python import run_export as run_export
    from ovsskit.fit.in_python import run_fit as run_fit
    from ovsskit.reproduce.in_python import run_reproduce as run_reproduce
    from ovsskit.run.in_python import run_images as run_images
    from ovsskit.run.pipeline import Pipeline as Pipeline
    from ovsskit.run.pipeline import Result as Result
    from ovsskit.run.pipeline import load as load
    from ovsskit.study.in_python import run_study as run_study

_HOMES = {
    "compare.in_python": "run_compare",
    "distil.in_python": "run_distil",
    "engine.model": (
        "Backbone CrossAttends DecodesPatches DescribesPatches DescribesPatchesAndText "
        "EncodesImage EncodesImageAndText EncodesPatches EncodesRegions EncodesText EncodesTokens "
        "ExplainsPatches FindsForeground GroundsText GroundsWords GroupsPatches "
        "GuidesPatches MatchesText PretrainedBackbone ProjectsText SegmentsClasses"
    ),
    "engine.stage": (
        "Batch Capability Demand PathOfRecipe PerClass Rerun S Stage TakesLayers Wrapper Wraps"
    ),
    "engine.store": "Store",
    "engine.values": (
        "Attention Captions Confidences CrossAttention Explanation Features ForegroundMap "
        "Gathered Groups GuideFeatures Hidden Image Labels Logits Nodes PatchAffinity "
        "PatchAttention PatchFeatures PatchSimilarity PatchWeights Present Probabilities "
        "Prototypes Reward Saliency Scores Similarity Spatial TextFeatures TokenMaps Value "
        "Vocabulary Window WordMasks WordTokens"
    ),
    "errors": "OvsskitError",
    "eval.in_python": "run_eval",
    "export.in_python": "run_export",
    "fit.in_python": "run_fit",
    "reproduce.in_python": "run_reproduce",
    "run.in_python": "run_images",
    "run.pipeline": "Pipeline Result load",
    "study.in_python": "run_study",
}
_HOME_OF = {name: f"ovsskit.{module}" for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for: the import stays instant."""
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'ovsskit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, and none of the package's rooms."""
    return [*__all__, "__version__"]
