"""Change the words of a recipe: others for classes, more of them, and distractors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovsskit.engine.objections import check_inputs
from ovsskit.engine.plan import Plan
from ovsskit.engine.stage import Stage, Wrapper, per_class
from ovsskit.errors import OvsskitError
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.words.candidates import Candidates

REPLACED = 3
"""How many other words of a class are tried in its name's place, each in a run of its own."""
ONE_WORD = (
    "The recipe reads one word for each class: it does not have exactly one stage `encode_text`."
)
NO_OTHER_WORD = (
    "No class has another word. Give some: after its name in --classes-file, or by --synonyms."
)
NO_DISTRACTOR = "No distractor is left that the model knows and that no class means."


@dataclass(frozen=True)
class Variants:
    """Hold a recipe as it is and with other words, and by topic why a variant is missing.

    `replaced` has another word in place of each class's name, where the class has one (topic
    `synonyms`). `together` has all words of a class side by side (`words`), and is `plain` itself
    where that has them. `distracted` has distractors (`distractors`): as words for the background
    where the recipe reads such, else as classes after the others.
    """

    plain: Plan
    replaced: tuple[Plan, ...]
    together: Plan | None
    distracted: Plan | None
    distractors: tuple[str, ...]
    untold: Mapping[str, str]

    @property
    def plans(self) -> list[Plan]:
        """Return what is to run, each once."""
        plans = [self.plain, *self.replaced, self.together, self.distracted]
        return [*{id(plan): plan for plan in plans if plan is not None}.values()]

    @property
    def as_classes(self) -> bool:
        """Say whether distractors are classes after the others, not words for the background."""
        return text_stage(self.plain.stages) is None


def text_stage(stages: Sequence[Stage]) -> EncodeText | None:
    """Return the one stage that makes vectors of words, or None."""
    found = [stage for stage in stages if isinstance(stage, EncodeText)]
    return found[0] if len(found) == 1 else None


def make_variants(plan: Plan, candidates: Candidates, images: Sequence[Path]) -> Variants:
    """Return a plan with other words, where its models and stages take them.

    Raises:
        BadClasses: a model that compares with texts cannot read a synonym, or cannot tell it from
            another class's word.
    """
    stage, names = text_stage(plan.stages), plan.vocabulary.names
    own = plan.vocabulary.synonyms or ((),) * len(names)
    words = [(*mine, *more) for mine, more in zip(own, candidates.synonyms, strict=True)]
    untold, together = dict[str, str](), None
    if stage is None:
        untold["words"] = ONE_WORD
    elif not any(words):
        untold["words"] = NO_OTHER_WORD
    elif stage.words == "first":
        untold["words"] = f'`{stage.address}` reads names alone: its `words` is "first".'
    else:
        vocabulary = replace(plan.vocabulary, synonyms=tuple(words))
        together = replace(plan, vocabulary=vocabulary) if any(candidates.synonyms) else plan
        _check(together, images)
    replaced = []
    for rank in range(REPLACED):
        ranked = zip(names, words, strict=True)
        if chosen := {name: mine[rank] for name, mine in ranked if len(mine) > rank}:
            replaced.append(_stand_for(plan, stage, chosen) if stage else _rename(plan, chosen))
    untold |= {} if replaced else {"synonyms": NO_OTHER_WORD}
    distractors = candidates.distractors
    distracted = [_distract(plan, distractors, behind=stage is not None)] if distractors else []
    untold |= {} if distracted else {"distractors": NO_DISTRACTOR}
    untold |= _unless_taken(replaced, "synonyms", images)
    untold |= _unless_taken(distracted, "distractors", images)
    return Variants(
        plan, tuple(replaced), together, distracted[0] if distracted else None, distractors, untold
    )


def _unless_taken(plans: list[Plan], topic: str, images: Sequence[Path]) -> dict[str, str]:
    """Return under a topic why models or stages refuse one of some plans, and drop them all."""
    try:
        for plan in plans:
            _check(plan, images)
    except OvsskitError as error:
        plans.clear()
        return {topic: error.reason}
    return {}


def _check(plan: Plan, images: Sequence[Path]) -> None:
    for model in plan.used.values():
        model.check_vocabulary(plan.vocabulary)
    check_inputs(plan.stages, plan.vocabulary, images)


def _stand_for(plan: Plan, stage: EncodeText, words: Mapping[str, str]) -> Plan:
    """Return the plan with one word in place of all of a class."""
    changed = stage.model_copy(update={"word_of": {**stage.word_of, **words}})
    return replace(plan, stages=tuple(changed if one is stage else one for one in plan.stages))


def _rename(plan: Plan, words: Mapping[str, str]) -> Plan:
    """Return the plan with other names for classes, also where stages have values for them."""
    names = tuple(words.get(name, name) for name in plan.vocabulary.names)
    vocabulary = replace(plan.vocabulary, names=names, synonyms=())
    return replace(plan, vocabulary=vocabulary, stages=_rename_in(plan.stages, words))


def _rename_in(stages: Sequence[Stage], words: Mapping[str, str]) -> tuple[Stage, ...]:
    renamed = []
    for stage in stages:
        update: dict[str, Any] = {
            field: {words.get(name, name): value for name, value in getattr(stage, field).items()}
            for field in per_class(type(stage))
        }
        if isinstance(stage, Wrapper):
            update["inner"] = _rename_in(stage.inner, words)
        renamed.append(stage.model_copy(update=update))
    return tuple(renamed)


def _distract(plan: Plan, words: Sequence[str], *, behind: bool) -> Plan:
    """Return the plan with distractors, for the background or as classes after the others."""
    own, count = plan.vocabulary, len(words)
    if behind:
        vocabulary = replace(own, background_words=(*own.background_words, *words))
        return replace(plan, vocabulary=vocabulary)
    first = max(own.ids) + 1
    vocabulary = replace(
        own,
        names=(*own.names, *words),
        ids=(*own.ids, *range(first, first + count)),
        colours=(*own.colours, *[own.colours[0]] * count),
        synonyms=(*own.synonyms, *[()] * count) if own.synonyms else (),
    )
    return replace(plan, vocabulary=vocabulary)
