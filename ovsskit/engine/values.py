"""The nouns: frozen values with named axes. A slot holds one of them for one image.

Kinds are classes: `Saliency`, `Logits`, `Confidences` and `Probabilities` are kinds of `Scores`,
and a stage may ask for one of them.
A *label* counts from the vocabulary: label 0 is the background, label i is the i-th name, and
`NEGATIVE` is that of every word which competes and is never an answer. An *id* is a class's number
in the mask (`Vocabulary.ids`), which the person may choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from ovsskit._lazy import Bool, Float, Int, UInt8, torch
from ovsskit.engine.examples import (
    GRID,
    HEADS,
    LAYERS,
    NAMES,
    PATCH_TOKENS,
    SIZE,
    WIDTH,
    uniform,
)

PROMPT, END, PADDING = -1, -2, -3
"""Marks, in `positions`, of tokens that name no class: of the prompt, the end, and padding."""
NEGATIVE = -1
"""The label of words that compete with the classes and are never an answer."""


@dataclass(frozen=True, eq=False)
class Value:
    """Hold what a slot carries for one image."""

    @classmethod
    def example(cls: type[V], seed: int = 0) -> V:
        """Return an example, from which tests make inputs; those of one seed are of one image.

        Raises:
            NotImplementedError: the kind has none.
        """
        raise NotImplementedError(
            f"{cls.__name__} has no example to test with. Give it one: "
            f"`@classmethod def example(cls, seed: int = 0) -> {cls.__name__}`."
        )

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that a value is of this kind, and keeps its laws: its axes, where jaxtyping is on.

        Raises:
            AssertionError: it is not, or does not.
        """
        assert isinstance(value, cls), f"it is {type(value).__name__}, not {cls.__name__}"
        assert cls.__eq__ is object.__eq__, (
            f"{cls.__name__} compares tensors; make it `@dataclass(frozen=True, eq=False)`"
        )
        replace(value)

    def to(self: V, device: Any) -> V:
        """Return the same value with its tensors on another device."""
        tensors = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if isinstance(getattr(self, f.name), torch.Tensor)
        }
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})


@dataclass(frozen=True, eq=False)
class Image(Value):
    """Hold an image: colours from 0 to 1, its name, and the patches that no model shall see.

    `notes` say how numbers became colours where that is not plain; they do not distinguish values.
    """

    data: Float[torch.Tensor, "3 h w"]
    name: str = ""
    hidden: Bool[torch.Tensor, "rows cols"] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def example(cls, seed: int = 0) -> Image:
        """Return noise."""
        return cls((uniform(seed + 2, 3, *SIZE) * 255).round() / 255, f"image{seed}")

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.data.shape[1], self.data.shape[2]

    @property
    def pixels(self) -> UInt8[torch.Tensor, "h w 3"]:
        """Return the image as bytes, as it was decoded."""
        return torch.stack((self.data * 255).round().to(torch.uint8).unbind(), -1)

    def hide(self, patches: Bool[torch.Tensor, "rows cols"]) -> Image:
        """Return the image with these patches of the model's grid hidden."""
        return replace(self, hidden=patches)


@dataclass(frozen=True, eq=False)
class Vocabulary(Value):
    """Hold the names to look for, and of every label its number in the mask and its colour.

    `synonyms` are other words for each class, if there are any; `background_words` stand for what
    is none of them. `negatives` are words that compete with the classes and are never an answer.
    `dataset` names the data set whose classes these are, in its order, if they are one's; it does
    not distinguish values.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    colours: tuple[tuple[int, int, int], ...]
    background: str = "background"
    synonyms: tuple[tuple[str, ...], ...] = ()
    background_words: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    dataset: str = field(default="", compare=False)

    @classmethod
    def example(cls, seed: int = 0) -> Vocabulary:
        """Return three names, the same for every seed."""
        colours = ((0, 0, 0), (244, 62, 37), (37, 72, 244), (133, 244, 37))
        return cls(NAMES, (0, 1, 2, 3), colours)

    @property
    def queries(self) -> tuple[tuple[int, str], ...]:
        """Return label and text of all words: the background's, then every class's."""
        others = self.synonyms or ((),) * len(self.names)
        words = [(name, *more) for name, more in zip(self.names, others, strict=True)]
        return tuple(
            (label, word)
            for label, mine in enumerate((self.background_words, *words))
            for word in mine
        )

    @property
    def joined(self) -> tuple[str, ...]:
        """Return all words of each class in one text, with commas between them."""
        others = self.synonyms or ((),) * len(self.names)
        return tuple(
            ", ".join((name, *more)) for name, more in zip(self.names, others, strict=True)
        )

    def pick(self, labels: Sequence[int]) -> Vocabulary:
        """Return a vocabulary of these classes alone, in this order; their ids stay."""
        rows = [label - 1 for label in labels]
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            ids=(self.ids[0], *(self.ids[label] for label in labels)),
            colours=(self.colours[0], *(self.colours[label] for label in labels)),
            synonyms=tuple(self.synonyms[row] for row in rows) if self.synonyms else (),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the name of every label: the background, then the classes."""
        return (self.background, *self.names)

    def name_of(self, label: int) -> str:
        """Return the name of a label; that of all negatives is "negative"."""
        return "negative" if label == NEGATIVE else self.labels[label]


@dataclass(frozen=True, eq=False)
class Present(Value):
    """Hold the labels (1 and up) of the classes that an image shows, in caption order.

    `scores` are the probabilities from which they were chosen, if there are any, of all classes in
    their order; `note` is what a person should know of the choice. Neither distinguishes values.
    """

    labels: tuple[int, ...]
    scores: tuple[float, ...] = field(default=(), compare=False)
    note: str = field(default="", compare=False)

    @classmethod
    def example(cls, seed: int = 0) -> Present:
        """Return all classes of the example vocabulary."""
        return cls(tuple(range(1, len(NAMES) + 1)))


@dataclass(frozen=True)
class Span:
    """Say which characters of a caption name the class at a position of `Present.labels`."""

    position: int
    start: int
    end: int


@dataclass(frozen=True)
class Caption:
    """Hold one sentence and where in it the classes are named."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, eq=False)
class Captions(Value):
    """Hold the captions of an image: one, or several where one cannot hold all classes."""

    captions: tuple[Caption, ...]

    @classmethod
    def example(cls, seed: int = 0) -> Captions:
        """Return one caption that names every class."""
        text, spans = "A picture of", []
        for position, name in enumerate(NAMES):
            spans.append(Span(position, len(text) + 1, len(text) + 1 + len(name)))
            text += f" {name}"
        return cls((Caption(text, tuple(spans)),))


@dataclass(frozen=True, eq=False)
class CrossAttention(Value):
    """Hold what text tokens look at: probabilities, and the matching objective's gradient in them.

    The last rows x cols columns of the key axis are the patches, row by row; a class token may
    stand before them. `layers` count from 1, `heads` from 0. `positions` tells which class a token
    belongs to (see `Present`), or is `PROMPT`, `END` or `PADDING`. The tokens of several captions
    follow each other; `lengths` are their counts.
    """

    probability: Float[torch.Tensor, "layer head token key"]
    gradient: Float[torch.Tensor, "layer head token key"]
    positions: Int[torch.Tensor, " token"]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    grid: tuple[int, int]
    lengths: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> CrossAttention:
        """Return random attention of seven tokens in all layers and heads."""
        probability = uniform(seed + 1, LAYERS, HEADS, 7, PATCH_TOKENS).softmax(-1)
        return cls(
            probability,
            uniform(seed + 3, *probability.shape) - 0.5,
            torch.tensor([PROMPT, PROMPT, 0, 1, 1, 2, END]),
            tuple(range(1, LAYERS + 1)),
            tuple(range(HEADS)),
            GRID,
            (7,),
        )

    def pick(self, layers: tuple[int, ...], heads: tuple[int, ...]) -> CrossAttention:
        """Return what these layers and heads hold."""
        rows, columns = (
            [self.layers.index(layer) for layer in layers],
            [self.heads.index(head) for head in heads],
        )
        probability, gradient = (
            tensor[rows][:, columns] for tensor in (self.probability, self.gradient)
        )
        return replace(self, probability=probability, gradient=gradient, layers=layers, heads=heads)

    def maps(self, weights: Float[torch.Tensor, "layer head token key"]) -> TokenMaps:
        """Return weights as maps of tokens over the patches, summed over layers and heads.

        The first token of each caption is left out, and maps of padding are zero.
        """
        rows, columns = self.grid
        summed = weights.sum((0, 1))[:, -rows * columns :]
        summed = summed * (self.positions != PADDING)[:, None]
        starts = {sum(self.lengths[:index]) for index in range(len(self.lengths))}
        kept = [token for token in range(len(self.positions)) if token not in starts]
        lengths = tuple(length - 1 for length in self.lengths)
        return TokenMaps(summed[kept].unflatten(1, (rows, columns)), self.positions[kept], lengths)


@dataclass(frozen=True, eq=False)
class TokenMaps(Value):
    """Hold one map over the patches for every text token, first token of each caption removed."""

    data: Float[torch.Tensor, "token rows cols"]
    positions: Int[torch.Tensor, " token"]
    lengths: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> TokenMaps:
        """Return random maps of the tokens of the example attention, but for the first."""
        return cls(uniform(seed, 6, *GRID), torch.tensor([PROMPT, 0, 1, 1, 2, END]), (6,))


@dataclass(frozen=True, eq=False)
class Hidden(Value):
    """Hold the tokens that enter blocks of an image encoder: the class token, then the patches.

    `layers` are the blocks' numbers, from 1.
    """

    data: Float[torch.Tensor, "layer token width"]
    layers: tuple[int, ...]
    grid: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Hidden:
        """Return random tokens of the last two layers."""
        return cls(uniform(seed, 2, PATCH_TOKENS, WIDTH) - 0.5, (LAYERS - 1, LAYERS), GRID)

    def entering(self, layer: int) -> Float[torch.Tensor, "token width"]:
        """Return the tokens that enter this block."""
        return self.data[self.layers.index(layer)]


@dataclass(frozen=True, eq=False)
class Similarity(Value):
    """Hold how alike tokens are, for some blocks and heads: a softmax makes weights of it.

    A `term` is one way to compare, such as queries with queries. Tokens are those of `Hidden`.
    """

    data: Float[torch.Tensor, "layer term head token token"]
    layers: tuple[int, ...]
    grid: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Similarity:
        """Return random similarities of the last two layers, in two terms and two heads."""
        data = uniform(seed, 2, 2, 2, PATCH_TOKENS, PATCH_TOKENS) * 4
        return cls(data, (LAYERS - 1, LAYERS), GRID)


@dataclass(frozen=True, eq=False)
class Attention(Value):
    """Hold with what weight every token of `Hidden` takes in every other, for blocks and heads."""

    data: Float[torch.Tensor, "layer head token token"]
    layers: tuple[int, ...]
    grid: tuple[int, int]

    @classmethod
    def example(cls, seed: int = 0) -> Attention:
        """Return random weights of the last two layers, in two heads."""
        data = (uniform(seed, 2, 2, PATCH_TOKENS, PATCH_TOKENS) * 4).softmax(-1)
        return cls(data, (LAYERS - 1, LAYERS), GRID)


@dataclass(frozen=True, eq=False)
class PatchAttention(Value):
    """Hold with what weight patches take in each other in blocks, in the mean over their heads.

    `layers` are the blocks' numbers, from 1, of an encoder with `block_count` blocks. Rows do not
    sum to 1: what patches take in of the class token is left out.
    """

    data: Float[torch.Tensor, "layer patch patch"]
    layers: tuple[int, ...]
    grid: tuple[int, int]
    block_count: int

    @classmethod
    def example(cls, seed: int = 0) -> PatchAttention:
        """Return random weights of all layers."""
        data = (uniform(seed, LAYERS, PATCH_TOKENS, PATCH_TOKENS) * 4).softmax(-1)
        return cls(data[:, 1:, 1:], tuple(range(1, LAYERS + 1)), GRID, LAYERS)

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a matrix for every layer, of weights for every patch of the grid."""
        super().check(value)
        patches = value.grid[0] * value.grid[1]
        assert value.data.shape == (len(value.layers), patches, patches)
        assert (value.data >= 0).all(), "a weight is negative"

    def of(self, layers: tuple[int, ...]) -> Float[torch.Tensor, "layer patch patch"]:
        """Return what these blocks hold."""
        return self.data[[self.layers.index(layer) for layer in layers]]

    def on_grid(self, maps: Float[torch.Tensor, "map h w"]) -> Float[torch.Tensor, "map rows cols"]:
        """Return maps on the grid of the patches, resized bilinearly if they lie on another."""
        if tuple(maps.shape[1:]) == self.grid:
            return maps
        resized: torch.Tensor = torch.nn.functional.interpolate(
            maps[None], self.grid, mode="bilinear"
        )[0]
        return resized


@dataclass(frozen=True, eq=False)
class Explanation(Value):
    """Hold how the channels inside an image encoder speak for texts.

    `activations` are the channels over the patches; `logits` say how like the image is to each
    text; `gradients` are the derivatives of these in the channels, in the mean over the patches.
    Both are linear in what follows from the logits, so that the gradient of any function of them is
    a product with `gradients`. `labels` says which label each text is for.
    """

    activations: Float[torch.Tensor, "width rows cols"]
    logits: Float[torch.Tensor, " text"]
    gradients: Float[torch.Tensor, "text width"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> Explanation:
        """Return random numbers for three classes and a negative."""
        labels = (*range(1, len(NAMES) + 1), NEGATIVE)
        return cls(
            uniform(seed, WIDTH, *GRID) - 0.5,
            uniform(seed + 1, len(labels)) * 4,
            uniform(seed + 2, len(labels), WIDTH) - 0.5,
            labels,
        )

    def pick(self, texts: Sequence[int]) -> Explanation:
        """Return what is said of these texts, by their rows."""
        rows = list(texts)
        return replace(
            self,
            logits=self.logits[rows],
            gradients=self.gradients[rows],
            labels=tuple(self.labels[row] for row in rows),
        )


@dataclass(frozen=True, eq=False)
class PatchFeatures(Value):
    """Hold one vector for every patch."""

    data: Float[torch.Tensor, "width rows cols"]

    @classmethod
    def example(cls, seed: int = 0) -> PatchFeatures:
        """Return random vectors."""
        return cls(uniform(seed, WIDTH, *GRID) - 0.5)


@dataclass(frozen=True, eq=False)
class TextFeatures(Value):
    """Hold one vector for every text; `labels` says which label each is for.

    It is 0 for the background, and `NEGATIVE` for words that only compete.
    """

    data: Float[torch.Tensor, "text width"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> TextFeatures:
        """Return random vectors of length 1, two of them for the second class."""
        vectors = torch.nn.functional.normalize(uniform(seed, 4, WIDTH) - 0.5)
        return cls(vectors, (1, 2, 2, 3))


@dataclass(frozen=True, eq=False)
class Scores(Value):
    """Hold maps; `labels` says which label each is for, and may hold one twice.

    It is 0 for the background, and `NEGATIVE` for words that only compete.
    """

    data: Float[torch.Tensor, "class h w"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls: type[S], seed: int = 0) -> S:
        """Return random maps from 0 to 1, one for each class."""
        return cls(uniform(seed, len(NAMES), *SIZE), tuple(range(1, len(NAMES) + 1)))

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a label for every map, and that all scores are finite."""
        super().check(value)
        assert len(value.labels) == value.data.shape[0], "not every map has one label"
        assert value.data.isfinite().all(), "its scores are not finite"

    def with_data(self: S, data: Float[torch.Tensor, "class h w"]) -> S:
        """Return scores of the same kind and classes with other maps."""
        return replace(self, data=data)

    def without_negatives(self: S) -> S:
        """Return the maps of what may be an answer."""
        kept = [row for row, label in enumerate(self.labels) if label != NEGATIVE]
        if len(kept) == len(self.labels):
            return self
        return replace(self, data=self.data[kept], labels=tuple(self.labels[row] for row in kept))


@dataclass(frozen=True, eq=False)
class Saliency(Scores):
    """Hold maps that say how much a place speaks for a class, 0 or more, without a common scale."""


@dataclass(frozen=True, eq=False)
class Logits(Scores):
    """Hold maps that become probabilities by a softmax over classes."""

    @classmethod
    def example(cls: type[S], seed: int = 0) -> S:
        """Return random maps from -4 to 4, one for each class."""
        scores = super().example(seed)
        return scores.with_data(scores.data * 8 - 4)


@dataclass(frozen=True, eq=False)
class Confidences(Scores):
    """Hold maps from 0 to 1 on one scale for all classes."""


@dataclass(frozen=True, eq=False)
class Probabilities(Confidences):
    """Hold confidences that sum to 1 over the maps at every place."""

    @classmethod
    def example(cls: type[S], seed: int = 0) -> S:
        """Return random maps, one for each class, that sum to 1."""
        scores = super().example(seed)
        return scores.with_data((scores.data * 4).softmax(0))


@dataclass(frozen=True, eq=False)
class ForegroundMap(Value):
    """Hold how surely every place belongs to a thing, whichever it is: from 0 to 1."""

    data: Float[torch.Tensor, "h w"]

    @classmethod
    def example(cls, seed: int = 0) -> ForegroundMap:
        """Return a random map of half the image's size."""
        return cls(uniform(seed, *(side // 2 for side in SIZE)))

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that the map stays between 0 and 1."""
        super().check(value)
        low, high = value.data.aminmax()
        assert low >= 0, "it falls below 0"
        assert high <= 1, "it exceeds 1"


@dataclass(frozen=True, eq=False)
class Labels(Value):
    """Hold the id (`Vocabulary.ids`) of the class of every pixel."""

    ids: Int[torch.Tensor, "h w"]

    @classmethod
    def example(cls, seed: int = 0) -> Labels:
        """Return the class of the highest example score of every pixel."""
        return cls(Saliency.example(seed).data.argmax(0) + 1)


@dataclass(frozen=True, eq=False)
class Reward(Value):
    """Hold how good a result seems without true masks; more is better, NaN is nothing to judge."""

    data: Float[torch.Tensor, ""]

    @classmethod
    def example(cls, seed: int = 0) -> Reward:
        """Return the mean of the example scores."""
        return cls(Saliency.example(seed).data.mean())


V = TypeVar("V", bound=Value)
S = TypeVar("S", bound=Scores)
