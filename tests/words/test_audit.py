from __future__ import annotations

from ovsskit.words.audit import Audit, ClassAudit, percent


def test_classes_that_never_win_are_named() -> None:
    classes = tuple(ClassAudit(name, 0.1, count, None, (), None, ()) for name, count in COUNTS)
    audit = Audit("some", 3, 1, 0.0, classes, (), (), None, (), True, {})
    assert audit.winless == ("yeti", "ghost")


COUNTS = (("yeti", 0), ("cat", 2), ("ghost", 0))


def test_shares_are_short() -> None:
    shares = (0.0, 0.0004, 0.001, 0.0526, 0.0999, 0.4567, 1.0)
    assert [percent(share) for share in shares] == [
        "0 %",
        "<0.1 %",
        "0.1 %",
        "5.3 %",
        "10.0 %",
        "46 %",
        "100 %",
    ]
