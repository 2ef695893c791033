"""What a backbone is, and the capabilities by which stages ask for one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast

from pydantic import BaseModel, Field, PrivateAttr, field_validator

from ovsskit._lazy import Float, torch
from ovsskit.engine.readable import Reading, check_words, note_unread, note_untrained
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import (
    Attention,
    Caption,
    Captions,
    CrossAttention,
    Hidden,
    Image,
    PatchFeatures,
    Vocabulary,
)
from ovsskit.errors import BadWeights, Place, refusal
from ovsskit.files.digests import digest_files, digest_path
from ovsskit.files.reading import why_no_path
from ovsskit.hub.weights import (
    ANY,
    EMBEDDED,
    HubFiles,
    Published,
    WeightsInfo,
    commit_of,
    describe_published,
    describe_weights,
    find_weights,
    need_weights,
    read_files,
    refuse_to_fetch,
)

B = TypeVar("B", bound="Backbone")
Objective = Literal["match_logit", "match_loss"]


class CrossAttends(Capability):
    """Give the attention of text tokens to image patches, and its gradient in the matching objective."""

    @abstractmethod
    def count_tokens(self, text: str) -> int:
        """Return how many tokens a caption takes, special tokens included."""

    @property
    @abstractmethod
    def token_limit(self) -> int:
        """Return how many tokens one caption may take."""

    @property
    @abstractmethod
    def layer_count(self) -> int:
        """Return the number of layers with cross-attention."""

    def known_layer_count(self) -> int | None:
        """Return the number of layers with cross-attention if it can be told without reading weights, quickly."""
        return None

    @property
    def reads_first_token(self) -> bool:
        """Return whether the matching head reads the first token alone, so that the last layer gives classes no gradient."""
        return False

    def layers_with_gradient(self) -> tuple[int, ...] | None:
        """Return the layers from which classes get a gradient, or None where this is not known before weights are read."""
        count = self.known_layer_count()
        return None if count is None else tuple(range(1, count + (not self.reads_first_token)))

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """Return rows and columns of the patches that an image is cut into."""

    @abstractmethod
    def cross_attention(
        self,
        images: Sequence[Image],
        captions: Sequence[Captions],
        *,
        layers: Sequence[int] | None,
        objective: Objective,
        pad_to: int,
    ) -> list[CrossAttention]:
        """Run the network once over all images; layers count from 1, `None` means all of them."""


class MatchesText(Capability):
    """Score how well an image fits a sentence."""

    @abstractmethod
    def match(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, " caption"]]:
        """Return, for every image, the probability from 0 to 1 that it fits each of its captions."""


class EncodesText(Capability):
    """Give a vector for every text, to compare with those of patches and images."""

    @abstractmethod
    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, as the text encoder projects it, not normalised; what is too long is cut, and said.

        There may be thousands of texts; the backbone bounds what it takes at once.
        """


class EncodesImage(Capability):
    """Give a vector for a whole image, to compare with those of texts."""

    @abstractmethod
    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, as the image encoder projects it, not normalised."""


class EncodesImageAndText(EncodesImage, EncodesText):
    """Give vectors for whole images and for texts in one space, so that they can be compared."""


class EncodesPatches(Capability):
    """Give the tokens inside an image encoder, and bring them to the end by any attention."""

    @property
    @abstractmethod
    def block_count(self) -> int:
        """Return the number of blocks of the image encoder."""

    @abstractmethod
    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (numbers from 1); images keep their size."""

    @abstractmethod
    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[
        Float[torch.Tensor, "head token width"],
        Float[torch.Tensor, "head token width"],
        Float[torch.Tensor, "head token width"],
    ]:
        """Return a block's queries, keys and values of the tokens that enter it."""

    @abstractmethod
    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""

    @abstractmethod
    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""

    @abstractmethod
    def finish(
        self, hidden: Hidden, attention: Attention, *, residual: bool, feed_forward: bool
    ) -> PatchFeatures:
        """Add up the attended values of the blocks of `attention`, and project the patches into the space of texts.

        With `residual` the sum starts from the tokens that enter the first of these blocks, else from zero. With
        `feed_forward` the last block's second half follows.
        """


class DecodesPatches(Capability):
    """Give logits of classes for every patch, and the features of the patches before any word was read."""

    @abstractmethod
    def decode_patches(
        self, images: Sequence[Image], names: Sequence[Sequence[str]]
    ) -> list[Float[torch.Tensor, "class rows cols"]]:
        """Return, for every image, one map of logits for each of its class names."""

    @abstractmethod
    def trunk_features(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Return, for every image, what the patch trunk sees."""


class Backbone(BaseModel, frozen=True, extra="forbid", strict=True):
    """Describe a model: which weights, at which size and precision. The network itself is read at first use."""

    embedded: ClassVar[Path] = Path()
    hub_files: ClassVar[HubFiles] = ANY
    published: ClassVar[Mapping[str, Published]] = {}
    """What is known of published checkpoints, by what recipes call them."""

    weights: Annotated[
        str, Field(description="a hub id, a local folder, a local checkpoint, or `embedded`")
    ]
    revision: Annotated[
        str,
        Field(
            description="commit, tag or branch of the hub repository; if empty, the commit that is known, else `main`"
        ),
    ] = ""
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], Field(description="number format of the network")
    ] = "fp32"

    _device: str = PrivateAttr("cpu")

    @field_validator("weights")
    @classmethod
    def _can_be_a_path(cls, weights: str) -> str:
        if reason := why_no_path(weights):
            raise refusal(f"no file or repository has such a name: {reason}")
        return weights

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return what people call the model if tensors of such names are one of it, else nothing.

        Where weights do not fit a model, this tells whose they are.
        """
        return ""

    def to(self: B, device: str) -> B:
        """Return the same backbone on another device: a new one, as whatever this one has read or kept lies on its own."""
        if device == self._device:
            return self
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        moved: Any = type(self).model_construct(set(self.model_fields_set), **settings)
        moved._device = device
        if "digest" in self.__dict__:  # to take it again would read all weights
            moved.__dict__["digest"] = self.digest
        return cast("B", moved)

    @property
    def device(self) -> str:
        """Return the device on which the network is, or will be once it is read."""
        return self._device

    @property
    def source(self) -> str:
        """Return where the weights come from: a hub id, a local path, or `embedded`."""
        return self.weights

    @property
    def pinned(self) -> str:
        """Return the commit, tag or branch that is meant of the hub repository."""
        known = self.published.get(self.source)
        return self.revision or (known.commit if known is not None else "") or "main"

    def describe_weights(self) -> WeightsInfo:
        """Say where the weights are, whether they are here, their size and their licence."""
        known = self.published.get(self.source)
        if known is not None and self._is_elsewhere():
            return describe_published(self.source, known)
        info = describe_weights(self.source, self.pinned, self.embedded, self.hub_files)
        return (
            info
            if known is None
            else replace(info, published=known, licence=info.licence or known.licence)
        )

    def need_weights(self) -> Path:
        """Return the file or folder of the weights, fetched from the hub if they are not here.

        Raises:
            MissingWeights: they are neither local nor downloadable.
            BadWeights: a file in the hub's cache has another content than the hub's.
        """
        if self._is_elsewhere():
            raise refuse_to_fetch(self.source, self.published[self.source])
        return need_weights(self.source, self.pinned, self.embedded, self.hub_files)

    def find_weights(self) -> Path | None:
        """Return the file or folder of the weights if they are on this machine; the network is not asked."""
        return find_weights(self.source, self.pinned, self.embedded, self.hub_files)

    def read_files(self) -> dict[str, Path]:
        """Return the files that the model is made of, by name: its weights, and what is read beside them.

        Raises:
            MissingWeights: they are neither local nor downloadable.
        """
        return read_files(self.need_weights(), self.hub_files)

    def describe_files(self) -> dict[str, Any]:
        """Return where the weights come from, the hub's commit if they are of the hub, and the digest of every file."""
        files = {name: digest_path(file) for name, file in self.read_files().items()}
        return {"source": self.source, "commit": commit_of(self.need_weights()), "files": files}

    def _is_elsewhere(self) -> bool:
        """Return whether the weights are known to be neither here nor on the hub."""
        known = self.published.get(self.source)
        return known is not None and not known.is_on_hub and not Path(self.source).exists()

    def convert_weights(self, file: Path) -> None:
        """Write an original checkpoint as safetensors, with what this backbone reads of it alone.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        what = f"`{self.source}` cannot be converted: this backbone reads no checkpoints but those of its own format."
        raise BadWeights(what, where=Place(str(file)))

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors; a backbone may leave this to `load`.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """

    @cached_property
    def digest(self) -> str:
        """Return the digest of all files that it is made of; it is taken once.

        Raises:
            MissingWeights: they are neither local nor downloadable.
            BadWeights: a file in the hub's cache has another content than the hub's.
        """
        return digest_files(self.read_files())

    def read_word(self, word: str) -> Reading | None:
        """Return what the text encoder reads of a word by itself; None where that cannot be told, or nothing is read.

        It is asked before a run, and shall read the tokenizer alone, not the network.
        """
        return None

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Refuse classes whose words the model cannot read or tell apart; called before a run.

        Raises:
            BadClasses: it cannot, or the weights are made for other classes, or cannot take so many.
        """
        from ovsskit.embedded import CLASSES

        named = tuple(enumerate(vocabulary.names, 1))
        words = vocabulary.queries if isinstance(self, EncodesText) else named
        check_words(words, self.read_word, Place(self.weights))
        if words is named and any(vocabulary.synonyms):
            note_unread([word for others in vocabulary.synonyms for word in others])
        if self.weights.partition(":")[0] == EMBEDDED:
            note_untrained(words, CLASSES)

    @property
    def dtype(self) -> Any:
        """Return the torch number format of `precision`."""
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[
            self.precision
        ]

    @cached_property
    def network(self) -> Any:
        """Return the network, in evaluation mode and without gradients, on the backbone's device."""
        return self.load().to(device=self._device, dtype=self.dtype).eval().requires_grad_(False)

    @abstractmethod
    def load(self) -> Any:
        """Read the network from its weights."""


def capabilities(cls: type) -> list[type[Capability]]:
    """Return the capabilities that a backbone class has."""
    return [base for base in cls.__mro__ if Capability in base.__bases__]
