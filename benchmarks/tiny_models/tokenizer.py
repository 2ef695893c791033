"""The word-piece tokenizer that both embedded models share."""

import string
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from torch import Tensor
from transformers import BertTokenizerFast

from tiny_models.captions import all_words

PUNCTUATION: Final = ".,-'!?:;()&/\"+"


def vocabulary(with_blip_tokens: bool) -> list[str]:
    """List the word pieces by id.

    `[SEP]` is the last one that CLIP knows, because open_clip reads the text feature at the
    largest id; `[DEC]` and `[ENC]` follow it, as in published BLIP.
    """
    characters = [*string.ascii_lowercase, *string.digits]
    words = [word for word in all_words() if word not in characters]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[MASK]", *PUNCTUATION, *characters]
    pieces += [f"##{character}" for character in characters]
    pieces += [*words, "[SEP]"]
    return [*pieces, "[DEC]", "[ENC]"] if with_blip_tokens else pieces


def build_tokenizer(with_blip_tokens: bool) -> BertTokenizerFast:
    """Build the tokenizer in memory."""
    ids = {piece: number for number, piece in enumerate(vocabulary(with_blip_tokens))}
    core = Tokenizer(WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return BertTokenizerFast(tokenizer_object=core, do_lower_case=True, model_max_length=512)


def write_tokenizer(folder: Path, with_blip_tokens: bool) -> None:
    """Write `vocab.txt` and the tokenizer files of Hugging Face."""
    build_tokenizer(with_blip_tokens).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary(with_blip_tokens)) + "\n")


def encode(
    tokenizer: BertTokenizerFast, captions: list[str]
) -> tuple[Int[Tensor, "texts tokens"], Int[Tensor, "texts tokens"]]:
    """Encode captions to padded ids and their padding mask."""
    encoded = tokenizer(captions, padding=True)
    return torch.tensor(encoded["input_ids"]), torch.tensor(encoded["attention_mask"])
