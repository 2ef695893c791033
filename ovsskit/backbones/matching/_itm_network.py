"""The network of a matching model: read from its weights, for images of one size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import count_of, stored_names, weights_file
from ovsskit.backbones.matching._family import Family
from ovsskit.backbones.matching._text import read_word
from ovsskit.backbones.matching._tokenizer import WORDPIECES, Kind, read_tokenizer
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.engine.readable import Reading
from ovsskit.errors import BadValue
from ovsskit.hub.weights import EMBEDDED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Size = Annotated[int, Field(ge=8)]


class ItmNetwork(PretrainedBackbone):
    """Read a matching model, its tokenizer, and what its checkpoints say."""

    family: ClassVar[Family]
    """What is particular about the model's checkpoints."""
    text: ClassVar[Kind] = WORDPIECES
    """The kind of its tokenizer."""

    resampling: ClassVar[Literal["bicubic", "bilinear"]] = "bicubic"
    """How position embeddings are resized to another grid."""

    image_size: Annotated[
        Size | tuple[Size, Size],
        Field(
            description="height and width that images are resized to, in pixels: one number, or two"
        ),
    ] = 336

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

    @property
    def patch_size(self) -> int:
        """Return the width of a patch in pixels."""
        return int(self.network.get_submodule(self.family.embeddings).patch_size)

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
                f"backbone.image_size is {listed(self.size)}, and the model's patches are {patch}"
                " pixels wide."
            )
            raise BadValue(what, fix=f"Give a multiple of {patch}.")
        return height // patch, width // patch


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


def listed(numbers: Sequence[int]) -> str:
    """Return different numbers as words have them."""
    return ", ".join(map(str, dict.fromkeys(numbers)))
