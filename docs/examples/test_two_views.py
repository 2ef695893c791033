"""Test a wrapper of one's own: pytest test_two_views.py, beside two_views.py."""

from __future__ import annotations

from two_views import TwoViews

from ovsskit.testing import check_wrapper


def test_two_views_keeps_the_contract() -> None:
    """Run the contract of wrappers."""
    check_wrapper(TwoViews())
