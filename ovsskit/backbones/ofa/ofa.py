"""Use OFA as IFSeg does: its decoder gives every patch a feature to compare with class words."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones.ofa._resize import resize
from ovsskit.engine.model import DecodesPatches, PretrainedBackbone
from ovsskit.engine.readable import Reading, reading_of
from ovsskit.engine.sending import send
from ovsskit.engine.values import Image, PatchFeatures, Vocabulary
from ovsskit.errors import BadClasses, Place, first_of
from ovsskit.hub.weights import HubFiles
from ovsskit.recipe.class_lists import list_words

if TYPE_CHECKING:
    from ovsskit.backbones.ofa._checkpoint import Checkpoint, Tuned
    from ovsskit.backbones.ofa._network import Biases, OfaNetwork
    from ovsskit.backbones.ofa._text import TextReader

STRIDE = 16
KEPT_BIASES = 2**30
"""Bytes of position biases that are kept by grid; those of the last grid are always kept."""
SAME_EMBEDDING = 0.01
"""Greatest difference, relative to the maximum, of equal embeddings, also in half precision."""

log = logging.getLogger(__name__)


class Ofa(PretrainedBackbone, DecodesPatches):
    """Decode patches with OFA (tiny, base, large, or any other size), tuned on words alone or not.

    Weights are a folder that `ovsskit fit` wrote, a hub id or folder of the hub port, or a
    checkpoint of OFA or IFSeg in fairseq's format (`.pt`). Source: Wang et al. 2022, OFA; Yun et
    al. 2023, IFSeg, released code.
    """

    compiles: ClassVar[str] = r"(encoder|decoder)\.layers\.\d+"
    waits: ClassVar[str] = "images are resized on the processor, as in the released code"
    embedded: ClassVar[Path] = Path(__file__).parents[2] / "embedded" / "ofa"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, beside=("dict.txt",))

    image_size: Annotated[
        int,
        Field(ge=16, description="length of an image's shorter side, in pixels; its shape is kept"),
    ] = 512
    longer_side: Annotated[
        int, Field(ge=16, description="greatest length of the longer side, in pixels")
    ] = 2048

    keep_shape: Annotated[
        bool, Field(description="keep an image's shape; else it becomes a square")
    ] = True

    _seen: WeakKeyDictionary[Image, Any] = PrivateAttr(default_factory=WeakKeyDictionary)
    _biases: OrderedDict[tuple[tuple[int, int], int], Any] = PrivateAttr(
        default_factory=OrderedDict
    )

    def load(self) -> OfaNetwork:
        """Read the network.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        if self.checkpoint.is_new:
            log.warning(
                "the weights %s are not tuned for classes: `ovsskit fit` does that", self.weights
            )
        return self.checkpoint.network

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Return what was read."""
        from ovsskit.backbones.ofa._checkpoint import read_checkpoint

        return read_checkpoint(self.need_weights())

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes class names."""
        from ovsskit.backbones.ofa._checkpoint import read_text

        shape = self.network.shape
        return read_text(self.need_weights(), shape.rows, shape.positions)

    def check_weights(self) -> None:
        """Refuse weights and a dictionary that do not fit, without reading tensors."""
        from ovsskit.backbones.ofa._checkpoint import check_checkpoint, read_text

        read_text(self.need_weights(), *check_checkpoint(self.need_weights()))

    def convert_weights(self, file: Path) -> None:
        """Write a checkpoint of fairseq or the hub port as safetensors, reduced to what is read."""
        from ovsskit.backbones.ofa._checkpoint import convert

        convert(self.need_weights(), file)

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Refuse classes that the weights are not tuned for, if this is known without reading them.

        Raises:
            BadClasses: the weights are tuned for other classes, do not know a word, or have too few
                positions.
        """
        from ovsskit.backbones.ofa._checkpoint import Tuned, read_names

        self.check_words(vocabulary)
        self._compare(vocabulary.names, Tuned(read_names(self.need_weights())), None)

    def check_words(self, vocabulary: Vocabulary) -> None:
        """Refuse classes that the network cannot read, and other weights by their tensors' shapes.

        Raises:
            BadClasses: a class has synonyms, the weights do not know a word or tell two apart, or
                have too few positions.
            BadWeights: they are missing, broken, or of another architecture or size.
        """
        names = vocabulary.names
        more = next(
            (line for line in zip(names, vocabulary.synonyms, strict=False) if line[1]), None
        )
        if more is not None:
            what = (
                f"The class `{more[0]}` has synonyms ({', '.join(more[1])}), and IFSeg reads one "
                "name for each class."
            )
            raise BadClasses(what, fix="Give one name without commas.")
        self.words.read(names)
        super().check_vocabulary(vocabulary)

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        from ovsskit.backbones.ofa._text import gpt2_ids, tokenizer

        return reading_of(gpt2_ids(word), None, tokenizer().decode)

    @cached_property
    def words(self) -> TextReader:
        """Return what encodes class names, without reading the network."""
        from ovsskit.backbones.ofa._checkpoint import check_checkpoint, read_text

        path = self.need_weights()
        return read_text(path, *check_checkpoint(path))

    def decode_patches(
        self, images: Sequence[Image], names: Sequence[Sequence[str]]
    ) -> list[Float[torch.Tensor, "class rows cols"]]:
        """Return, for every image, one map of logits for each of its class names.

        Raises:
            BadClasses: the weights are tuned for other classes, do not know a word, or have too few
                positions.
        """
        from ovsskit.backbones.ofa._text import batch

        names = [list_words(mine) for mine in names]
        words = [self._words(mine) for mine in names]
        texts = [self.reader.read(mine) for mine in names]
        found: list[Any] = [None] * len(images)
        for places in self._by_grid(images):
            features = torch.stack([self._see(images[place]) for place in places])
            grid = (features.shape[2], features.shape[3])
            with torch.no_grad():
                ids = send(batch([texts[place] for place in places]), self._device)
                tokens = self.network.encoder.project(features)
                decoded = self.network(tokens, ids, self._biases_of(grid, ids.shape[1]))
                for place, one in zip(places, decoded, strict=True):
                    found[place] = (words[place] @ one.T).float().unflatten(1, grid)
        return found

    def trunk_features(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Return, for every image, what the patch trunk sees, before it is projected."""
        self._by_grid(images)
        return [PatchFeatures(self._see(image).float()) for image in images]

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: resized, from -1 to 1, hidden patches at 0."""
        data = torch.from_numpy(resize(image.pixels.cpu().numpy(), *self._size(image)))
        data = (data.permute(2, 0, 1).float() / 255 - 0.5) / 0.5
        if image.hidden is not None:
            hidden = image.hidden.cpu().repeat_interleave(STRIDE, 0).repeat_interleave(STRIDE, 1)
            data = data.masked_fill(hidden[: data.shape[1], : data.shape[2]], 0)
        return data

    def _size(self, image: Image) -> tuple[int, int]:
        """Return height and width in pixels at which the network sees an image."""
        if not self.keep_shape:
            return self.image_size, self.image_size
        scale = min(self.longer_side / max(image.size), self.image_size / min(image.size))
        height, width = (max(1, int(side * scale + 0.5)) for side in image.size)
        return height, width

    def _by_grid(self, images: Sequence[Image]) -> list[list[int]]:
        """Run the trunk on images it has not seen, and return the images' indices by grid."""
        new = [image for image in images if image not in self._seen]
        pixels = [self.pixels(image) for image in new]
        for size in dict.fromkeys(one.shape for one in pixels):
            same = [place for place, one in enumerate(pixels) if one.shape == size]
            with torch.no_grad():
                batch = send(
                    torch.stack([pixels[place] for place in same]).to(self.dtype), self._device
                )
                for place, features in zip(same, self.network.encoder.patches(batch), strict=True):
                    self._seen[new[place]] = features
        grids: dict[Any, list[int]] = {}
        for place, image in enumerate(images):
            grids.setdefault(self._see(image).shape, []).append(place)
        return list(grids.values())

    def _see(self, image: Image) -> Float[torch.Tensor, "channels rows cols"]:
        features: torch.Tensor = self._seen[image]
        return features

    def _words(self, names: Sequence[str]) -> Float[torch.Tensor, "class d"]:
        with torch.no_grad():
            words: torch.Tensor = self.network.words([self.reader.pieces(name) for name in names])
        tuned = self.checkpoint.tuned
        if tuned is not None:
            self._compare(names, tuned, words)
        return words

    def _compare(self, names: Sequence[str], tuned: Tuned, words: Any) -> None:
        """Refuse names that are not those the weights are tuned for."""
        where, fix = (
            Place(self.weights),
            "Name the classes that it is tuned for, or tune it for yours with `ovsskit fit`.",
        )
        if tuned.names and tuple(names) != tuned.names:
            missing, more = (
                [one for one in tuned.names if one not in names],
                [one for one in names if one not in tuned.names],
            )
            differs = [f"not named: {first_of(missing, most=4)}"] * bool(missing) + [
                f"not tuned for: {first_of(more, most=4)}"
            ] * bool(more)
            what = f"The weights are tuned for {len(tuned.names)} classes, and not for these."
            raise BadClasses(
                what,
                there="; ".join(differs) or f"Their order is: {first_of(tuned.names, most=4)}",
                fix=fix,
                where=where,
            )
        if not tuned.names and words is not None:
            stored = tuned.embeddings.to(words)
            if len(stored) != len(names):
                what = (
                    f"The weights are tuned for {len(stored)} classes, but {len(names)} are named."
                )
                raise BadClasses(what, fix=fix, where=where)
            off = (stored - words).abs().amax(1) > SAME_EMBEDDING * words.abs().max()
            if off.any():
                mine = [name for name, differs in zip(names, off.tolist(), strict=True) if differs]
                other = first_of(mine, most=4)
                raise BadClasses(
                    f"The weights are tuned for other words than: {other}.", fix=fix, where=where
                )

    def _biases_of(self, grid: tuple[int, int], length: int) -> Biases:
        """Return the biases of a grid and a text length, from the last ones if possible.

        They do not depend on the images.
        """
        key = (grid, length)
        if key not in self._biases:
            self._biases[key] = self.network.biases(*key)
        self._biases.move_to_end(key)
        while len(self._biases) > 1 and sum(map(_bytes, self._biases.values())) > KEPT_BIASES:
            self._biases.popitem(last=False)
        found: Biases = self._biases[key]
        return found


def _bytes(biases: Biases) -> int:
    tensors = [*biases.encoder.layers, *biases.decoder.layers, biases.decoder.cross]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
