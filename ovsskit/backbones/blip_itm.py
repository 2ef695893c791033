"""BLIP fine-tuned for image-text matching: a ViT, and a text encoder that looks at its patches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr

from ovsskit.backbones._blip_checkpoint import read_network
from ovsskit.backbones._blip_text import TextReader, Tokens, batch, read_tokenizer
from ovsskit.backbones.base import Backbone, CrossAttends, MatchesText, Objective
from ovsskit.errors import BadValue
from ovsskit.lazy import Float, numpy, torch
from ovsskit.values import Caption, Captions, CrossAttention, Image

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
MASKED = -10000.0
"""What the text encoder adds to the attention to padding."""
HALF_SCALE = 256.0
"""The objective is multiplied by this in fp16, and the gradients divided, lest small ones become zero."""
CAPTIONS_AT_ONCE = 256
"""How many pairs of a picture and a caption are matched in one pass of the text encoder."""


class BlipItm(Backbone, CrossAttends, MatchesText):
    """Attend and match with BLIP (`BlipForImageTextRetrieval`) at any picture size that is a multiple of the patch.

    Weights are a hub id, a local folder in Hugging Face format, or an original checkpoint of LAVIS (`.pth`, with the
    tokenizer's `vocab.txt` beside it). Source: Li et al. 2022, BLIP; LAVIS.
    """

    embedded: ClassVar[Path] = Path(__file__).parent.parent / "embedded" / "blip_itm"

    image_size: Annotated[int, Field(ge=8, description="height and width that pictures are resized to, in pixels")] = 336
    interpolation: Annotated[Literal["bicubic", "bilinear"], Field(description="how pictures are resized")] = "bicubic"
    normalise: Annotated[bool, Field(description="subtract the mean and divide by the deviation of BLIP's training")] = True

    _seen: WeakKeyDictionary[Image, Any] = PrivateAttr(default_factory=WeakKeyDictionary)

    def to(self, device: str) -> BlipItm:
        """Return the same backbone, to be read onto another device."""
        moved = super().to(device)
        moved._seen = WeakKeyDictionary()
        return moved

    def load(self) -> Any:
        """Read the network, its position embeddings resized to the grid of `image_size`.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
            BadValue: `image_size` is no multiple of the patch.
        """
        network = read_network(self.need_weights(), self.dtype)
        embeddings = network.vision_model.embeddings
        if self.image_size % embeddings.patch_size:
            what = f"backbone.image_size is {self.image_size}, and the model's patches are {embeddings.patch_size} pixels wide."
            raise BadValue(what, fix=f"Give a multiple of {embeddings.patch_size}.")
        patches = embeddings.position_embedding.new_empty(1, 1 + (self.image_size // embeddings.patch_size) ** 2, 1)
        resized = embeddings.interpolate_pos_encoding(patches.expand(-1, -1, embeddings.embed_dim), *[self.image_size] * 2)
        embeddings.position_embedding = torch.nn.Parameter(resized.detach())
        return network

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions; [ENC] is the configuration's `enc_token_id`, or the last id."""
        text = self.network.config.text_config
        limit = min(text.max_position_embeddings, 512)
        return TextReader(read_tokenizer(self.need_weights()), getattr(text, "enc_token_id", text.vocab_size - 1), limit)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a caption takes, special tokens included."""
        return self.reader.count(text)

    @property
    def token_limit(self) -> int:
        """Return how many tokens one caption may take."""
        return self.reader.limit

    @property
    def layer_count(self) -> int:
        """Return the number of layers of the text encoder, all of which have cross-attention."""
        return len(self.network.text_encoder.encoder.layer)

    @property
    def grid(self) -> tuple[int, int]:
        """Return rows and columns of the patches that a picture is cut into."""
        count = self.image_size // self.network.vision_model.embeddings.patch_size
        return count, count

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 size size"]:
        """Return a picture as the network sees it: resized, normalised, hidden patches at 0."""
        from PIL import Image as Pillow

        method = {"bicubic": Pillow.Resampling.BICUBIC, "bilinear": Pillow.Resampling.BILINEAR}[self.interpolation]
        resized = Pillow.fromarray(image.pixels.cpu().numpy()).resize((self.image_size, self.image_size), method)
        data = torch.from_numpy(numpy.array(resized)).permute(2, 0, 1).float() / 255
        if self.normalise:
            data = (data - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
        if image.hidden is not None:
            patch = self.image_size // image.hidden.shape[0]
            data = data.masked_fill(image.hidden.cpu().repeat_interleave(patch, 0).repeat_interleave(patch, 1), 0)
        return data

    def encode(self, images: Sequence[Image]) -> Float[torch.Tensor, "image key width"]:
        """Return the image encoder's output, class token first, without gradients.

        What a picture gave is kept as long as the picture is, since several stages ask for it.
        """
        fresh = [image for image in dict.fromkeys(images) if image not in self._seen]
        if fresh:
            pixels = torch.stack([self.pixels(image) for image in fresh]).to(self._device, self.dtype)
            with torch.no_grad():
                self._seen.update(zip(fresh, self.network.vision_model(pixels).last_hidden_state.unbind(), strict=True))
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
        """Run the network once over all pictures; layers count from 1, `None` means all of them.

        The image encoder and the text layers below the lowest wanted one keep no graph.

        Raises:
            BadValue: the network has no such layer.
        """
        wanted = tuple(sorted(set(layers))) if layers is not None else tuple(range(1, self.layer_count + 1))
        if not wanted or not set(wanted) <= set(range(1, self.layer_count + 1)):
            raise BadValue(f"Layers {', '.join(map(str, wanted))} are asked for; the model has 1 to {self.layer_count}.")
        rows = [[self.reader.read(caption).padded(pad_to) for caption in mine.captions] for mine in captions]
        with torch.inference_mode(False), torch.enable_grad():
            logits, attention = self._match(self.encode(images), rows, wanted)
            scale = HALF_SCALE if self.precision == "fp16" else 1.0
            matches = logits[..., 1].sum() if objective == "match_logit" else logits.log_softmax(-1)[..., 1].sum()
            gradients = torch.autograd.grad(matches * scale, attention)
        kept = [[tensor.detach().float() for tensor in tensors] for tensors in (attention, gradients)]
        longest = max(len(tokens.ids) for row in rows for tokens in row)
        found = []
        for index, row in enumerate(rows):
            places = [start * longest + token for start, tokens in enumerate(row) for token in range(len(tokens.ids))]
            probability, gradient = (torch.stack([one[index][:, places] for one in tensors]) for tensors in kept)
            positions = torch.tensor([mark for tokens in row for mark in tokens.positions], device=self._device)
            heads, lengths = tuple(range(probability.shape[1])), tuple(len(tokens.ids) for tokens in row)
            found.append(CrossAttention(probability, gradient / scale, positions, wanted, heads, self.grid, lengths))
        return found

    def match(self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]) -> list[Float[torch.Tensor, " caption"]]:
        """Return, for every picture, the probability from 0 to 1 that it fits each of its captions."""
        return [logits.softmax(-1)[:, 1] for logits in self.logits(images, captions)]

    def logits(self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]) -> list[Float[torch.Tensor, "caption 2"]]:
        """Return, for every picture, the matching head's output for each of its captions: no match, match."""
        rows = [[self.reader.read(caption) for caption in mine] for mine in captions]
        size = max(1, CAPTIONS_AT_ONCE // len(rows))
        found: list[Any] = [[] for _ in rows]
        with torch.no_grad():
            features = self.encode(images)
            for start in range(0, max(map(len, rows)), size):
                some = [index for index, row in enumerate(rows) if row[start : start + size]]
                parts = [rows[index][start : start + size] for index in some]
                for index, part, logits in zip(some, parts, self._match(features[some], parts, ())[0].float(), strict=True):
                    found[index].append(logits[: len(part)])
        return [torch.cat(parts) for parts in found]

    def _match(
        self, features: Float[torch.Tensor, "image key width"], rows: Sequence[Sequence[Tokens]], wanted: Sequence[int]
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "image head token key"]]]:
        """Run the text encoder; return its logits and the cross-attention of the wanted layers, tied to them by a graph.

        The captions of a picture form one row of queries, so that keys and values are computed once for all of them.
        """
        ids, mask = (tensor.to(self._device) for tensor in batch(rows))
        count, most, length = ids.shape
        features = features.detach().requires_grad_(bool(wanted))
        kept = []
        with torch.no_grad():
            hidden = self.network.text_encoder.embeddings(input_ids=ids.flatten(0, 1))
            padding = (1 - mask.flatten(0, 1)[:, None, None]).to(self.dtype) * MASKED
        for number, layer in enumerate(self.network.text_encoder.encoder.layer, 1):
            with torch.set_grad_enabled(bool(wanted) and number >= min(wanted)):
                hidden = layer.attention(hidden, attention_mask=padding)[0].view(count, most * length, -1)
                hidden, attention = layer.crossattention(hidden, encoder_hidden_states=features)
                hidden = layer.feed_forward_chunk(hidden).view(count * most, length, -1)
                kept += [attention] if number in wanted else []
        return self.network.itm_head(hidden[:, 0]).view(count, most, 2), kept
