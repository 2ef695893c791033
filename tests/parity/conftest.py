from __future__ import annotations

import pytest
from sets import NoCase


@pytest.fixture(autouse=True)
def a_case(request: pytest.FixtureRequest) -> None:
    """End a test that has no case."""
    cases = getattr(request.node, "callspec", None)
    for case in () if cases is None else cases.params.values():
        if isinstance(case, NoCase):
            case.end_test()
