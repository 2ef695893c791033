"""What matching models share: from images and captions to attention and matches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr

from ovsskit._lazy import Float, numpy, torch
from ovsskit.backbones._checkpoint import count_of, stored_names, weights_file
from ovsskit.backbones.matching._family import Family
from ovsskit.backbones.matching._text import TextReader, Tokens, read_word
from ovsskit.backbones.matching._tokenizer import WORDPIECES, Kind, read_tokenizer
from ovsskit.engine.model import CrossAttends, MatchesText, Objective, PretrainedBackbone
from ovsskit.engine.readable import Reading
from ovsskit.engine.sending import pick, send, send_places
from ovsskit.engine.values import Caption, Captions, CrossAttention, Image
from ovsskit.errors import BadValue
from ovsskit.hub.weights import EMBEDDED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Size = Annotated[int, Field(ge=8)]
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
HALF_SCALE = 256.0
"""Factor of the objective in fp16, divided out later, so that gradients do not underflow."""


class ItmBackbone(PretrainedBackbone, CrossAttends, MatchesText):
    """Attend and match with an image encoder, text layers that look at it, and a matching head."""

    waits: ClassVar[str] = "Pillow resizes images on the processor, as in the released codes"
    compiles: ClassVar[str] = (
        r"vision_model\.encoder\.layers\.\d+\.mlp|.*\.visual\.transformer\.resblocks\.\d+"
    )
    family: ClassVar[Family]
    """What is particular about the model's checkpoints."""
    text: ClassVar[Kind] = WORDPIECES
    """The kind of its tokenizer."""

    pairs_at_once: ClassVar[int] = 256
    """How many pairs of an image and a caption run in one pass; at least one for every image."""
    resampling: ClassVar[Literal["bicubic", "bilinear"]] = "bicubic"
    """How position embeddings are resized to another grid."""

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

    def __init_subclass__(cls, **options: Any) -> None:
        """Take what is known of published checkpoints from the family."""
        super().__init_subclass__(**options)
        if "family" in vars(cls):
            cls.published = cls.family.published

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return the model's name if tensors of such names are one of it, else an empty text."""
        return cls.family.recognise(names)

    @property
    def given(self) -> Mapping[str, Any]:
        """Return what this backbone says of the network, whatever lies with the weights."""
        return {}

    def load(self) -> Any:
        """Read the network, its position embeddings resized to the grid of `image_size`.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
            BadValue: `image_size` is not a multiple of the patch.
        """
        network = self.family.read_network(self.need_weights(), self.dtype, self.given)
        embeddings = network.get_submodule(self.family.embeddings)
        grid, positions = self.grid_of(embeddings.patch_size), embeddings.position_embedding
        if isinstance(positions, torch.nn.Embedding):
            table = resize_positions(positions.weight.detach(), grid, self.resampling)
            embeddings.position_embedding = torch.nn.Embedding.from_pretrained(table)
        else:
            table = resize_positions(positions.detach()[0], grid, self.resampling)
            embeddings.position_embedding = torch.nn.Parameter(table[None])
        return network

    def check_weights(self) -> None:
        """Refuse weights and a tokenizer that do not fit, without reading tensors."""
        self.tokenizer(self.family.check(self.need_weights()))

    def convert_weights(self, file: Path) -> None:
        """Write an original checkpoint as safetensors, with what is read of it alone."""
        weights = weights_file(self.need_weights(), self.family.fix)
        beside = [one for one in self.read_files().values() if one != weights]
        self.family.convert(self.need_weights(), file, beside)

    def known_layer_count(self) -> int | None:
        """Return the number of layers with cross-attention, if names in the weights tell it."""
        path = self.embedded if self.weights == EMBEDDED else Path(self.weights).expanduser()
        names = [self.family.rename(name) for name in stored_names(path)]
        if not names:
            return self.family.published_layers
        return count_of(names, self.family.layers) or None

    @property
    def reads_first_token(self) -> bool:
        """Return that the matching head reads the first token alone, as in all these models."""
        return True

    @property
    def patch_size(self) -> int:
        """Return the width of a patch in pixels."""
        return int(self.network.get_submodule(self.family.embeddings).patch_size)

    def tokenizer(self, rows: int | None = None) -> Tokenizer:
        """Return the tokenizer that lies with the weights.

        Raises:
            MissingWeights, BadWeights: there is none, or not one for so many rows of word
                embeddings, if they are known.
        """
        return read_tokenizer(self.need_weights(), self.text, rows)

    @cached_property
    def words(self) -> Tokenizer:
        """Return the tokenizer as it is read before the network is."""
        return self.tokenizer()

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return read_word(self.words, word)

    @cached_property
    @abstractmethod
    def reader(self) -> TextReader:
        """Return what encodes captions."""

    @abstractmethod
    def encode_image(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image ..."]:
        """Return what the image encoder makes of prepared images; no caption matters to it."""

    @abstractmethod
    def fuse_text(
        self,
        features: Float[torch.Tensor, "image ..."],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Return the matching head's output, and the wanted cross-attention, tied to it by a graph.

        The first axis of the attention is that of the images or of all captions of all images, as
        `by_image` takes it.
        """

    @property
    def size(self) -> tuple[int, int]:
        """Return the height and width that images are resized to."""
        size = self.image_size
        return size if isinstance(size, tuple) else (size, size)

    @property
    def grid(self) -> tuple[int, int]:
        """Return rows and columns of the patches that an image is cut into."""
        return self.grid_of(self.patch_size)

    def grid_of(self, patch: int) -> tuple[int, int]:
        """Return rows and columns of patches of this width.

        Raises:
            BadValue: `image_size` is not a multiple of it.
        """
        height, width = self.size
        if height % patch or width % patch:
            what = (
                f"backbone.image_size is {_listed(self.size)}, and the model's patches are {patch}"
                " pixels wide."
            )
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

        method = Pillow.Resampling[self.interpolation.upper()]
        resized = Pillow.fromarray(image.pixels.cpu().numpy()).resize(self.size[::-1], method)
        data = torch.from_numpy(numpy.array(resized)).permute(2, 0, 1).float() / 255
        if self.normalise:
            mean, deviation = torch.tensor([MEAN, DEVIATION])[..., None, None]
            data = (data - mean) / deviation
        if image.hidden is not None:
            patch = self.size[0] // image.hidden.shape[0]
            hidden = image.hidden.cpu().repeat_interleave(patch, 0).repeat_interleave(patch, 1)
            data = data.masked_fill(hidden, 0)
        return data

    def encode(self, images: Sequence[Image]) -> Float[torch.Tensor, "image ..."]:
        """Return what the image encoder makes of images, without gradients.

        What an image gave is kept as long as the image is, since several stages ask for it.
        """
        fresh = [image for image in dict.fromkeys(images) if image not in self._seen]
        if fresh:
            pixels = torch.stack([self.pixels(image) for image in fresh])
            with torch.no_grad():
                features = self.encode_image(send(pixels.to(self.dtype), self._device))
            self._seen.update(zip(fresh, features.unbind(), strict=True))
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
        reader, count = self.reader, self.layer_count
        wanted = tuple(sorted(set(range(1, count + 1) if layers is None else layers)))
        if not wanted or wanted[0] < 1 or wanted[-1] > count:
            raise BadValue(f"Layers {_listed(wanted)} are asked for; the model has 1 to {count}.")
        rows = [
            [reader.read(caption).padded(pad_to, reader.padding) for caption in mine.captions]
            for mine in captions
        ]
        features = self.encode(images)
        parts: list[list[Any]] = [[] for _ in rows]
        for some, group in self._groups(rows):
            attended = self._attend(pick(features, some), group, wanted, objective)
            for index, part in zip(some, attended, strict=True):
                parts[index].append(part)
        found = []
        for row, mine in zip(rows, parts, strict=True):
            probability, gradient = (torch.cat(tensors, 2) for tensors in zip(*mine, strict=True))
            marks = [mark for tokens in row for mark in tokens.positions]
            found.append(
                CrossAttention(
                    probability,
                    gradient,
                    positions=send_places(marks, self._device),
                    layers=wanted,
                    heads=tuple(range(probability.shape[1])),
                    grid=self.grid,
                    lengths=tuple(len(tokens.ids) for tokens in row),
                )
            )
        return found

    def match(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, " caption"]]:
        """Return the probability from 0 to 1 that an image fits each of its captions."""
        return [logits.softmax(-1)[:, 1] for logits in self.logits(images, captions)]

    def logits(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, "caption 2"]]:
        """Return what the head gives for each of an image's captions: no match, match."""
        rows = [[self.reader.read(caption) for caption in mine] for mine in captions]
        found: list[Any] = [[] for _ in rows]
        with torch.no_grad():
            features = self.encode(images)
            for some, group in self._groups(rows):
                logits = self.fuse_text(pick(features, some), group, ())[0].float()
                for index, row, one in zip(some, group, logits, strict=True):
                    found[index].append(one[: len(row)])
        return [torch.cat(parts) for parts in found]

    def _groups(
        self, rows: Sequence[Sequence[Tokens]]
    ) -> Iterator[tuple[list[int], list[Sequence[Tokens]]]]:
        """Split the captions of images into passes; yield of each the images and their captions."""
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
        """Yield, for every image, probabilities and gradients of its tokens, without padding."""
        with torch.inference_mode(False), torch.enable_grad():
            logits, attention = self.fuse_text(features, rows, wanted)
            scale = HALF_SCALE if self.number_format == "fp16" else 1.0
            if objective == "match_loss":
                logits = logits.log_softmax(-1)
            gradients = torch.autograd.grad(logits[..., 1].sum() * scale, attention)
        kept = [
            [by_image(one.detach().float(), len(rows)) for one in tensors]
            for tensors in (attention, gradients)
        ]
        longest = max(len(tokens.ids) for row in rows for tokens in row)
        for index, row in enumerate(rows):
            tokens_of_row = [
                start * longest + token
                for start, tokens in enumerate(row)
                for token in range(len(tokens.ids))
            ]
            places = send_places(tokens_of_row, features.device)
            probability, gradient = (
                torch.stack([one[index].index_select(1, places) for one in tensors])
                for tensors in kept
            )
            yield probability, gradient / scale


def resize_positions(
    table: Float[torch.Tensor, "position width"],
    grid: tuple[int, int],
    mode: Literal["bicubic", "bilinear"],
) -> Float[torch.Tensor, "_ width"]:
    """Return position embeddings for another grid; the first, the class token's, stays."""
    side = round((len(table) - 1) ** 0.5)
    if (side, side) == grid:
        return table
    cells = table[1:].unflatten(0, (side, side)).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(cells, size=grid, mode=mode, align_corners=False)
    return torch.cat([table[:1], resized[0].flatten(1).T])


def by_image(
    attention: Float[torch.Tensor, "_ head _ key"], count: int
) -> Float[torch.Tensor, "image head token key"]:
    """Return attention with the tokens of all rows of an image in one line, however they ran."""
    found: torch.Tensor = attention.unflatten(0, (count, -1)).transpose(1, 2).flatten(2, 3)
    return found


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, dict.fromkeys(numbers)))
