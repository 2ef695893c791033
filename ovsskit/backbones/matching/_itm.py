"""What the models of image-text matching share: images in, captions in, attention with gradients and matches out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr

from ovsskit._lazy import Float, numpy, torch
from ovsskit.backbones._checkpoint import count_of, stored_names
from ovsskit.backbones.matching._fusion import by_image
from ovsskit.backbones.matching._text import TextReader, Tokens, read_word, read_wordpieces
from ovsskit.engine.model import Backbone, CrossAttends, MatchesText, Objective
from ovsskit.engine.readable import Reading
from ovsskit.engine.values import Caption, Captions, CrossAttention, Image
from ovsskit.errors import BadValue
from ovsskit.hub.weights import EMBEDDED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Size = Annotated[int, Field(ge=8)]
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
HALF_SCALE = 256.0
"""The objective is multiplied by this in fp16, and the gradients divided, lest small ones become zero."""


class ItmBackbone(Backbone, CrossAttends, MatchesText):
    """Attend and match with a model that has an image encoder, text layers that look at its tokens, and a matching head."""

    pairs_at_once: ClassVar[int] = 256
    """How many pairs of an image and a caption run in one pass; at least one for every image that is asked for."""

    image_size: Annotated[
        Size | tuple[Size, Size],
        Field(
            description="height and width that images are resized to, in pixels: one number, or two"
        ),
    ] = 336
    interpolation: Annotated[
        Literal["bicubic", "bilinear"], Field(description="how images are resized")
    ] = "bicubic"
    normalise: Annotated[
        bool, Field(description="subtract the mean and divide by the deviation of CLIP's training")
    ] = True

    _seen: WeakKeyDictionary[Image, Any] = PrivateAttr(default_factory=WeakKeyDictionary)

    published_layers: ClassVar[int]
    """How many layers with cross-attention the published models have."""
    layer_names: ClassVar[str]
    """What the name of a tensor in a layer with cross-attention begins with; its group is the layer's number."""

    def known_layer_count(self) -> int | None:
        """Return the number of layers with cross-attention, from the names in the weights if they are here and quick to ask."""
        names = stored_names(
            self.embedded if self.weights == EMBEDDED else Path(self.weights).expanduser()
        )
        return count_of(names, self.layer_names) or None if names else self.published_layers

    @property
    def reads_first_token(self) -> bool:
        """Return that the matching head reads the first token alone; so it is in all these models."""
        return True

    @property
    @abstractmethod
    def patch_size(self) -> int:
        """Return the width of a patch in pixels."""

    def tokenizer(self, rows: int | None = None) -> Tokenizer:
        """Return the tokenizer that lies with the weights.

        Raises:
            MissingWeights, BadWeights: there is none, or not one for so many rows of word embeddings, if they are known.
        """
        return read_wordpieces(self.need_weights(), rows)

    @cached_property
    def words(self) -> Tokenizer:
        """Return the tokenizer as it is read before the network is."""
        return self.tokenizer()

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a word by itself."""
        return read_word(self.words, word)

    @cached_property
    @abstractmethod
    def reader(self) -> TextReader:
        """Return what encodes captions."""

    @abstractmethod
    def look(self, pixels: Float[torch.Tensor, "image 3 h w"]) -> Float[torch.Tensor, "image ..."]:
        """Return what the image encoder makes of prepared images; nothing in it depends on a caption."""

    @abstractmethod
    def fuse(
        self,
        features: Float[torch.Tensor, "image ..."],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Return the matching head's output and the cross-attention of the wanted layers, tied to it by a graph.

        The first axis of the attention is that of the images or of all captions of all images, as `by_image` takes it.
        """

    @property
    def size(self) -> tuple[int, int]:
        """Return the height and width that images are resized to."""
        return (
            self.image_size
            if isinstance(self.image_size, tuple)
            else (self.image_size, self.image_size)
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Return rows and columns of the patches that an image is cut into."""
        return self.grid_of(self.patch_size)

    def grid_of(self, patch: int) -> tuple[int, int]:
        """Return rows and columns of patches of this width.

        Raises:
            BadValue: `image_size` is no multiple of it.
        """
        height, width = self.size
        if height % patch or width % patch:
            what = f"backbone.image_size is {_listed(self.size)}, and the model's patches are {patch} pixels wide."
            raise BadValue(what, fix=f"Give a multiple of {patch}.")
        return height // patch, width // patch

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a caption takes, special tokens included."""
        return self.reader.count(text)

    @property
    def token_limit(self) -> int:
        """Return how many tokens one caption may take."""
        return self.reader.limit

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: resized, normalised, hidden patches at 0."""
        from PIL import Image as Pillow

        method = {"bicubic": Pillow.Resampling.BICUBIC, "bilinear": Pillow.Resampling.BILINEAR}[
            self.interpolation
        ]
        resized = Pillow.fromarray(image.pixels.cpu().numpy()).resize(self.size[::-1], method)
        data = torch.from_numpy(numpy.array(resized)).permute(2, 0, 1).float() / 255
        if self.normalise:
            data = (data - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[
                :, None, None
            ]
        if image.hidden is not None:
            patch = self.size[0] // image.hidden.shape[0]
            data = data.masked_fill(
                image.hidden.cpu().repeat_interleave(patch, 0).repeat_interleave(patch, 1), 0
            )
        return data

    def encode(self, images: Sequence[Image]) -> Float[torch.Tensor, "image ..."]:
        """Return what the image encoder makes of images, without gradients.

        What an image gave is kept as long as the image is, since several stages ask for it.
        """
        fresh = [image for image in dict.fromkeys(images) if image not in self._seen]
        if fresh:
            pixels = torch.stack([self.pixels(image) for image in fresh]).to(
                self._device, self.dtype
            )
            with torch.no_grad():
                self._seen.update(zip(fresh, self.look(pixels).unbind(), strict=True))
        return torch.stack([self._seen[image] for image in images])

    def cross_attention(
        self,
        images: Sequence[Image],
        captions: Sequence[Captions],
        *,
        layers: Sequence[int] | None,
        objective: Objective,
        pad_to: int,
    ) -> list[CrossAttention]:
        """Run the network once over all images; layers count from 1, `None` means all of them.

        The image encoder and the text layers below the lowest wanted one keep no graph.

        Raises:
            BadValue: the network has no such layer.
        """
        wanted = (
            tuple(sorted(set(layers)))
            if layers is not None
            else tuple(range(1, self.layer_count + 1))
        )
        if not wanted or not set(wanted) <= set(range(1, self.layer_count + 1)):
            raise BadValue(
                f"Layers {_listed(wanted)} are asked for; the model has 1 to {self.layer_count}."
            )
        reader = self.reader
        rows = [
            [reader.read(caption).padded(pad_to, reader.padding) for caption in mine.captions]
            for mine in captions
        ]
        features = self.encode(images)
        parts: list[list[Any]] = [[] for _ in rows]
        for some, group in self._groups(rows):
            for index, part in zip(
                some, self._attend(features[some], group, wanted, objective), strict=True
            ):
                parts[index].append(part)
        found = []
        for row, mine in zip(rows, parts, strict=True):
            probability, gradient = (torch.cat(tensors, 2) for tensors in zip(*mine, strict=True))
            positions = torch.tensor(
                [mark for tokens in row for mark in tokens.positions], device=self._device
            )
            heads, lengths = (
                tuple(range(probability.shape[1])),
                tuple(len(tokens.ids) for tokens in row),
            )
            found.append(
                CrossAttention(probability, gradient, positions, wanted, heads, self.grid, lengths)
            )
        return found

    def match(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, " caption"]]:
        """Return, for every image, the probability from 0 to 1 that it fits each of its captions."""
        return [logits.softmax(-1)[:, 1] for logits in self.logits(images, captions)]

    def logits(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, "caption 2"]]:
        """Return, for every image, the matching head's output for each of its captions: no match, match."""
        rows = [[self.reader.read(caption) for caption in mine] for mine in captions]
        found: list[Any] = [[] for _ in rows]
        with torch.no_grad():
            features = self.encode(images)
            for some, group in self._groups(rows):
                logits = self.fuse(features[some], group, ())[0].float()
                for index, row, one in zip(some, group, logits, strict=True):
                    found[index].append(one[: len(row)])
        return [torch.cat(parts) for parts in found]

    def _groups(
        self, rows: Sequence[Sequence[Tokens]]
    ) -> Iterator[tuple[list[int], list[Sequence[Tokens]]]]:
        """Split the captions of images into passes; yield the images of each and what it holds of their captions."""
        size = max(1, self.pairs_at_once // len(rows))
        for start in range(0, max(map(len, rows)), size):
            some = [index for index, row in enumerate(rows) if row[start : start + size]]
            yield some, [rows[index][start : start + size] for index in some]

    def _attend(
        self,
        features: Any,
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
        objective: Objective,
    ) -> Iterator[
        tuple[
            Float[torch.Tensor, "layer head token key"], Float[torch.Tensor, "layer head token key"]
        ]
    ]:
        """Yield, for every image, probabilities and gradients of all its tokens, padding to the longest left out."""
        with torch.inference_mode(False), torch.enable_grad():
            logits, attention = self.fuse(features, rows, wanted)
            scale = HALF_SCALE if self.precision == "fp16" else 1.0
            matches = (
                logits[..., 1].sum()
                if objective == "match_logit"
                else logits.log_softmax(-1)[..., 1].sum()
            )
            gradients = torch.autograd.grad(matches * scale, attention)
        kept = [
            [by_image(one.detach().float(), len(rows)) for one in tensors]
            for tensors in (attention, gradients)
        ]
        longest = max(len(tokens.ids) for row in rows for tokens in row)
        for index, row in enumerate(rows):
            places = [
                start * longest + token
                for start, tokens in enumerate(row)
                for token in range(len(tokens.ids))
            ]
            probability, gradient = (
                torch.stack([one[index][:, places] for one in tensors]) for tensors in kept
            )
            yield probability, gradient / scale


def resize_positions(
    table: Float[torch.Tensor, "position width"],
    grid: tuple[int, int],
    mode: Literal["bicubic", "bilinear"],
) -> Float[torch.Tensor, "_ width"]:
    """Return position embeddings of a square grid for another grid; the first row, the class token's, stays as it is."""
    side = round((len(table) - 1) ** 0.5)
    if (side, side) == grid:
        return table
    cells = table[1:].unflatten(0, (side, side)).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(cells, size=grid, mode=mode, align_corners=False)
    return torch.cat([table[:1], resized[0].flatten(1).T])


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, dict.fromkeys(numbers)))
