"""Look for things and for stuff apart, and lay the things over the stuff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.objections import check_names
from ovsskit.engine.stage import Wrapper, Wraps
from ovsskit.engine.values import Labels, Vocabulary
from ovsskit.errors import Place


class ThingsOverStuff(Wrapper, writes="labels"):
    """Run the inner chain for the things, then for the stuff, and lay the things over the stuff.

    Things are classes of a shape, such as a dog, and stuff those without, such as grass. Each run
    looks for its own classes alone, things among the negatives of the vocabulary. In the run for
    the stuff the things are the negatives, so that they compete and are never an answer.
    Source: Sun et al. 2024, CLIP as RNN (CaR), released code, for Context and ADE20K.

    Example:
        [[stage]]
        use = "things_over_stuff"
        stuff = ["grass", "sky"]
          [[stage.inner]]
          use = "label_map"
    """

    neutral: ClassVar[dict[str, Any]] = {"stuff": ()}

    stuff: Annotated[
        tuple[str, ...], Field(description="the classes that are stuff; all others are things")
    ] = ()
    words: Annotated[
        Literal["first", "joined"],
        Field(description="what of a thing is a negative: its name, or all its words in one text"),
    ] = "first"

    def run(self, vocabulary: Vocabulary) -> Wraps[Labels]:
        """Return the labels of the things, and where there is none, those of the stuff."""
        labels = range(1, len(vocabulary.names) + 1)
        behind = [label for label in labels if vocabulary.labels[label] in self.stuff]
        front = [label for label in labels if label not in behind]
        if not behind or not front:
            [out] = yield [{}]
            alone: Labels = out["labels"]
            return alone
        things, stuff = vocabulary.pick(front), vocabulary.pick(behind)
        against = things.names if self.words == "first" else things.joined
        stuff = replace(stuff, negatives=against)
        over, under = yield [{"vocabulary": things}, {"vocabulary": stuff}]
        ids = over["labels"].ids
        return Labels(torch.where(ids == 0, under["labels"].ids, ids))

    def check_inputs(self, vocabulary: Vocabulary, images: Sequence[Path]) -> None:
        """Refuse stuff that is no class.

        Raises:
            BadClasses: it is none.
        """
        check_names(self.stuff, vocabulary, Place(f"{self.address}.stuff"))
