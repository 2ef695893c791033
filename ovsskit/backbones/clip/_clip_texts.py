"""The texts of a CLIP: its tokenizer, its text encoder, and what the last calls of it gave."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from ovsskit._lazy import Float, torch
from ovsskit.backbones.clip._clip_network import ClipNetwork
from ovsskit.backbones.clip._text import (
    TOKENIZER,
    TOKENIZER_FILES,
    TextReader,
    encode_texts,
    has_tokenizer,
    make_reader,
    tokenizer_folder,
)
from ovsskit.engine.readable import Reading
from ovsskit.engine.sending import pick
from ovsskit.errors import MissingWeights
from ovsskit.hub.weights import commit_of, fetch_weights, read_files

KEPT_CALLS = 64
"""How many calls of the text encoder are kept with what they gave."""


class ClipTexts(ClipNetwork):
    """Read and encode texts as a CLIP does."""

    _texts: OrderedDict[tuple[str, ...], Any] = PrivateAttr(default_factory=OrderedDict)

    def read_files(self) -> dict[str, Path]:
        """Return the model's files by name; of a tokenizer, only the files that are read.

        Raises:
            MissingWeights, BadWeights: there are none, or nothing says what they are of.
        """
        found = {name: file for name, file in super().read_files().items() if name not in TOKENIZER}
        folder, named = self._tokenizer, self.blueprint.config["text_cfg"].get("hf_tokenizer_name")
        if folder == self._folder:
            return found | {name: folder / name for name in TOKENIZER}
        other = {} if folder is None else read_files(folder, TOKENIZER_FILES)
        return found | {f"{named}/{name}": file for name, file in other.items()}

    @cached_property
    def reader(self) -> TextReader:
        """Return what turns texts into tokens."""
        is_of_weights = self._tokenizer == self._folder
        return make_reader(self._tokenizer, self.blueprint.config, is_of_weights=is_of_weights)

    @property
    def _folder(self) -> Path:
        path = self.need_weights()
        return path if path.is_dir() else path.parent

    @cached_property
    def _tokenizer(self) -> Path | None:
        """Return the folder of the tokenizer, unless it is CLIP's own."""
        config, folder = self.blueprint.config, self._folder
        named = config["text_cfg"].get("hf_tokenizer_name")
        if named and commit_of(folder) and not has_tokenizer(folder):
            # Other programs fetch less of a repository; its own tokenizer comes before another's.
            with suppress(MissingWeights):
                fetch_weights(self.source, self.pinned, self.hub_files)
        return tokenizer_folder(folder, config, self.pinned if named == self.source else "main")

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.reader.read_word(word)

    def encode_text(self, texts: str | Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said.

        What the last calls gave is kept, since every image asks for the same. It is kept by call: a
        text's vector depends in its last bits on the texts beside it, and must not depend on what
        was asked before.
        """
        key = (texts,) if isinstance(texts, str) else tuple(texts)
        if key not in self._texts:
            different = {text: row for row, text in enumerate(dict.fromkeys(key))}
            with torch.no_grad():
                features = encode_texts(self.network, self.reader, list(different))
            self._texts[key] = pick(features, [different[text] for text in key])
            if len(self._texts) > KEPT_CALLS:
                self._texts.popitem(last=False)
        self._texts.move_to_end(key)
        kept: torch.Tensor = self._texts[key]
        return kept.clone()
