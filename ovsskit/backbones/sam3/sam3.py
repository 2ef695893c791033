"""SAM 3 through transformers: whether an image shows a word, where, and where things of it are."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from pydantic import PrivateAttr

from ovsskit._lazy import Bool, Float, torch, transformers
from ovsskit.backbones._hub_model import HubModel
from ovsskit.backbones.clip._text import TextReader, make_reader
from ovsskit.backbones.sam3._context import mean_inputs, nearest, place_kinds
from ovsskit.backbones.sam3._published import SAM3
from ovsskit.engine.model import GroundsWords
from ovsskit.engine.readable import Reading
from ovsskit.engine.sending import send
from ovsskit.engine.values import Image, WordMasks, WordTokens
from ovsskit.errors import BadValue
from ovsskit.hub.weights import Published

LONGEST = 32
"""How many tokens of a word the text encoder reads, the first and the last included."""
WORDS_AT_ONCE = 16
"""How many words of an image are looked for in one pass of the decoder."""
TEXTS_AT_ONCE = 256


class Sam3(HubModel, GroundsWords):
    """Look for words in images with SAM 3: **supervised**, and its weights are **gated**.

    It was trained with masks of 4 million noun phrases: what it finds is not free of labels, and
    results do not compare with those of models that saw none. The hub gives the weights to those
    who accept Meta's SAM License. An image is stretched to a square (1008 x 1008 pixels, as
    published) and encoded once; its words share that, several in a pass.
    Source: Carion et al. 2025, SAM 3; transformers (`Sam3Model`).
    """

    waits: ClassVar[str] = "its image processor prepares images on the processor"
    published: ClassVar[Mapping[str, Published]] = SAM3
    called: ClassVar[str] = "SAM 3"
    marks: ClassVar[tuple[str, ...]] = (
        r"^(detector_model\.)?detr_decoder\.presence_token\.weight$",
        r"^(detector_model\.)?mask_decoder\.semantic_projection\.",
    )
    network_class: ClassVar[str] = "Sam3Model"
    processor_class: ClassVar[str] = "Sam3ImageProcessor"

    _encoders: dict[int, Any] = PrivateAttr(default_factory=dict)

    @cached_property
    def reader(self) -> TextReader:
        """Return what turns words into tokens: CLIP's own."""
        return make_reader(None, {"text_cfg": {"context_length": LONGEST}}, is_of_weights=False)

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.reader.read_word(word)

    def encode_words(
        self,
        words: Sequence[tuple[int, str]],
        neighbours: int = 0,
        hypernyms: Sequence[Sequence[str]] = (),
    ) -> WordTokens:
        """Return the tokens of words as the decoder reads them.

        The tokens of neighbours are ActiveSAM's (arXiv 2606.16996): the mean of a word's input
        tokens stands for it; those of the words with the highest cosines are weighted by the
        softmax of the cosines, and projected as tokens are. A hypernym's token is such a mean,
        projected.

        Raises:
            BadValue: there are not so many other words.
        """
        if neighbours >= len(words):
            what = f"{neighbours} neighbours of a word are asked for, but there are only "
            raise BadValue(f"{what}{len(words) - 1} other words.", fix="Set neighbours lower.")
        ids, mask = self._read([text for _, text in words])
        network = self.network
        with torch.no_grad():
            parts = zip(ids.split(TEXTS_AT_ONCE), mask.split(TEXTS_AT_ONCE), strict=True)
            data = torch.cat(
                [
                    network.get_text_features(input_ids=some, attention_mask=there).pooler_output
                    for some, there in parts
                ]
            )
            if neighbours:
                others = nearest(mean_inputs(network, ids, mask), neighbours)
                data = torch.cat([data, network.text_projection(others.to(data.dtype))], 1)
                mask = torch.nn.functional.pad(mask, (0, neighbours), value=True)
            if any(hypernyms):
                kinds, there = self._project_kinds(hypernyms)
                data, mask = torch.cat([data, kinds.to(data.dtype)], 1), torch.cat([mask, there], 1)
        return WordTokens(data.float(), mask, tuple(label for label, _ in words))

    def _read(self, texts: Sequence[str]) -> tuple[Any, Any]:
        """Return the numbers of the tokens of texts, and where they have one."""
        rows = self.reader.read_all(texts)
        ids = torch.zeros(len(rows), self.reader.limit, dtype=torch.int64)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for row, (mine, there) in zip(rows, zip(ids, mask, strict=True), strict=True):
            mine[: len(row)], there[: len(row)] = torch.tensor(row), True
        return send(ids, self._device), send(mask, self._device)

    def _project_kinds(self, hypernyms: Sequence[Sequence[str]]) -> tuple[Any, Any]:
        """Return one token for each hypernym of every word, and where a word has one."""
        texts = sorted({kind for kinds in hypernyms for kind in kinds})
        tokens = self.network.text_projection(mean_inputs(self.network, *self._read(texts)))
        rows, mask = (send(one, self._device) for one in place_kinds(hypernyms, texts))
        return tokens[rows] * mask[..., None], mask

    def ground_words(
        self, images: Sequence[Image], words: Sequence[WordTokens], least: float
    ) -> list[WordMasks]:
        """Return what each image shows of its words, on a grid of its own (288 x 288)."""
        found = []
        with torch.no_grad():
            for index, (seen, asked) in enumerate(self._see(images, words)):
                parts = [
                    _kept(self._find(seen, *some), least, start * WORDS_AT_ONCE)
                    for start, some in enumerate(asked)
                ]
                presence, dense, masks, scores, numbers = map(torch.cat, zip(*parts, strict=True))
                labels = words[index].labels
                whole = WordMasks(presence, dense, masks, scores, numbers, labels)
                found.append(whole.to(images[index].data.device))
        return found

    def find_presence(
        self, images: Sequence[Image], words: Sequence[WordTokens], side: int
    ) -> list[Float[torch.Tensor, " word"]]:
        """Return the probability that an image shows each of its words, without finding it.

        Raises:
            BadValue: the side is not a multiple of the patch's.
        """
        with torch.no_grad():
            return [
                torch.cat([self._presence(seen, *some).float().sigmoid() for some in asked])
                for seen, asked in self._see(images, words, side)
            ]

    def _see(self, images: Sequence[Image], words: Sequence[WordTokens], side: int = 0) -> Any:
        """Yield what the encoder sees of each image, and its words, some at a time."""
        pixels = self._pixels(images, side)
        seen = self._encoder(pixels.shape[-1])(pixels)
        for index, some in enumerate(words):
            maps, places = (
                [one[index : index + 1] for one in level[:-1]]
                for level in (seen.fpn_hidden_states, seen.fpn_position_encoding)
            )
            data, mask = send(some.data, self._device).to(self.dtype), send(some.mask, self._device)
            parts = zip(data.split(WORDS_AT_ONCE), mask.split(WORDS_AT_ONCE), strict=True)
            yield (maps, places), parts

    def _pixels(self, images: Sequence[Image], side: int) -> Any:
        """Return images as the network sees them, stretched to a square of this side."""
        patch = self.network.config.vision_config.backbone_config.patch_size
        if side % patch:
            what = f"{self.called} has patches of {patch} pixels, and {side} is not a multiple."
            raise BadValue(what, fix=f"Take {max(1, side // patch) * patch}.")
        if not side:
            return self.prepare_images(images)["pixel_values"]
        return self.prepare_images(images, size={"height": side, "width": side})["pixel_values"]

    def _encoder(self, side: int) -> Any:
        """Return the image encoder for squares of a side, whose weights are the network's own.

        The places of patches in blocks that see the whole image are scaled to those of the
        training.
        """
        encoder = self.network.vision_encoder
        config = encoder.config.backbone_config
        if side == config.image_size:
            return encoder
        if side not in self._encoders:
            shared = {id(one): one for one in encoder.parameters()}
            other, like = copy.deepcopy(encoder, shared), copy.deepcopy(config)
            like.image_size = side
            for layer in other.backbone.layers:
                places = layer.precompute_positions(like, layer.window_size)
                layer.position_ids = send(places, self._device)
            self._encoders[side] = other
        return self._encoders[side]

    def _find(
        self,
        seen: Any,
        data: Float[torch.Tensor, "word token width"],
        mask: Bool[torch.Tensor, "word token"],
    ) -> Any:
        """Return what transformers' model finds of words in what it sees."""
        maps, places = ([_for_each(one, len(data)) for one in level] for level in seen)
        return self.network(  # it leaves out the last level, which only SAM 2's tracker reads
            vision_embeds=transformers.models.sam3.modeling_sam3.Sam3VisionEncoderOutput(
                fpn_hidden_states=(*maps, None), fpn_position_encoding=(*places, None)
            ),
            text_embeds=transformers.modeling_outputs.BaseModelOutputWithPooling(
                pooler_output=data
            ),
            attention_mask=mask,
        )

    def _presence(
        self,
        seen: Any,
        data: Float[torch.Tensor, "word token width"],
        mask: Bool[torch.Tensor, "word token"],
    ) -> Any:
        """Return the logits of presence alone: no masks are made."""
        network = self.network
        maps, places = (_for_each(level[-1], len(data)) for level in seen)
        encoded = network.detr_encoder(
            vision_features=[maps],
            text_features=data,
            vision_pos_embeds=[places],
            text_mask=mask,
        )
        decoded = network.detr_decoder(
            vision_features=encoded.last_hidden_state,
            text_features=encoded.text_features,
            vision_pos_encoding=encoded.pos_embeds_flattened,
            text_mask=mask,
            spatial_shapes=encoded.spatial_shapes,
        )
        return decoded.presence_logits[-1][:, 0]


def _for_each(one: Float[torch.Tensor, "1 ..."], count: int) -> Float[torch.Tensor, "word ..."]:
    """Return an image's map for each of its words, without a copy."""
    return one.expand(count, *one.shape[1:])


def _kept(found: Any, least: float, first: int) -> tuple[Any, ...]:
    """Return presence, dense logits, and the things that are sure enough of some words."""
    presence = found.presence_logits.float().sigmoid()[:, 0]
    scores = found.pred_logits.float().sigmoid()
    word, query = (scores * presence[:, None] > least).nonzero(as_tuple=True)
    masks = found.pred_masks[word, query].float()
    return presence, found.semantic_seg[:, 0].float(), masks, scores[word, query], word + first
