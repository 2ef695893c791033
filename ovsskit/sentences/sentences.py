"""One `ovsskit sentences`: find all that is wrong, try every sentence alone, write the surest.

Source: Benigmim, Fahes, Vu, Bursuc, de Charette 2025, FLOSS, arXiv 2504.10487. There the chosen
sentences of a class stand in all classes' texts, and the predictions of these classifiers are
fused; here each class's vector is the mean over its own sentences, in one classifier.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, runtime_checkable

from ovsskit.engine.devices import choose_batch, choose_device
from ovsskit.engine.images import allow_pixels
from ovsskit.engine.notices import TakesNotice, hearing
from ovsskit.engine.objections import check_inputs
from ovsskit.engine.plan import Plan
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image
from ovsskit.errors import (
    BadValue,
    NothingFound,
    Place,
    UnfilledSlot,
    first_of,
)
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.names import safe_name
from ovsskit.files.writing import make_folder, see_free, write_text
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.run.options import ImageOptions, check_files, choose_classes, choose_images
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.reading import read_each
from ovsskit.sentences.recipe import Choice, recipe_text
from ovsskit.sentences.sureness import Sureness
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.texts.templates import sentences

BEST = 4
"""How many sentences a class gets, as in FLOSS."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SentencesOptions(ImageOptions):
    """Hold what a person asked of `ovsskit sentences`."""

    best: int = BEST
    force: bool = False


@runtime_checkable
class SentencesCallbacks(TakesNotice, Protocol):
    """Hear how a choice of sentences goes."""

    def begin(self, total: int) -> None:
        """Receive how often the recipe will run: every image with every sentence."""

    def tell(self) -> None:
        """Receive that a sentence was tried on an image."""

    def end(self, path: Path, choice: Choice) -> None:
        """Receive the recipe that was written, and what is chosen."""


def choose_sentences(options: SentencesOptions, callbacks: SentencesCallbacks) -> Path:
    """Choose each class's sentences by unlabelled images, and return the recipe that has them.

    Raises:
        OvsskitError: something is wrong with the recipe, classes, images, output, device or
            weights, or no class is found in any image.
    """
    adopt_warnings()
    with hearing(callbacks):
        return _choose(options, callbacks)


def _choose(options: SentencesOptions, callbacks: SentencesCallbacks) -> Path:
    recipe = load_recipe(options.recipe, options.overrides)
    path = options.out or Path(safe_name(recipe.title, "-sentences.toml"))
    see_free(path, force=options.force)
    stage, first = _text_stage(recipe), _until_probabilities(recipe)
    tried = _tried(stage, recipe)
    check_files(first.stages)
    chosen = choose_images(options, recipe)
    images, samples = chosen.images, chosen.samples
    vocabulary = choose_classes(options, recipe, samples)
    plan = replace(first, vocabulary=vocabulary)
    allow_pixels(options.reading.max_pixels)
    device = choose_device(options.device)
    batch = choose_batch(options.batch, device)
    for model in plan.used.values():
        model.check_vocabulary(vocabulary)
    check_inputs(plan.stages, vocabulary, images)
    make_folder(path.parent)
    plan = plan.on(device)  # once, so that all sentences share the models
    pipelines = [
        Pipeline(_with_sentence(plan, stage, one), device=device, batch=batch) for one in tried
    ]
    sureness = Sureness(len(tried), len(vocabulary.labels))
    callbacks.begin(len(images) * len(tried))
    seen = 0
    for image in read_each(images, options.reading):
        _look(image, pipelines, sureness, callbacks)
        seen += 1
    experts = {
        name: sureness.experts(label, options.best)
        for label, name in enumerate(vocabulary.names, 1)
    }
    choice = Choice(tried, experts, seen, stage.address)
    if not any(experts.values()):
        fix = "Look for classes that the images show."
        raise NothingFound("No sentence finds any class in any image.", fix=fix)
    if choice.without:
        names = first_of(list(choice.without), most=5)
        log.warning("no sentence finds %s in any image: they keep their sentences", names)
    write_text(path, recipe_text(recipe, vocabulary, options.overrides, choice, path.parent))
    callbacks.end(path, choice)
    return path


def _look(
    image: Image,
    pipelines: Sequence[Pipeline],
    sureness: Sureness,
    callbacks: SentencesCallbacks,
) -> None:
    """Run every sentence on an image; what networks make of it is kept until all have run."""
    with TemporaryDirectory(prefix="ovsskit-sentences-") as folder:
        store = Store(Path(folder))
        for index, pipeline in enumerate(pipelines):
            pipeline.store = store
            [state] = pipeline.run_many([image], pipeline.plan.vocabulary)
            sureness.add(index, state["scores"])
            callbacks.tell()


def _text_stage(recipe: Recipe) -> EncodeText:
    """Return the stage whose sentences are chosen."""
    found = [stage for stage in recipe.plan.stages if isinstance(stage, EncodeText)]
    if len(found) != 1:
        what = "`sentences` chooses the sentences of a recipe's one `encode_text`, "
        what += f"but this recipe has {len(found) or 'none'}."
        there = f"Its stages: {', '.join(stage.address for stage in recipe.plan.stages)}"
        raise UnfilledSlot(what, there=there, where=Place(str(recipe.path)))
    return found[0]


def _until_probabilities(recipe: Recipe) -> Plan:
    """Return the recipe up to where it has probabilities: what comes later is not asked."""
    for count, link in enumerate(recipe.plan.links, 1):
        if link.writes == ("scores", "Probabilities"):
            return replace(recipe.plan, stages=recipe.plan.stages[:count])
    what = "No stage writes probabilities as `scores`, so nothing shows how sure the recipe is."
    fix = 'After the comparison with texts, add a stage that does: use = "softmax".'
    raise UnfilledSlot(what, fix=fix, where=Place(str(recipe.path)))


def _tried(stage: EncodeText, recipe: Recipe) -> tuple[str, ...]:
    """Return the sentences to choose from: the different ones that the recipe has for all."""
    found = tuple(dict.fromkeys(sentences(stage.templates, stage.templates_file)))
    if len(found) == 1:
        what = f"`{stage.address}` has one sentence, and nothing to choose from."
        fix = f"Give more: --set {stage.address}.templates=imagenet_80"
        raise BadValue(what, fix=fix, where=Place(str(recipe.path)))
    return found


def _with_sentence(plan: Plan, stage: EncodeText, sentence: str) -> Plan:
    """Return the plan with one sentence for all classes."""
    alone = {"templates": (sentence,), "templates_file": "", "sentences_of": {}}
    changed = stage.model_copy(update=alone)
    stages = tuple(changed if one is stage else one for one in plan.stages)
    return replace(plan, stages=stages)
