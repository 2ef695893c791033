"""One `ovsskit words`: find all that is wrong, run a recipe with other words, write a proposal."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ovsskit.engine.devices import choose_batch, choose_device
from ovsskit.engine.images import allow_pixels
from ovsskit.engine.notices import TakesNotice, hearing
from ovsskit.engine.objections import check_inputs
from ovsskit.engine.plan import Plan
from ovsskit.engine.values import Image
from ovsskit.errors import NoImages, OvsskitError
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.names import safe_name
from ovsskit.files.writing import make_folder, see_free, write_text
from ovsskit.recipe.build import load_recipe
from ovsskit.run.options import (
    ImageOptions,
    check_files,
    check_outcome,
    choose_classes,
    choose_images,
)
from ovsskit.run.reading import read_each
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.words.audit import Audit
from ovsskit.words.candidates import Candidates, gather, keep_apart
from ovsskit.words.classes_file import classes_text
from ovsskit.words.proposals import Proposals, propose
from ovsskit.words.runs import Runs
from ovsskit.words.summing import Summary
from ovsskit.words.synonyms import read_synonyms
from ovsskit.words.tallies import Tallies
from ovsskit.words.text_space import FEWEST, Pair, TextSpace
from ovsskit.words.variants import make_variants, text_stage

NO_VECTORS = (
    "The recipe has no word vectors to compare: it does not have exactly one stage `encode_text`."
)
TOO_FEW = f"Fewer than {FEWEST} words, distractors included, have no mean to compare with."

PAIRS = 20
"""How many pairs of words are told of that are no near-duplicates."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WordsOptions(ImageOptions):
    """Hold what a person asked of `ovsskit words`."""

    synonyms: tuple[Path, ...] = ()
    distractors: Path | None = None
    force: bool = False


@runtime_checkable
class WordsCallbacks(TakesNotice, Protocol):
    """Hear how an audit of words goes."""

    def begin(self, images: int, runs: int) -> None:
        """Receive how many images there are, and how often the recipe will run on each."""

    def tell(self) -> None:
        """Receive that the recipe ran once on an image."""

    def end(self, path: Path, audit: Audit, proposals: Proposals) -> None:
        """Receive the file that was written, what was found, and what is proposed."""


def audit_words(options: WordsOptions, callbacks: WordsCallbacks) -> Audit:
    """Audit a recipe's words by unlabelled images, and write a file of classes for review.

    Raises:
        OvsskitError: something is wrong with the recipe, classes, synonyms, images, output, device
            or weights.
    """
    adopt_warnings()
    with hearing(callbacks):
        return _audit(options, callbacks)


def _audit(options: WordsOptions, callbacks: WordsCallbacks) -> Audit:
    recipe = load_recipe(options.recipe, options.overrides)
    path = options.out or Path(safe_name(recipe.title, "-words.txt"))
    see_free(path, force=options.force)
    check_outcome(recipe)
    check_files(recipe.plan.stages)
    chosen = choose_images(options, recipe)
    images, samples = chosen.images, chosen.samples
    vocabulary = choose_classes(options, recipe, samples)
    given = read_synonyms(options.synonyms, vocabulary)
    allow_pixels(options.reading.max_pixels)
    device = choose_device(options.device)
    batch = choose_batch(options.batch, device)
    plan = replace(recipe.plan, vocabulary=vocabulary).on(device)  # once: all runs share models
    models = list(plan.used.values())
    for model in models:
        model.check_vocabulary(vocabulary)
    check_inputs(plan.stages, vocabulary, images)
    make_folder(path.parent)
    candidates = gather(vocabulary, given, options.distractors, models)
    pairs, untold = list[Pair](), dict[str, str]()
    stage = text_stage(plan.stages)
    if stage is None:
        untold["pairs"] = NO_VECTORS
    elif (space := _compare(plan, stage, candidates)) is None:
        untold["pairs"] = TOO_FEW
    else:
        pairs = space.pairs({word for label, word in vocabulary.queries if label})
        pairs = [pair for place, pair in enumerate(pairs) if pair.is_near or place < PAIRS]
        candidates = keep_apart(candidates, space, vocabulary)
    variants = make_variants(plan, candidates, images)
    callbacks.begin(len(images), len(variants.plans))
    runs, tallies = Runs(variants, device, batch, callbacks.tell), Tallies.of(variants)
    seen = _run(runs, tallies, read_each(images, options.reading))
    audit = Summary(variants, candidates, tallies).audit(options.recipe, seen, pairs, untold)
    proposals = propose(audit)
    own = recipe.plan.vocabulary.background_words
    behind = [word for word in vocabulary.background_words if word not in own]
    if vocabulary.ids != tuple(range(len(vocabulary.ids))):
        log.warning("a class file counts classes from 1: the recipe's ids are not in it")
    write_text(path, classes_text(audit, proposals, vocabulary, behind))
    callbacks.end(path, audit, proposals)
    return audit


def _run(runs: Runs, tallies: Tallies, images: Iterable[Image]) -> int:
    """Add up what is found in images, and return in how many; one that fails is left out."""
    seen = 0
    for image in images:
        try:
            found = runs.see(image)
        except OvsskitError as error:
            if error.status != 1:
                raise
            log.warning("%s is left out: %s", image.name, error.reason)
        else:
            tallies.add(found)
            seen += 1
    if not seen:
        raise NoImages("The recipe fails on every image.", fix="The notes say why.")
    return seen


def _compare(plan: Plan, stage: EncodeText, candidates: Candidates) -> TextSpace | None:
    """Compare the words of a plan and all candidates in the space of the recipe's text model."""
    own = plan.vocabulary
    synonyms = own.synonyms or ((),) * len(own.names)
    together = replace(
        own,
        synonyms=tuple((*a, *b) for a, b in zip(synonyms, candidates.synonyms, strict=True)),
        background_words=(*own.background_words, *candidates.distractors),
    )
    model: Any = plan.models[plan.models_of[stage.address]["backbone"]]
    return TextSpace.of(together, stage, model)
