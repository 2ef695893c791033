"""Turn texts into TIPSv2's tokens, and these into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, torch, transformers
from ovsskit.backbones.clip._text import TextReader
from ovsskit.engine.sending import pick, send
from ovsskit.errors import BadWeights, Place

TEXTS_AT_ONCE = 256
"""How many texts go through the text encoder in one pass."""
TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",))
"""What the hub has of the tokenizer: either is enough."""


def make_reader(folder: Path, limit: int) -> TextReader:
    """Return the tokenizer in a folder, which writes no special tokens around a text.

    Raises:
        BadWeights: there is none, or it is broken.
    """
    names = [name for one in TOKENIZERS for name in one]
    if not any((folder / name).is_file() for name in names):
        what = f"The folder holds no tokenizer: {' or '.join(names)}."
        fix = "Give a folder with all files of the hub's repository."
        raise BadWeights(what, fix=fix, where=Place(str(folder)))
    try:
        tokenizer = transformers.Tipsv2Tokenizer.from_pretrained(
            str(folder), local_files_only=True, model_max_length=limit
        )
    except Exception as error:  # the library of tokenizers raises no narrower one
        what = "The tokenizer cannot be read."
        there = (str(error).splitlines() or [""])[0]
        fix = "A tokenizer.model needs sentencepiece: pip install sentencepiece"
        raise BadWeights(what, there=there, fix=fix, where=Place(str(folder))) from error
    return TextReader(
        lambda text: list(tokenizer(text, truncation=False, verbose=False).input_ids),
        limit,
        tokenizer.decode,
        tokenizer.pad_token_id,
        tokenizer.unk_token_id,
        ends=False,
    )


def encode_texts(
    network: Any, reader: TextReader, texts: Sequence[str]
) -> Float[torch.Tensor, "text width"]:
    """Return one vector per text, the mean of its tokens; texts of similar length run together."""
    rows = reader.read_all(texts)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    device, parts = network.temperature.device, []
    for start in range(0, len(order), TEXTS_AT_ONCE):
        some = [rows[index] for index in order[start : start + TEXTS_AT_ONCE]]
        longest = max(map(len, some))
        padded = [row + [reader.padding] * (longest - len(row)) for row in some]
        seen = [[1] * len(row) + [0] * (longest - len(row)) for row in some]
        ids, mask = (send(torch.tensor(one), device) for one in (padded, seen))
        found = network.text_model(input_ids=ids, attention_mask=mask).pooler_output
        parts.append(found.float())
    places = sorted(range(len(order)), key=order.__getitem__)
    return pick(torch.cat(parts), places)
