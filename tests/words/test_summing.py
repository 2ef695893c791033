from __future__ import annotations

from dataclasses import replace

import torch

from ovsskit.engine.plan import Plan
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.words.audit import Audit, Replaced, Share, WordAudit
from ovsskit.words.candidates import Candidates
from ovsskit.words.looking import NONE, Seen
from ovsskit.words.runs import SeenImage
from ovsskit.words.summing import NO_SCORES, NO_WORD_SCORES, Summary
from ovsskit.words.tallies import Tallies
from ovsskit.words.text_space import Pair
from ovsskit.words.variants import Variants

CANDIDATES = Candidates(({"kitten": "a:1"}, {}), ("grass", "sand", "mud"))
HALVES = (Share("background", 0.5), Share("dog", 0.5))
WORDS = make_vocabulary(["cat", "dog"], background_words=["sky"])


def seen(labels: list[int], rivals: list[int] | None, words: list[int] | None) -> Seen:
    return Seen(*(one and torch.tensor([one]) for one in (labels, rivals, words)))  # type: ignore[arg-type]


def summary(image: SeenImage) -> Summary:
    plan: Plan = replace(load_recipe("clearclip_tiny").plan, vocabulary=WORDS)
    together = replace(plan, vocabulary=replace(WORDS, synonyms=(("kitten",), ())))
    variants = Variants(plan, (plan,), together, plan, CANDIDATES.distractors, {})
    tallies = Tallies.of(variants)
    tallies.add(image)
    return Summary(variants, CANDIDATES, tallies)


def audit_of(image: SeenImage) -> Audit:
    return summary(image).audit("some", 1, [Pair("cat", "dog", 0.5, 0.9)], {"pairs": "why"})


def test_shares_are_summed_up() -> None:
    found = audit_of(
        SeenImage(
            seen([1, 1, 1, 1, 2, 2, 0, 0], [2, 2, 2, 0, 1, 1, NONE, 1], None),
            (seen([1, 1, 0, 0, 2, 2, 0, 1], None, None),),
            seen([1, 1, 1, 1, 1, 2, 0, 0], None, [1, 2, 2, 2, 2, 3, 0, NONE]),
            seen([1, 0, 0, 1, 2, 0, 0, 0], None, [NONE, 1, 1, NONE, NONE, 0, 0, NONE]),
        )
    )
    cat, dog = found.classes
    assert (cat.share, cat.images, cat.rival) == (0.5, 1, Share("dog", 0.75))
    assert (dog.share, dog.images, dog.rival) == (0.25, 1, Share("cat", 1.0))
    assert cat.replaced == (Replaced("kitten", 1 - 2 / 5, 3 / 8),)
    assert (dog.replaced, dog.words, dog.distracted) == ((), (), 0.5)
    assert cat.distracted == 0.5
    assert cat.words == (
        WordAudit("cat", "list", 0.2, 1, 0.0, (Share("cat", 1.0),)),
        WordAudit("kitten", "a:1", 0.8, 1, 0.25, (Share("cat", 0.75), Share("dog", 0.25))),
    )
    assert found.changed_by_synonyms == (3 / 8,)
    assert found.changed_by_distractors == 3 / 8
    assert found.distractors == (
        WordAudit(
            "grass", "distractor", 0.25, 1, 0.5, (Share("background", 0.5), Share("dog", 0.5))
        ),
        WordAudit("sand", "distractor", 0.25, 1, 1.0, (Share("cat", 1.0),)),
    )
    assert (found.background, found.runs, found.untold) == (0.25, 2, {"pairs": "why"})
    assert found.reads_background


def test_what_no_run_tells_is_told() -> None:
    plain = seen([1, 2], None, None)
    found = audit_of(SeenImage(plain, (plain,), plain, plain))
    assert found.untold == {"pairs": "why", "rivals": NO_SCORES, "words": NO_WORD_SCORES}
    assert all(one.rival is None and not one.words for one in found.classes)
    assert found.distractors == ()
