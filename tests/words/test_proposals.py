from __future__ import annotations

from dataclasses import replace

from ovsskit.words.audit import Audit, ClassAudit, Replaced, Share, WordAudit
from ovsskit.words.proposals import LEAST_OF_ALL, LEAST_OF_CLASS, propose


def word(text: str, source: str, share: float, taken: float = 1.0) -> WordAudit:
    return WordAudit(text, source, share, 2, taken, (Share("dog", taken),))


CAT = ClassAudit(
    "cat",
    0.2,
    3,
    Share("dog", 0.5),
    (Replaced("kitten", 0.3, 0.1),),
    0.1,
    (
        word("cat", "list", 0.8),
        word("mog", "list", 0.02),
        word("kitten", "a:1", LEAST_OF_CLASS),
        word("tabby", "shipped", LEAST_OF_CLASS - 0.01),
    ),
)
YETI = ClassAudit(
    "yeti", 0.0, 0, None, (Replaced("bear", None, 0.1), Replaced("ape", None, 0.2)), None, ()
)
GHOST = replace(YETI, name="ghost", replaced=(Replaced("fog", None, 0.0),))
AUDIT = Audit(
    "some",
    3,
    4,
    0.5,
    (CAT, YETI, GHOST),
    (),
    (0.1,),
    0.2,
    (
        word("sky", "distractor", 0.5, taken=0.0),
        word("grass", "distractor", 2 * LEAST_OF_ALL, taken=0.5),
        word("sand", "distractor", LEAST_OF_ALL, taken=0.9),
    ),
    True,
    {},
)


def test_what_wins_enough_is_proposed() -> None:
    found = propose(AUDIT)
    assert [one.word for one in found.background] == ["grass"]
    assert {name: [one.word for one in words] for name, words in found.synonyms.items()} == {
        "cat": ["kitten"]
    }
    assert found.instead == {}


def test_where_one_word_is_read_it_may_be_another() -> None:
    found = propose(replace(AUDIT, reads_background=False))
    assert found.background == ()
    assert found.instead == {"yeti": Replaced("ape", None, 0.2)}
