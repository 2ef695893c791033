"""From options to a checked study: every problem is found, with its line, before trial one."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ovsskit.engine.rendering import Reading
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import (
    BadImage,
    BadStudy,
    NoImages,
    all_at_once,
    report,
)
from ovsskit.recipe.vocabulary import replace_classes
from ovsskit.run.options import (
    check_files,
    choose_classes,
    choose_images,
)
from ovsskit.study.spec.dimension import ALL
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.problems import problems_of_sampler
from ovsskit.study.spec.read_search import read_search
from ovsskit.study.spec.search import Search
from ovsskit.study.spec.space import for_classes
from ovsskit.study.spec.tables import (
    StudyTable,
)
from ovsskit.study.spec.truth import Truth, read_truth

log = logging.getLogger(__name__)

MANY = 32
"""Parameters of a space, from its stars, above which a person hears of it."""
FEWEST_IMAGES, ADVISED_IMAGES = 12, 24
"""With fewer images the best of many candidates is the luckiest, and nothing can be proved."""


@dataclass(frozen=True)
class StudyPlan:
    """Hold a checked study: what is searched, and on which images.

    Candidates are searched on the images of the indices `searched`; the others are held back.
    """

    search: Search
    images: tuple[Path, ...]
    searched: tuple[int, ...]
    samples: bool
    vocabulary: Vocabulary
    truth: Truth | None
    reading: Reading
    left_out: tuple[str, ...] = ()

    @property
    def held_back(self) -> tuple[int, ...]:
        """Return the indices of the images that no candidate is searched on."""
        return tuple(sorted({*range(len(self.images))} - {*self.searched}))


def make_plan(options: StudyOptions) -> StudyPlan:
    """Read and check a study, its recipe and its images.

    Raises:
        OvsskitError: anything is wrong; `Problems` hold all that a file alone tells.
    """
    search = read_search(options)
    recipe = search.candidate({})
    check_files(recipe.plan.stages)
    plain = replace(options, images=options.images or search.images)
    chosen = choose_images(plain, recipe)
    named, samples = chosen.images, chosen.samples
    images, left_out = _readable(named, options.reading)
    if search.settings.accept == "proved":
        _see_count(len(images))
    if search.classes and options.classes is None and not options.classes_file:
        vocabulary = replace_classes(search.classes, recipe.plan.vocabulary)
    else:
        vocabulary = choose_classes(plain, recipe, samples)
    search = _for_classes(search, vocabulary)
    truths = [
        read_truth(one, images, samples, vocabulary)
        for one in search.objectives
        if one.metric == "miou"
    ]
    return StudyPlan(
        search,
        tuple(images),
        searched_of(len(images), search.settings),
        samples,
        vocabulary,
        truths[0] if truths else None,
        options.reading,
        left_out,
    )


def _for_classes(search: Search, vocabulary: Vocabulary) -> Search:
    """Return the search with a dimension for each class where its space has a star.

    Raises:
        OvsskitError: a class of the space is not looked for, or the sampler cannot search so many.
    """
    space = for_classes(search.space, vocabulary, search.fixed)
    found = replace(search, space=space)
    where = next((one.place for one in search.space if one.of_class == ALL), None)
    if where is not None:
        with all_at_once():
            report(*problems_of_sampler(found, where))
        if len(space) > MANY:
            text = "%s: the space has %d parameters, many more than a study searches well"
            log.warning(text, where, len(space))
    return found


def _see_count(images: int) -> None:
    """Refuse too few images, and note few.

    Raises:
        BadStudy: nothing could be proved with so few.
    """
    if images < FEWEST_IMAGES:
        what = f"The study has {images} images; with fewer than {FEWEST_IMAGES} it proves nothing."
        fix = (
            f"Give {ADVISED_IMAGES} or more; they need no masks. Or take the best trial unproved: "
            '--accept best, or accept = "best".'
        )
        raise BadStudy(what, fix=fix)
    if images < ADVISED_IMAGES:
        text = "%d images are few for choosing settings: %d or more are advised"
        log.warning(text, images, ADVISED_IMAGES)


def searched_of(images: int, settings: StudyTable) -> tuple[int, ...]:
    """Return the indices of the images to search on; the seed chooses those that are held back.

    None are where nothing has to be proved.
    """
    order = list(range(images))
    if settings.accept == "best":
        return tuple(order)
    random.Random(f"{settings.seed} held back").shuffle(order)
    return tuple(sorted(order[min(round(settings.hold_back * images), images - 1) :]))


def _readable(named: Sequence[Path], reading: Reading) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images that can be read, and why the others, which must stop no study, cannot.

    Raises:
        NoImages: none can be read.
    """
    from ovsskit.engine.images import allow_pixels, read_image

    allow_pixels(reading.max_pixels)
    images, left_out = [], []
    for path in named:
        try:
            read_image(path, reading)
        except BadImage as error:
            left_out.append(f"{path} is left out: {error.what}")
        else:
            images.append(path)
    for reason in left_out:
        log.warning("%s", reason)
    if not images:
        raise NoImages("No image can be read.", there="\n  ".join(left_out[:5]))
    return images, tuple(left_out)
