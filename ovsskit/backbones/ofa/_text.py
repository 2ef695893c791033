"""Turn class names into OFA's tokens: GPT-2's word pieces in the order of OFA's dictionary."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ovsskit._lazy import Int, numpy, torch
from ovsskit.errors import BadClasses, BadWeights, Place

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DATA = Path(__file__).parent / "_data"
PROMPT = "what is the segmentation map of the image? object:"
UNKNOWN_NAME = "unknown"
"""What the released code adds to the names in the text, though it is none of the classes."""
START, PADDING, END = 0, 1, 2
FIRST = 4
"""The row of the dictionary's first line: `<s>`, `<pad>`, `</s>` and `<unk>` come before."""
DICTIONARY = "dict.txt"


@dataclass(frozen=True)
class TextReader:
    """Encode class names.

    `rows` gives the embedding's row of each of GPT-2's word pieces, `limit` a text's greatest
    length.
    """

    rows: Mapping[int, int]
    limit: int

    def pieces(self, name: str) -> list[int]:
        """Return the rows of a name's word pieces.

        Raises:
            BadClasses: the model's dictionary lacks a piece, as that of a model with few words
                does.
        """
        found = [self.rows.get(piece) for piece in gpt2_ids(name)]
        if not found or None in found:
            raise BadClasses(
                f"The model does not know the class `{name}`.",
                there=f"It has embeddings of {len(self.rows)} word pieces.",
                fix="Use other words, or a model with a full dictionary.",
            )
        return [row for row in found if row is not None]

    def read(self, names: Sequence[str]) -> list[int]:
        """Return the text that the encoder reads: prompt, names, "unknown".

        Raises:
            BadClasses: the model does not know a word, or the text is too long.
        """
        text = [piece for name in (PROMPT, *names, UNKNOWN_NAME) for piece in self.pieces(name)]
        if len(text) + 2 > self.limit:
            raise BadClasses(
                f"The {len(names)} class names take {len(text) + 2} tokens with the prompt, "
                f"but the model has positions for {self.limit}.",
                fix="Name fewer classes, or tune one model for each part of the list.",
            )
        return [START, *text, END]


def batch(texts: Sequence[Sequence[int]]) -> Int[torch.Tensor, "b t"]:
    """Pad texts to one length."""
    longest = max(map(len, texts))
    return torch.tensor([[*text, *[PADDING] * (longest - len(text))] for text in texts])


@cache
def tokenizer() -> Tokenizer:
    """Return GPT-2's tokenizer: its 256 bytes in GPT-2's order, then one piece for every merge."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    with gzip.open(DATA / "gpt2_merges.txt.gz", "rt", encoding="utf-8") as lines:
        pairs = [tuple(line.split()) for line in lines if not line.startswith("#version:")]
    merges = [pair for pair in pairs if len(pair) == 2]
    pieces = [*_byte_symbols(), *(left + right for left, right in merges)]
    made = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    made.decoder = decoders.ByteLevel()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def gpt2_ids(text: str) -> list[int]:
    """Return GPT-2's numbers of a text's pieces; each word is encoded alone, after one blank."""
    return [number for word in text.split() for number in tokenizer().encode(f" {word}").ids]


def full_rows() -> dict[int, int]:
    """Return the row of every one of GPT-2's word pieces in the published models' embeddings."""
    order = numpy.load(DATA / "symbol_order.npy")
    return {
        int(piece): FIRST + line
        for line, piece in enumerate(order)
        if piece != numpy.iinfo(order.dtype).max
    }


def read_rows(file: Path) -> dict[int, int]:
    """Return the same for a dictionary in fairseq's form: a piece's number and a count per line.

    Raises:
        BadWeights: the file is none.
    """
    try:
        symbols = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise BadWeights("The dictionary cannot be read.", where=Place(str(file))) from error
    return {int(symbol): FIRST + line for line, symbol in enumerate(symbols) if symbol.isdigit()}


def _byte_symbols() -> list[str]:
    """Return GPT-2's character for every byte, in GPT-2's order: first the visible ones."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return [*map(chr, seen), *(chr(256 + number) for number in range(len(hidden)))]
