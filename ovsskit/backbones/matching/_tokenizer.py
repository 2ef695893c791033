"""Read the tokenizer that lies with a model's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ovsskit.errors import BadWeights, Place

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WHOLE = "tokenizer.json"
SPARE = 128
"""How many rows of word embeddings may be left without a token: some models round them up."""


@dataclass(frozen=True)
class Kind:
    """Say how a tokenizer is made of files, where there is none whole, and which tokens it adds."""

    files: tuple[str, ...]
    around: tuple[str, str]
    fix: str
    make: Callable[..., Tokenizer]

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """Return the sets of files of which a tokenizer is read, the first that is there."""
        return ((WHOLE,), self.files)


def _make_wordpieces(vocabulary: str) -> Tokenizer:
    from tokenizers import BertWordPieceTokenizer

    tokenizer: Tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)._tokenizer
    return tokenizer


def _make_byte_pairs(vocabulary: str, merges: str) -> Tokenizer:
    from tokenizers import ByteLevelBPETokenizer, processors

    tokenizer: Tokenizer = ByteLevelBPETokenizer(vocabulary, merges)._tokenizer
    first, last = (tokenizer.token_to_id(token) for token in ("<s>", "</s>"))
    if first is not None and last is not None:
        tokenizer.post_processor = processors.RobertaProcessing(
            ("</s>", last), ("<s>", first), add_prefix_space=False
        )
    return tokenizer


WORDPIECES = Kind(
    ("vocab.txt",),
    ("[CLS]", "[SEP]"),
    "Put the vocab.txt of bert-base-uncased beside the weights.",
    _make_wordpieces,
)
"""BERT's."""
BYTE_PAIRS = Kind(
    ("vocab.json", "merges.txt"),
    ("<s>", "</s>"),
    "Put the vocab.json and merges.txt of RoBERTa beside the weights; those of the model's"
    " repository do.",
    _make_byte_pairs,
)
"""RoBERTa's."""


def read_tokenizer(path: Path, kind: Kind, rows: int | None, *, clean: bool = False) -> Tokenizer:
    """Return the tokenizer of a model's folder, or of the folder that a checkpoint lies in.

    With `clean` it reads captions as ALBEF's training cleaned them.

    Raises:
        BadWeights: there is none, or not one for a model with so many rows of word embeddings, if
            they are known.
    """
    from tokenizers import Tokenizer

    folder = path if path.is_dir() else path.parent
    files = [folder / name for name in kind.files]
    if (folder / WHOLE).is_file():
        with _readable(folder / WHOLE, kind):
            tokenizer = Tokenizer.from_file(str(folder / WHOLE))
        tokenizer.no_padding()
        tokenizer.no_truncation()
    elif all(file.is_file() for file in files):
        with _readable(files[0], kind):
            tokenizer = kind.make(*map(str, files))
    else:
        what = f"There is no tokenizer: neither {WHOLE} nor {' with '.join(kind.files)}."
        raise _unfit(folder, kind, what)
    _check(tokenizer, folder, kind, rows)
    if clean:
        _clean_captions(tokenizer)
    return tokenizer


@contextmanager
def _readable(file: Path, kind: Kind) -> Iterator[None]:
    """Say of a file that the library cannot read a tokenizer from it."""
    try:
        yield
    except Exception as error:  # the library raises no narrower one
        there = str(error).splitlines()[0]
        raise _unfit(file, kind, "The tokenizer is broken or incomplete.", there) from error


def _check(tokenizer: Tokenizer, folder: Path, kind: Kind, rows: int | None) -> None:
    around = tuple(tokenizer.encode("").tokens)
    if around != kind.around:
        there = f"It puts {' and '.join(around) or 'nothing'} around a text."
        read = f"the model reads captions between {' and '.join(kind.around)}"
        raise _unfit(folder, kind, f"The tokenizer does not fit: {read}.", there)
    count = max(tokenizer.get_vocab().values()) + 1
    if rows is not None and not rows - SPARE <= count <= rows:
        sizes = f"it has {count} tokens, and the model {rows} rows of word embeddings"
        raise _unfit(folder, kind, f"The tokenizer does not fit: {sizes}.")


def _unfit(path: Path, kind: Kind, what: str, there: str = "") -> BadWeights:
    return BadWeights(what, there=there, fix=kind.fix, where=Place(str(path)))


def _clean_captions(tokenizer: Tokenizer) -> None:
    """Let a tokenizer clean captions; offsets go on to count in the caption as it is given.

    Letters become small, punctuation goes, hyphens and slashes become blanks. The training's limit
    of words is left out.
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
