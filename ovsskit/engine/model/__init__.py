"""What a model is: a backbone, and the capabilities by which stages ask for one."""

from ovsskit.engine.model.backbone import Backbone as Backbone
from ovsskit.engine.model.backbone import capabilities as capabilities
from ovsskit.engine.model.cross_attends import CrossAttends as CrossAttends
from ovsskit.engine.model.cross_attends import Objective as Objective
from ovsskit.engine.model.decodes_patches import DecodesPatches as DecodesPatches
from ovsskit.engine.model.describes_patches import DescribesPatches as DescribesPatches
from ovsskit.engine.model.describes_patches_and_text import (
    DescribesPatchesAndText as DescribesPatchesAndText,
)
from ovsskit.engine.model.encodes_image import EncodesImage as EncodesImage
from ovsskit.engine.model.encodes_image_and_text import EncodesImageAndText as EncodesImageAndText
from ovsskit.engine.model.encodes_patches import EncodesPatches as EncodesPatches
from ovsskit.engine.model.encodes_regions import EncodesRegions as EncodesRegions
from ovsskit.engine.model.encodes_text import EncodesText as EncodesText
from ovsskit.engine.model.encodes_tokens import EncodesTokens as EncodesTokens
from ovsskit.engine.model.explains_patches import ExplainsPatches as ExplainsPatches
from ovsskit.engine.model.finds_foreground import FindsForeground as FindsForeground
from ovsskit.engine.model.grounds_text import GroundsText as GroundsText
from ovsskit.engine.model.grounds_words import GroundsWords as GroundsWords
from ovsskit.engine.model.groups_patches import GroupsPatches as GroupsPatches
from ovsskit.engine.model.guides_patches import Facet as Facet
from ovsskit.engine.model.guides_patches import GuidesPatches as GuidesPatches
from ovsskit.engine.model.matches_text import MatchesText as MatchesText
from ovsskit.engine.model.pretrained import PretrainedBackbone as PretrainedBackbone
from ovsskit.engine.model.projects_text import ProjectsText as ProjectsText
from ovsskit.engine.model.proposes_masks import ProposesMasks as ProposesMasks
from ovsskit.engine.model.segments_classes import SegmentsClasses as SegmentsClasses
