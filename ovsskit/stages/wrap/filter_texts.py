"""Drop texts that the image does not show, and look again with those that are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit.engine.stage import S, Wrapper, Wraps
from ovsskit.engine.values import NEGATIVE, Explanation, Present


class FilterTexts(Wrapper, writes="scores", sees={"present": Present}):
    """Run the inner chain with fewer classes each round, until it keeps all that it is given.

    The inner chain finds maps of the classes that are present, and says which of these the image
    shows; in the next round only they take part, so that the others compete no more. The first text
    of each class is its wording in the first round, the second in the next, and the last in all
    rounds after it. A round that would be the same as the one before is not run. Maps are those of
    the last round.
    Texts are explained once and for all before (`explain_queries`), so that a round costs no more
    than its maps and what asks whether classes are there.
    Source: Sun et al. 2024, CLIP as RNN (CaR), released code, whose first round has the bare names,
    and all others a sentence with each.

    Example:
        [[stage]]
        use = "filter_texts"
          [[stage.inner]]
          use = "channel_cam"
          [[stage.inner]]
          use = "presence_by_similarity"
    """

    waits: ClassVar[str] = "whether a round leaves nothing decides what is asked next"
    neutral: ClassVar[dict[str, Any]] = {"rounds": 1}

    rounds: Annotated[
        int, Field(ge=0, description="greatest number of rounds; 0: until no class is dropped")
    ] = 0
    blank: Annotated[
        Literal["keep", "previous", "released"],
        Field(
            description=(
                "where all maps of a round are zero: they are kept, or those of the round before "
                "are; `released`: these, as if they were in order those of the classes left"
            )
        ),
    ] = "previous"

    def run(self, present: Present, explanation: Explanation) -> Wraps[S]:
        """Return the maps of the last round."""
        texts, found = present.labels, None
        rows = wording(explanation.labels, texts, 0)
        for number in count(1):
            asked = {"present": Present(texts), "explanation": explanation.pick(rows)}
            [out] = yield [asked]
            maps: S = out["scores"]
            if found is not None and not maps.data.any():
                maps = self._instead(maps, found, texts)
            found = maps
            texts = tuple(label for label in texts if label in out["present"].labels)
            following = wording(explanation.labels, texts, number)
            if number == self.rounds or following == rows:
                break
            rows = following
        return maps

    def _instead(self, maps: S, before: S, labels: tuple[int, ...]) -> S:
        """Return what is taken for maps that are all zero."""
        if self.blank == "keep":
            return maps
        if self.blank == "released":
            beyond = (0,) * (len(before.labels) - len(labels))
            return replace(before, labels=labels + beyond)
        rows = [before.labels.index(label) for label in labels]
        return replace(before, data=before.data[rows], labels=labels)


def wording(labels: Sequence[int], wanted: Sequence[int], number: int) -> list[int]:
    """Return the rows of a round's texts (from 0): one for each wanted class, and all negatives."""
    texts = [[row for row, label in enumerate(labels) if label == one] for one in wanted]
    against = [row for row, label in enumerate(labels) if label == NEGATIVE]
    return [rows[min(number, len(rows) - 1)] for rows in texts] + against
