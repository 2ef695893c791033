"""Contract tests for stages, wrappers and backbones: ours, and those of people who write their own.

from ovsskit.testing import check_stage

def test_sharpen():
    check_stage(Sharpen())
"""

from ovsskit.testing.checks import (
    check_backbone,
    check_stage,
    check_value,
    check_wrapper,
    fingerprint,
)
from ovsskit.testing.examples import example
from ovsskit.testing.toys import ToyBackbone, ToyLabels, ToyPresent, ToyScores, ToyTokenMaps

__all__ = [
    "ToyBackbone",
    "ToyLabels",
    "ToyPresent",
    "ToyScores",
    "ToyTokenMaps",
    "check_backbone",
    "check_stage",
    "check_value",
    "check_wrapper",
    "example",
    "fingerprint",
]
