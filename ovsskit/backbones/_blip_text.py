"""Turn captions into BLIP's tokens, and tell which class every token belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ovsskit.errors import BadClasses, BadWeights, Place
from ovsskit.lazy import Int, torch
from ovsskit.values import END, PADDING, PROMPT, Caption

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Tokens:
    """Hold the token ids of one caption and, for each, the position of its class, or a mark such as `PROMPT`."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]

    def padded(self, count: int) -> Tokens:
        """Return the tokens with padding up to a count; as they are if they are that many or more."""
        missing = max(0, count - len(self.ids))
        return Tokens(self.ids + (0,) * missing, self.positions + (PADDING,) * missing)


@dataclass(frozen=True)
class TextReader:
    """Encode captions; the first token becomes the one that BLIP's matching head reads ([ENC], id `first`)."""

    tokenizer: Tokenizer
    first: int
    limit: int

    def count(self, text: str) -> int:
        """Return how many tokens a text takes, the two special ones included."""
        return len(self.tokenizer.encode(text).ids)

    def read(self, caption: Caption) -> Tokens:
        """Return the tokens of a caption; a token belongs to the class whose characters it starts in.

        Raises:
            BadClasses: the caption takes more tokens than the text encoder has positions for.
        """
        encoding = self.tokenizer.encode(caption.text)
        if len(encoding.ids) > self.limit:
            raise BadClasses(
                f"A caption takes {len(encoding.ids)} tokens, and the model reads {self.limit}: {caption.text[:60]}...",
                fix="Give the classes shorter names.",
            )
        positions = [PROMPT]
        for start, _ in encoding.offsets[1:-1]:
            positions.append(next((span.position for span in caption.spans if span.start <= start < span.end), PROMPT))
        return Tokens((self.first, *encoding.ids[1:]), (*positions, END))


def read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer of a model's folder, or of the folder that a checkpoint lies in.

    Raises:
        BadWeights: the folder holds neither `tokenizer.json` nor `vocab.txt`.
    """
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    folder = path if path.is_dir() else path.parent
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer
    if (folder / "vocab.txt").is_file():
        plain: Tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)._tokenizer
        return plain
    raise BadWeights(
        "There is no tokenizer: neither tokenizer.json nor vocab.txt.",
        fix="Put the vocab.txt of bert-base-uncased beside the weights.",
        where=Place(str(folder)),
    )


def batch(
    rows: Sequence[Sequence[Tokens]],
) -> tuple[Int[torch.Tensor, "image caption token"], Int[torch.Tensor, "image caption token"]]:
    """Pad the captions of several pictures together; return ids, and 1 for a token and 0 for padding.

    A picture with fewer captions than another gets empty ones (a lone first token).
    """
    most = max(map(len, rows))
    longest = max(len(tokens.ids) for row in rows for tokens in row)
    empty = Tokens((rows[0][0].ids[0],), (PROMPT,))
    full = [[tokens.padded(longest) for tokens in [*row, *[empty] * (most - len(row))]] for row in rows]
    ids = torch.tensor([[tokens.ids for tokens in row] for row in full])
    mask = torch.tensor([[[int(mark != PADDING) for mark in tokens.positions] for tokens in row] for row in full])
    return ids, mask
