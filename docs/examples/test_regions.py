"""Test a value, a capability, a model and stages of one's own: pytest test_regions.py."""

from regions import AverageRegions, FindRegions, Tones

from ovsskit.testing import check_backbone, check_stage


def test_regions_keep_the_contract() -> None:
    """Run the contract of backbones and of stages."""
    check_backbone(Tones())
    check_stage(FindRegions())
    check_stage(AverageRegions())
