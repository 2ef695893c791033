"""The nouns: frozen values with named axes. A slot holds one of them for one image.

Kinds are classes: `Saliency`, `Logits`, `Confidences` and `Probabilities` are kinds of `Scores`,
and a stage may ask for one of them.
A *label* counts from the vocabulary: label 0 is the background, label i is the i-th name, and
`NEGATIVE` is that of every word which competes and is never an answer. An *id* is a class's number
in the mask (`Vocabulary.ids`), which the person may choose.
"""

from ovsskit.engine.values.affinity import PatchAffinity as PatchAffinity
from ovsskit.engine.values.affinity import PatchSimilarity as PatchSimilarity
from ovsskit.engine.values.affinity import PatchWeights as PatchWeights
from ovsskit.engine.values.attention import Attention as Attention
from ovsskit.engine.values.captions import Caption as Caption
from ovsskit.engine.values.captions import Captions as Captions
from ovsskit.engine.values.captions import Span as Span
from ovsskit.engine.values.cross_attention import END as END
from ovsskit.engine.values.cross_attention import PADDING as PADDING
from ovsskit.engine.values.cross_attention import PROMPT as PROMPT
from ovsskit.engine.values.cross_attention import CrossAttention as CrossAttention
from ovsskit.engine.values.cross_attention import TokenMaps as TokenMaps
from ovsskit.engine.values.explanation import Explanation as Explanation
from ovsskit.engine.values.features import F as F
from ovsskit.engine.values.features import Features as Features
from ovsskit.engine.values.features import Gathered as Gathered
from ovsskit.engine.values.features import GuideFeatures as GuideFeatures
from ovsskit.engine.values.features import PatchFeatures as PatchFeatures
from ovsskit.engine.values.foreground_map import ForegroundMap as ForegroundMap
from ovsskit.engine.values.groups import Groups as Groups
from ovsskit.engine.values.hidden import Hidden as Hidden
from ovsskit.engine.values.image import Image as Image
from ovsskit.engine.values.labels import Labels as Labels
from ovsskit.engine.values.masks import Masks as Masks
from ovsskit.engine.values.nodes import Nodes as Nodes
from ovsskit.engine.values.nodes import Tile as Tile
from ovsskit.engine.values.patch_attention import PatchAttention as PatchAttention
from ovsskit.engine.values.present import Present as Present
from ovsskit.engine.values.prototypes import Prototypes as Prototypes
from ovsskit.engine.values.region_features import RegionFeatures as RegionFeatures
from ovsskit.engine.values.regions import Regions as Regions
from ovsskit.engine.values.regions import Uncovered as Uncovered
from ovsskit.engine.values.reward import Reward as Reward
from ovsskit.engine.values.scores import Confidences as Confidences
from ovsskit.engine.values.scores import Logits as Logits
from ovsskit.engine.values.scores import Probabilities as Probabilities
from ovsskit.engine.values.scores import S as S
from ovsskit.engine.values.scores import Saliency as Saliency
from ovsskit.engine.values.scores import Scores as Scores
from ovsskit.engine.values.similarity import Similarity as Similarity
from ovsskit.engine.values.spatial import Spatial as Spatial
from ovsskit.engine.values.spatial import Window as Window
from ovsskit.engine.values.text_features import TextFeatures as TextFeatures
from ovsskit.engine.values.value import V as V
from ovsskit.engine.values.value import Value as Value
from ovsskit.engine.values.vocabulary import NEGATIVE as NEGATIVE
from ovsskit.engine.values.vocabulary import Vocabulary as Vocabulary
from ovsskit.engine.values.word_masks import WordMasks as WordMasks
from ovsskit.engine.values.word_tokens import WordTokens as WordTokens
