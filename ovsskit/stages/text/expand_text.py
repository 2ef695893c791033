"""Mix what is said about a class into its vectors."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesText
from ovsskit.engine.sending import pick, send_places
from ovsskit.engine.stage import Batch, PathOfRecipe, Stage
from ovsskit.engine.values import TextFeatures, Vocabulary
from ovsskit.errors import first_of
from ovsskit.texts.read import explain_missing, shipped_file, texts_of_classes
from ovsskit.texts.templates import Templates, encode_words, sentences

log = logging.getLogger(__name__)


class ExpandText(Stage, writes="text_features"):
    """Mix the vector of a text about a class, such as a definition, into those of all its words.

    t = (1 - weight) t_word + weight t_text, not brought to length 1 again. The text is put into the
    same kind of sentences as a name. Words for the background stay as they are.
    The texts are a shipped set (`definitions` or `synonyms`, by name, for the classes of VOC,
    Context, COCO and Cityscapes), or a file: `name = "text"` in TOML, by name, or the published
    form, lines `name >= text` in the order of the classes. `ovsskit expand` has a language model
    write such a file.
    Source: ITACLIP, section "LLM-based text expansion" and released code (definitions or synonyms
    by data set).

    Example:
        [[stage]]
        use = "expand_text"
        texts = "definitions"
        weight = 0.05
        missing = "name"
    """

    texts: Annotated[
        Literal["definitions", "synonyms"], Field(description="a shipped set of texts")
    ] = "definitions"
    file: Annotated[PathOfRecipe, Field(description="a file of texts in place of `texts`")] = ""
    weight: Annotated[float, Field(ge=0, le=1, description="share of the text's vector")] = 0.2
    templates: Annotated[
        Templates, Field(description="sentences to put the texts into; {} stands for the text")
    ] = "imagenet_80"
    templates_file: Annotated[
        PathOfRecipe, Field(description="a file in place of `templates`, one sentence a line")
    ] = ""
    missing: Annotated[
        Literal["error", "name"],
        Field(description="a class without a text: refuse it, or leave its words as they are"),
    ] = "error"

    def run_batch(
        self,
        text_features: Batch[TextFeatures],
        vocabulary: Batch[Vocabulary],
        backbone: EncodesText,
    ) -> Batch[TextFeatures]:
        """Return the mixed vectors, in the same order.

        Raises:
            BadFile: a file is invalid, or its lines do not match the classes.
        """
        pairs = zip(text_features, vocabulary, strict=True)
        return [self._expand(features, one, backbone) for features, one in pairs]

    def _expand(
        self, text_features: TextFeatures, vocabulary: Vocabulary, backbone: EncodesText
    ) -> TextFeatures:
        path = Path(self.file) if self.file else shipped_file(self.texts)
        texts = texts_of_classes(path, vocabulary)
        without = tuple(
            name for name, text in zip(vocabulary.names, texts, strict=True) if text is None
        )
        if without and self.missing == "error":
            raise explain_missing(path, without)
        if without:
            _warn(without)
        labels = [label for label, text in enumerate(texts, 1) if text is not None]
        if not labels:
            return text_features
        found = [text for text in texts if text is not None]
        vectors = encode_words(found, sentences(self.templates, self.templates_file), backbone)
        data = mix(text_features.data, text_features.labels, vectors, tuple(labels), self.weight)
        return TextFeatures(data, text_features.labels)


def mix(
    words: Float[torch.Tensor, "text width"],
    labels: tuple[int, ...],
    texts: Float[torch.Tensor, "other width"],
    labels_of_texts: tuple[int, ...],
    weight: float,
) -> Float[torch.Tensor, "text width"]:
    """Return the vectors of words, those of the texts of the same label mixed in."""
    place = {label: index for index, label in enumerate(labels_of_texts)}
    rows = [row for row, label in enumerate(labels) if label in place]
    theirs = pick(texts, [place[labels[row]] for row in rows]).to(words)
    mixed = (1 - weight) * pick(words, rows) + weight * theirs
    return words.index_copy(0, send_places(rows, words.device), mixed)


@cache
def _warn(names: tuple[str, ...]) -> None:
    """Say once which classes have no text."""
    log.warning("no text for %s: only their words stand for them", first_of(names, most=5))
