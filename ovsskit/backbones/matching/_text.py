"""Turn captions into tokens, and tell which class every token belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovsskit._lazy import Int, torch
from ovsskit.engine.readable import Reading, reading_of
from ovsskit.engine.values import END, PADDING, PROMPT, Caption
from ovsskit.errors import BadClasses

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Tokens:
    """Hold the token ids of a caption and, for each, its class's position, or such as `PROMPT`."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]

    def padded(self, count: int, padding: int = 0) -> Tokens:
        """Return the tokens with padding up to a count; unchanged if there are as many."""
        missing = max(0, count - len(self.ids))
        return Tokens(self.ids + (padding,) * missing, self.positions + (PADDING,) * missing)


@dataclass(frozen=True)
class TextReader:
    """Encode captions.

    `first` replaces the id of the first token, such as BLIP's [ENC]; without `separator` a caption
    lacks its last token.
    """

    tokenizer: Tokenizer
    limit: int
    first: int | None = None
    separator: bool = True
    padding: int = 0

    def count(self, text: str) -> int:
        """Return how many tokens a text takes, special ones included."""
        return len(self.tokenizer.encode(text).ids) - (not self.separator)

    def read(self, caption: Caption) -> Tokens:
        """Return the tokens of a caption; each is of the class whose characters it starts in.

        A blank that a token starts with does not count, so that byte-level tokens belong to the
        word after it.

        Raises:
            BadClasses: the caption takes more tokens than the text encoder has positions for.
        """
        encoding = self.tokenizer.encode(caption.text)
        ids, offsets = (list(encoding.ids), list(encoding.offsets)[1:-1])
        if self.first is not None:
            ids[0] = self.first
        if not self.separator:
            ids.pop()
        if len(ids) > self.limit:
            what = (
                f"A caption takes {len(ids)} tokens, and the model reads {self.limit}:"
                f" {caption.text[:60]}..."
            )
            raise BadClasses(what, fix="Give the classes shorter names.")
        positions = [PROMPT]
        for start, end in offsets:
            start = end - len(caption.text[start:end].lstrip(" "))
            spans = (span for span in caption.spans if span.start <= start < span.end)
            positions.append(next((span.position for span in spans), PROMPT))
        return Tokens(tuple(ids), (*positions, END) if self.separator else tuple(positions))


def read_word(tokenizer: Tokenizer, word: str) -> Reading:
    """Return what a tokenizer reads of a word that stands behind others."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    ids = tokenizer.encode(f" {word}", add_special_tokens=False).ids
    return reading_of(ids, tokenizer.token_to_id(unknown) if unknown else None, tokenizer.decode)


def batch(
    rows: Sequence[Sequence[Tokens]], padding: int = 0
) -> tuple[Int[torch.Tensor, "image caption token"], Int[torch.Tensor, "image caption token"]]:
    """Pad the captions of several images together; return ids, and 1 for a token and 0 for padding.

    An image with fewer captions than another gets empty ones (a lone first token).
    """
    most = max(map(len, rows))
    longest = max(len(tokens.ids) for row in rows for tokens in row)
    empty = Tokens((rows[0][0].ids[0],), (PROMPT,))
    full = [[*row, *[empty] * (most - len(row))] for row in rows]
    padded = [[tokens.padded(longest, padding) for tokens in row] for row in full]
    ids = torch.tensor([[tokens.ids for tokens in row] for row in padded])
    marks = torch.tensor([[tokens.positions for tokens in row] for row in padded])
    return ids, (marks != PADDING).long()
