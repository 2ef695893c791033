"""Name an image's classes in a sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import CrossAttends
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Caption, Captions, Present, Span, Vocabulary

log = logging.getLogger(__name__)


class WriteCaptions(Stage, writes="captions"):
    """Write the present classes after a prompt, joined by blanks, into one caption.

    Classes beyond what the text encoder reads go into further captions of the same form.
    Source: PnP-OVSS, released code ("A picture of dog aeroplane").

    Example:
        [[stage]]
        use = "write_captions"
        prompt = "A photo of "
    """

    prompt: Annotated[str, Field(description="words before the names of the classes")] = (
        "A picture of "
    )

    def run(self, vocabulary: Vocabulary, present: Present, backbone: CrossAttends) -> Captions:
        """Return the captions, and where in them each class is named."""
        names = [vocabulary.names[label - 1] for label in present.labels]
        groups = list(self._groups(names, backbone))
        if len(groups) > 1:
            _warn(len(names), len(groups))
        return Captions(tuple(self._write(group, names) for group in groups))

    def _groups(self, names: Sequence[str], backbone: CrossAttends) -> Iterator[list[int]]:
        """Split positions into runs that fit; the tokens of names that blanks separate add up."""
        special = backbone.count_tokens("")
        start = backbone.count_tokens(self.prompt)
        group: list[int] = []
        total = start
        for position, name in enumerate(names):
            tokens = backbone.count_tokens(name) - special
            if group and total + tokens > backbone.token_limit:
                yield group
                group, total = [], start
            group.append(position)
            total += tokens
        yield group

    def _write(self, group: Sequence[int], names: Sequence[str]) -> Caption:
        text, spans = self.prompt, []
        for position in group:
            spans.append(Span(position, len(text), len(text) + len(names[position])))
            text += names[position] + " "
        return Caption(text.rstrip(), tuple(spans))


@cache
def _warn(classes: int, captions: int) -> None:
    """Say once that one caption does not hold the classes."""
    log.warning(
        (
            "%d classes do not fit into one caption; they are split into %d, which are matched "
            "one by one"
        ),
        classes,
        captions,
    )
