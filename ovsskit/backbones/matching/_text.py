"""Turn captions into tokens, and tell which class every token belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ovsskit._lazy import Int, torch
from ovsskit.engine.readable import Reading, reading_of
from ovsskit.engine.values import END, PADDING, PROMPT, Caption
from ovsskit.errors import BadClasses, BadWeights, Place

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPARE = 128
"""How many rows of word embeddings may be left without a token: some models round their number up."""


@dataclass(frozen=True)
class Tokens:
    """Hold the token ids of one caption and, for each, the position of its class, or a mark such as `PROMPT`."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]

    def padded(self, count: int, padding: int = 0) -> Tokens:
        """Return the tokens with padding up to a count; as they are if they are that many or more."""
        missing = max(0, count - len(self.ids))
        return Tokens(self.ids + (padding,) * missing, self.positions + (PADDING,) * missing)


@dataclass(frozen=True)
class TextReader:
    """Encode captions.

    `first` replaces the id of the first token, such as BLIP's [ENC]; without `separator` a caption lacks its last token.
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
        """Return the tokens of a caption; a token belongs to the class whose characters it starts in.

        A blank that a token starts with does not count, so that byte-level tokens belong to the word after it.

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
            raise BadClasses(
                f"A caption takes {len(ids)} tokens, and the model reads {self.limit}: {caption.text[:60]}...",
                fix="Give the classes shorter names.",
            )
        positions = [PROMPT]
        for start, end in offsets:
            start = end - len(caption.text[start:end].lstrip(" "))
            positions.append(
                next(
                    (span.position for span in caption.spans if span.start <= start < span.end),
                    PROMPT,
                )
            )
        return Tokens(tuple(ids), (*positions, END) if self.separator else tuple(positions))


def read_word(tokenizer: Tokenizer, word: str) -> Reading:
    """Return what a tokenizer reads of a word that stands behind others."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    ids = tokenizer.encode(f" {word}", add_special_tokens=False).ids
    return reading_of(ids, tokenizer.token_to_id(unknown) if unknown else None, tokenizer.decode)


def read_wordpieces(path: Path, rows: int | None) -> Tokenizer:
    """Return the WordPiece tokenizer of a model's folder, or of the folder that a checkpoint lies in.

    Raises:
        BadWeights: there is none, or not one for a model with so many rows of word embeddings, if they are known.
    """
    from tokenizers import BertWordPieceTokenizer

    folder = path if path.is_dir() else path.parent
    tokenizer = _read_json(folder, BERT_FIX)
    if tokenizer is None and (folder / "vocab.txt").is_file():
        with _readable(folder / "vocab.txt", BERT_FIX):
            tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)._tokenizer
    if tokenizer is None:
        raise _unfit(
            folder, "There is no tokenizer: neither tokenizer.json nor vocab.txt.", BERT_FIX
        )
    _check(tokenizer, folder, rows, ("[CLS]", "[SEP]"), BERT_FIX)
    return tokenizer


def read_byte_pairs(path: Path, rows: int | None) -> Tokenizer:
    """Return the byte-level tokenizer (RoBERTa's) of a model's folder, or of the folder that a checkpoint lies in.

    Raises:
        BadWeights: there is none, or not one for a model with so many rows of word embeddings, if they are known.
    """
    from tokenizers import ByteLevelBPETokenizer, processors

    folder = path if path.is_dir() else path.parent
    tokenizer = _read_json(folder, ROBERTA_FIX)
    if (
        tokenizer is None
        and (folder / "vocab.json").is_file()
        and (folder / "merges.txt").is_file()
    ):
        with _readable(folder / "vocab.json", ROBERTA_FIX):
            tokenizer = ByteLevelBPETokenizer(
                str(folder / "vocab.json"), str(folder / "merges.txt")
            )._tokenizer
        first, last = (tokenizer.token_to_id(token) for token in ("<s>", "</s>"))
        if first is not None and last is not None:
            tokenizer.post_processor = processors.RobertaProcessing(
                ("</s>", last), ("<s>", first), add_prefix_space=False
            )
    if tokenizer is None:
        raise _unfit(
            folder,
            "There is no tokenizer: neither tokenizer.json nor vocab.json with merges.txt.",
            ROBERTA_FIX,
        )
    _check(tokenizer, folder, rows, ("<s>", "</s>"), ROBERTA_FIX)
    return tokenizer


def clean_captions(tokenizer: Tokenizer) -> None:
    """Let a tokenizer read captions as ALBEF's training cleaned them; offsets go on to count in the caption as it is given.

    Letters become small, punctuation goes, hyphens and slashes become blanks. The training's limit of words is left out.
    """
    from tokenizers import Regex, normalizers

    steps: list[tuple[str | Regex, str]] = [
        (Regex(r"""[,.'!?"()*#:;~]"""), ""),
        (Regex("[-/]"), " "),
        ("<person>", "person"),
    ]
    changes = [normalizers.Replace(old, new) for old, new in steps]
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), *changes, tokenizer.normalizer]
    )


BERT_FIX = "Put the vocab.txt of bert-base-uncased beside the weights."
ROBERTA_FIX = "Put the vocab.json and merges.txt of RoBERTa beside the weights; those of the model's repository do."


def _read_json(folder: Path, fix: str) -> Tokenizer | None:
    from tokenizers import Tokenizer

    if not (folder / "tokenizer.json").is_file():
        return None
    with _readable(folder / "tokenizer.json", fix):
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@contextmanager
def _readable(file: Path, fix: str) -> Iterator[None]:
    """Say of a file that the library cannot read a tokenizer from it."""
    try:
        yield
    except Exception as error:  # the library raises no narrower one
        what = "The tokenizer is broken or incomplete."
        raise BadWeights(
            what, there=str(error).splitlines()[0], fix=fix, where=Place(str(file))
        ) from error


def _check(
    tokenizer: Tokenizer, folder: Path, rows: int | None, special: tuple[str, str], fix: str
) -> None:
    around = tuple(tokenizer.encode("").tokens)
    if around != special:
        there = f"It puts {' and '.join(around) or 'nothing'} around a text."
        what = f"The tokenizer does not fit: the model reads captions between {special[0]} and {special[1]}."
        raise _unfit(folder, what, fix, there)
    count = max(tokenizer.get_vocab().values()) + 1
    if rows is not None and not rows - SPARE <= count <= rows:
        what = f"The tokenizer does not fit: it has {count} tokens, and the model {rows} rows of word embeddings."
        raise _unfit(folder, what, fix)


def _unfit(folder: Path, what: str, fix: str, there: str = "") -> BadWeights:
    return BadWeights(what, there=there, fix=fix, where=Place(str(folder)))


def batch(
    rows: Sequence[Sequence[Tokens]], padding: int = 0
) -> tuple[Int[torch.Tensor, "image caption token"], Int[torch.Tensor, "image caption token"]]:
    """Pad the captions of several images together; return ids, and 1 for a token and 0 for padding.

    An image with fewer captions than another gets empty ones (a lone first token).
    """
    most = max(map(len, rows))
    longest = max(len(tokens.ids) for row in rows for tokens in row)
    empty = Tokens((rows[0][0].ids[0],), (PROMPT,))
    full = [
        [tokens.padded(longest, padding) for tokens in [*row, *[empty] * (most - len(row))]]
        for row in rows
    ]
    ids = torch.tensor([[tokens.ids for tokens in row] for row in full])
    mask = torch.tensor(
        [[[int(mark != PADDING) for mark in tokens.positions] for tokens in row] for row in full]
    )
    return ids, mask
