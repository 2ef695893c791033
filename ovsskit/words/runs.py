"""Run a recipe with all its variants of words on an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ovsskit._lazy import torch
from ovsskit.engine.plan import Plan
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image
from ovsskit.run.pipeline import Pipeline
from ovsskit.words.looking import NONE, Seen, look
from ovsskit.words.variants import Variants


@dataclass(frozen=True)
class SeenImage:
    """Hold what the runs of all variants found in an image; see `Variants`.

    The words of `distracted` are distractors, by their places among these.
    """

    plain: Seen
    replaced: tuple[Seen, ...]
    together: Seen | None
    distracted: Seen | None


class Runs:
    """Run the variants of a recipe; what networks make of an image is kept until all have run."""

    def __init__(
        self, variants: Variants, device: str, batch: int, tell: Callable[[], None]
    ) -> None:
        """Prepare them; `tell` is called after each run."""
        self.variants, self._tell = variants, tell
        plans = {id(plan): plan for plan in variants.plans}
        self._pipelines = {
            key: Pipeline(plan, device=device, batch=batch) for key, plan in plans.items()
        }

    def see(self, image: Image) -> SeenImage:
        """Return what all runs find in an image."""
        found: dict[int, Seen] = {}
        with TemporaryDirectory(prefix="ovsskit-words-") as folder:
            store = Store(Path(folder))
            for key, pipeline in self._pipelines.items():
                pipeline.store = store
                found[key] = look(pipeline, image)
                self._tell()
        variants = self.variants

        def seen(plan: Plan | None) -> Seen | None:
            return None if plan is None else found[id(plan)]

        distracted = seen(variants.distracted)
        return SeenImage(
            found[id(variants.plain)],
            tuple(found[id(plan)] for plan in variants.replaced),
            seen(variants.together),
            distracted and self._by_distractor(distracted),
        )

    def _by_distractor(self, seen: Seen) -> Seen:
        """Return what was seen with the places of winning words among distractors alone."""
        own = self.variants.plain.vocabulary
        first, words = len(own.background_words), seen.words
        if self.variants.as_classes:
            first, words = len(own.labels), seen.labels
        if words is None:
            return seen
        is_one = (words >= first) & (words < first + len(self.variants.distractors))
        return replace(seen, words=torch.where(is_one, words - first, NONE))
