"""Give every class a vector to compare with those of patches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesText
from ovsskit.engine.stage import Batch, PathOfRecipe, PerClass, Stage
from ovsskit.engine.values import NEGATIVE, TextFeatures, Vocabulary
from ovsskit.texts.templates import Lengths, Templates, encode_words, sentences


class EncodeText(Stage, writes="text_features"):
    """Encode what is looked for, every word put into every sentence: one unit vector for each word.

    The words are the background's, each class's name and synonyms, then the negatives. The vectors
    of the sentences with a word are brought to length 1 and averaged, and the mean is brought to
    length 1 (TCL averages them as they are, and Talk2DINO leaves the mean as it is); or each
    sentence stays a text of its own, those of a word one after the other.
    `imagenet_80` are the 80 sentences that OpenAI wrote for ImageNet, as open_clip has them;
    `scene_5` five about a scene; `clip_surgery_85` both; `simple` is "a photo of a {}.", and `name`
    the bare name; `tcl_9` and `car_15` are TCL's and CaR's. In `word_of`, `all`, `first` and
    `joined` say for a class what they say in `words`. In `sentences_of`, what says the same as
    `templates` counts as left out.
    Source: Radford et al. 2021, CLIP (prompt ensembling); the 80 sentences serve ITACLIP, SCLIP,
    NACLIP and ClearCLIP. That each class has sentences which serve it best: Benigmim et al. 2025,
    FLOSS.

    Example:
        [[stage]]
        use = "encode_text"
        templates = "imagenet_80"
    """

    templates: Annotated[
        Templates, Field(description="sentences to put the words into; {} stands for the word")
    ] = "imagenet_80"
    templates_file: Annotated[
        PathOfRecipe, Field(description="a file in place of `templates`, one sentence a line")
    ] = ""
    words: Annotated[
        Literal["all", "first", "joined"],
        Field(description="all words of a class, its name alone, or all in one text, with commas"),
    ] = "all"
    word_of: Annotated[
        dict[str, str],
        PerClass("words"),
        Field(description="the one word that stands for a class, by the class's name"),
    ] = {}
    sentences_of: Annotated[
        dict[str, Templates],
        PerClass("templates"),
        Field(description="sentences of a class's own for its words, by the class's name"),
    ] = {}
    negatives: Annotated[
        Literal["vocabulary"] | tuple[str, ...],
        Field(description="words that only compete: the vocabulary's, or others"),
    ] = "vocabulary"

    sentences_of_negatives: Annotated[
        Literal["templates"] | Templates,
        Field(description="sentences for words that only compete: those of `templates`, or others"),
    ] = "templates"
    merge: Annotated[
        Literal["mean", "apart"],
        Field(description="one vector for a word, the mean of its sentences, or one for each"),
    ] = "mean"
    lengths: Annotated[
        Lengths,
        Field(
            description="of the sentences' vectors before their mean: brought to 1, or as they are "
            "(`kept`); `as_is` leaves the length of the mean, too"
        ),
    ] = "unit"

    def run_batch(
        self, vocabulary: Batch[Vocabulary], backbone: EncodesText
    ) -> Batch[TextFeatures]:
        """Return the vectors, in the order of `Vocabulary.queries`, the negatives' last.

        Raises:
            BadFile: the file of templates is invalid.
        """
        return [self._encode(one, backbone) for one in vocabulary]

    def _encode(self, vocabulary: Vocabulary, backbone: EncodesText) -> TextFeatures:
        queries = self._queries(vocabulary)
        own = self._own(vocabulary)
        shared = sentences(self.templates, self.templates_file)
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, (label, _) in enumerate(queries):
            groups.setdefault(own.get(label, shared), []).append(index)
        vectors: dict[int, Float[torch.Tensor, "sentence width"]] = {}
        for templates, some in groups.items():
            words = [queries[index][1] for index in some]
            together = [templates] if self.merge == "mean" else [(one,) for one in templates]
            found = [encode_words(words, one, backbone, lengths=self.lengths) for one in together]
            vectors |= dict(zip(some, torch.stack(found, 1), strict=True))
        labels = (label for index, (label, _) in enumerate(queries) for _ in vectors[index])
        data = torch.cat([vectors[index] for index in range(len(queries))])
        return TextFeatures(data, tuple(labels))

    def _own(self, vocabulary: Vocabulary) -> dict[int, tuple[str, ...]]:
        """Return the sentences of labels that have other sentences than all."""
        own = {
            label: sentences(self.sentences_of[name])
            for label, name in enumerate(vocabulary.names, 1)
            if name in self.sentences_of
        }
        if self.sentences_of_negatives != "templates":
            own[NEGATIVE] = sentences(self.sentences_of_negatives)
        return own

    def _queries(self, vocabulary: Vocabulary) -> list[tuple[int, str]]:
        """Return label and text of the words to encode, in the order of labels."""
        found = [(0, word) for word in vocabulary.background_words]
        others = vocabulary.synonyms or ((),) * len(vocabulary.names)
        for label, (name, more) in enumerate(zip(vocabulary.names, others, strict=True), 1):
            word = self.word_of.get(name, self.words)
            forms = {"all": (name, *more), "first": (name,), "joined": (", ".join((name, *more)),)}
            words = forms.get(word, (word,))
            found += [(label, one) for one in words]
        against = vocabulary.negatives if self.negatives == "vocabulary" else self.negatives
        return found + [(NEGATIVE, word) for word in against]
