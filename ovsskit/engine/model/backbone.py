"""What recipes see as a model: a frozen class whose fields say what it is, and its capabilities."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, PrivateAttr

from ovsskit.engine.model.encodes_text import EncodesText
from ovsskit.engine.model.grounds_words import GroundsWords
from ovsskit.engine.readable import Reading, check_words, note_unread
from ovsskit.engine.stage import Capability, use_of
from ovsskit.engine.values import NEGATIVE, Vocabulary
from ovsskit.errors import Place

B = TypeVar("B", bound="Backbone")
READ_ALL = (EncodesText, GroundsWords)
"""Capabilities of models that read synonyms and negatives, too."""


class Backbone(BaseModel, frozen=True, extra="forbid", strict=True):
    """Describe a model by its fields; one without weights inherits this class itself.

    What such a model is follows from its code and its fields. One with weights inherits
    `PretrainedBackbone`.
    """

    waits: ClassVar[str] = ""
    """Why it waits for the device, if it does, as of a stage."""

    _device: str = PrivateAttr("cpu")

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return what people call the model if tensors of such names are one of it, else nothing.

        Where weights do not fit a model, this tells whose they are.
        """
        return ""

    def to(self: B, device: str) -> B:
        """Return a new backbone on another device: what this one keeps lies on its own."""
        settled = self.settle_on(device)
        if device == self._device and not settled:
            return self
        settings = {name: getattr(self, name) for name in type(self).model_fields} | settled
        moved: Any = type(self).model_construct(set(self.model_fields_set), **settings)
        moved._device = device
        return cast("B", moved)

    def settle_on(self, device: str) -> dict[str, Any]:
        """Return the fields that are left to the device, such as a precision of `auto`."""
        return {}

    @property
    def device(self) -> str:
        """Return the device on which it computes."""
        return self._device

    @property
    def source(self) -> str:
        """Return how messages call the model."""
        return use_of(type(self))

    def prepare(self) -> None:
        """Read what there is to read before the first image."""

    def describe_content(self) -> dict[str, Any]:
        """Return, as plain JSON values, what it is beside its class and its fields."""
        return {}

    def describe_files(self) -> dict[str, Any]:
        """Return where the files that it reads come from, and their digests."""
        return {}

    def read_word(self, word: str) -> Reading | None:
        """Return what the text encoder reads of a single word; None if that cannot be told.

        It is asked before a run, and shall read the tokenizer alone, not the network.
        """
        return None

    def knows_word(self, word: str) -> bool:
        """Say whether the model reads all of a word, and was trained on it, as far as is known."""
        found = self.read_word(word)
        return found is None or not (found.unknown or found.broken)

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Refuse classes whose words the model cannot read or distinguish; called before a run.

        Raises:
            BadClasses: it cannot, or is made for other classes, or cannot take this many.
        """
        words = self.words_of(vocabulary)
        check_words(words, self.read_word, Place(self.source))
        if not isinstance(self, READ_ALL) and any(vocabulary.synonyms):
            note_unread([word for others in vocabulary.synonyms for word in others])

    def words_of(self, vocabulary: Vocabulary) -> tuple[tuple[int, str], ...]:
        """Return label and text of the words that it is to read."""
        if isinstance(self, READ_ALL):
            negatives = ((NEGATIVE, word) for word in vocabulary.negatives)
            return (*vocabulary.queries, *negatives)
        return tuple(enumerate(vocabulary.names, 1))


def capabilities(cls: type) -> list[type[Capability]]:
    """Return the capabilities that a backbone class has."""
    return [base for base in cls.__mro__ if Capability in base.__bases__]
