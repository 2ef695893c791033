"""Turn texts into CLIP's tokens, and these into vectors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, open_clip, torch
from ovsskit.engine.readable import Reading, reading_of
from ovsskit.engine.sending import pick, send
from ovsskit.errors import BadWeights, Place
from ovsskit.hub.weights import ANY, HubFiles, need_weights

TEXTS_AT_ONCE = 256
"""How many texts go through the text encoder in one pass."""
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
TOKENIZER_FILES = HubFiles(
    ("tokenizer.json", "*.model", "vocab.txt", "vocab.json"), beside=ANY.beside
)
"""What is read of a repository that is named for its tokenizer alone."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextReader:
    """Encode texts to token ids, first and last token included; the model reads `limit` of them.

    The last token of a text that is cut stays if it `ends` the text.
    """

    encode: Callable[[str], list[int]]
    limit: int
    decode: Callable[[list[int]], str]
    padding: int = 0
    unknown: int | None = None
    ends: bool = True

    def read_word(self, word: str) -> Reading:
        """Return what is read of a text that is the word alone, special tokens left out."""
        around = self.encode("")
        ids = self._fit(self.encode(word))
        kept = ids[len(around[:-1]) : len(ids) - len(around[-1:])]
        return reading_of(kept, self.unknown, self.decode)

    def read_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of all texts.

        Texts that are too long are cut, and this is said once.
        """
        rows = [self.encode(text) for text in texts]
        cut = [text for text, ids in zip(texts, rows, strict=True) if len(ids) > self.limit]
        if cut:
            words = (
                "the model reads %d tokens: %d of %d texts are longer and lose their end, such "
                "as: %s"
            )
            log.warning(words, self.limit, len(cut), len(texts), cut[0])
        return [self._fit(ids) for ids in rows]

    def _fit(self, ids: list[int]) -> list[int]:
        if len(ids) <= self.limit or not self.ends:
            return ids[: self.limit]
        return [*ids[: self.limit - 1], ids[-1]]


def has_tokenizer(folder: Path) -> bool:
    """Return whether a tokenizer lies in a folder."""
    return all((folder / name).is_file() for name in TOKENIZER)


def tokenizer_folder(folder: Path, config: Mapping[str, Any], revision: str) -> Path | None:
    """Return the folder of a configuration's tokenizer: the weights' own or another repository's.

    CLIP's own tokenizer, which open_clip holds, has none. `revision` is that of the named
    repository.

    Raises:
        MissingWeights: it is neither local nor downloadable.
    """
    named = config["text_cfg"].get("hf_tokenizer_name")
    if not named:
        return None
    if has_tokenizer(folder):
        return folder
    return need_weights(named, revision, Path(), TOKENIZER_FILES)


def make_reader(
    folder: Path | None, config: Mapping[str, Any], *, is_of_weights: bool
) -> TextReader:
    """Return the tokenizer of a model: CLIP's own, or that of a folder, such as the weights'.

    Raises:
        BadWeights: what the folder holds is not a whole tokenizer.
    """
    settings = config["text_cfg"]
    limit = settings.get("context_length", 77)
    if folder is None:
        plain = open_clip.SimpleTokenizer(
            context_length=limit, **settings.get("tokenizer_kwargs", {})
        )
        return TextReader(
            lambda text: [plain.sot_token_id, *plain.encode(text), plain.eot_token_id],
            limit,
            plain.decode,
        )
    try:
        return (
            _read_folder(folder, limit)
            if is_of_weights
            else _read_foreign(folder, limit, settings.get("tokenizer_kwargs", {}))
        )
    except Exception as error:  # the library of tokenizers raises no narrower one
        what = "The tokenizer is broken or incomplete."
        there = (str(error).splitlines() or [""])[0]
        raise BadWeights(what, there=there, where=Place(str(folder))) from error


def _read_foreign(folder: Path, limit: int, options: Mapping[str, Any]) -> TextReader:
    other = open_clip.tokenizer.HFTokenizer(str(folder), context_length=limit, **options)
    return TextReader(
        lambda text: other.tokenizer(other.clean_fn(text)).input_ids,
        limit,
        other.tokenizer.decode,
        other.tokenizer.pad_token_id,
        other.tokenizer.unk_token_id,
    )


def _read_folder(folder: Path, limit: int) -> TextReader:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    facts = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    padding = tokenizer.token_to_id(facts.get("pad_token", "[PAD]"))
    clean = open_clip.tokenizer.get_clean_fn("whitespace")
    unknown = getattr(tokenizer.model, "unk_token", None)
    return TextReader(
        lambda text: list(tokenizer.encode(clean(text)).ids),
        limit,
        tokenizer.decode,
        padding or 0,
        tokenizer.token_to_id(unknown) if unknown else None,
    )


def encode_texts(
    network: Any, reader: TextReader, texts: Sequence[str]
) -> Float[torch.Tensor, "text width"]:
    """Return one vector per text; texts of similar length are encoded together, to pad little."""
    device = network.logit_scale.device
    return run_by_length(
        reader, texts, device, lambda ids, lengths: _run(network, ids, max(lengths))
    )


def run_by_length(
    reader: TextReader, texts: Sequence[str], device: Any, run: Callable[[Any, list[int]], Any]
) -> Float[torch.Tensor, "text width"]:
    """Return what `run` makes of texts: it gets ids of similar length, and how long each text is.

    Ids are padded to all that the model reads.
    """
    rows = reader.read_all(texts)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    parts = []
    for start in range(0, len(order), TEXTS_AT_ONCE):
        some = [rows[index] for index in order[start : start + TEXTS_AT_ONCE]]
        padded = [row + [reader.padding] * (reader.limit - len(row)) for row in some]
        parts.append(run(send(torch.tensor(padded), device), [*map(len, some)]))
    places = sorted(range(len(order)), key=order.__getitem__)
    return pick(torch.cat(parts), places)


def _run(network: Any, ids: Any, longest: int) -> Any:
    """Run the text encoder.

    Where tokens see only earlier ones and the last is read, what follows it is left out.
    """
    if (
        not isinstance(network, open_clip.CLIP)
        or network.attn_mask is None
        or network.text_pool_type != "argmax"
    ):
        return network.encode_text(ids).float()
    return run_causal(network, ids, longest)


def run_causal(tower: Any, ids: Any, longest: int) -> Float[torch.Tensor, "text width"]:
    """Run open_clip's text tower, or a CLIP that has its parts, on as many tokens as are needed.

    Tokens see only earlier ones, and the last of a text is read, which has the highest number.
    """
    dtype = tower.transformer.get_cast_dtype()
    ids = ids[:, :longest]
    tokens = tower.token_embedding(ids).to(dtype) + tower.positional_embedding[:longest].to(dtype)
    tokens = tower.ln_final(
        tower.transformer(tokens, attn_mask=tower.attn_mask[:longest, :longest])
    )
    features = tokens[torch.arange(len(ids), device=ids.device), ids.argmax(-1)]
    projection = tower.text_projection
    if projection is None:
        found: torch.Tensor = features
    elif isinstance(projection, torch.nn.Linear):
        found = projection(features)
    else:
        found = features @ projection
    return found.float()
