"""Turn texts into TIPSv2's tokens, and these into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, torch, transformers
from ovsskit.backbones.clip._text import TextReader, run_by_length
from ovsskit.engine.sending import send
from ovsskit.errors import BadWeights, Place

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
    device = network.temperature.device

    def run(ids: Any, lengths: list[int]) -> Any:
        longest = max(lengths)
        seen = [[1] * length + [0] * (longest - length) for length in lengths]
        mask = send(torch.tensor(seen), device)
        found = network.text_model(input_ids=ids[:, :longest], attention_mask=mask)
        return found.pooler_output.float()

    return run_by_length(reader, texts, device, run)
