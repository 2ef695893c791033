"""BridgeTower: two encoders, and cross-modal layers in which text and image look at each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones.matching._bridgetower_checkpoint import BRIDGETOWER
from ovsskit.backbones.matching._bridgetower_layers import encode_text, run_cross_modal
from ovsskit.backbones.matching._clip_tower import run_tower
from ovsskit.backbones.matching._family import Family
from ovsskit.backbones.matching._itm import ItmBackbone
from ovsskit.backbones.matching._text import TextReader, Tokens, batch
from ovsskit.backbones.matching._tokenizer import BYTE_PAIRS, Kind
from ovsskit.engine.sending import send
from ovsskit.hub.weights import HubFiles


class Bridgetower(ItmBackbone):
    """Attend and match with BridgeTower (`BridgeTowerForImageAndTextRetrieval`).

    Images are of any multiple of its patch. Layers are the cross-modal ones, and the attention is
    that of the text to the image. Weights are a hub id, a local folder in Hugging Face format, or
    an original checkpoint (`.ckpt`, with RoBERTa's `vocab.json` and `merges.txt` beside it).
    Source: Xu et al. 2023, BridgeTower.
    """

    family: ClassVar[Family] = BRIDGETOWER
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, BYTE_PAIRS.choices, config="config.json")
    text: ClassVar[Kind] = BYTE_PAIRS
    pairs_at_once: ClassVar[int] = 1
    """Every caption has its own image stream, so memory grows with the pairs."""

    cross_modal_epsilon: Annotated[
        float,
        Field(
            gt=0,
            description="of the norms in the cross-modal layers: 1e-5 in transformers, 1e-12 in "
            "the authors' code",
        ),
    ] = 1e-5

    def load(self) -> Any:
        """Read the network, its position embeddings resized to the grid of `image_size`.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
            BadValue: `image_size` is not a multiple of the patch.
        """
        network = super().load()
        model = network.bridgetower
        for part in (model.cross_modal_text_layers, model.cross_modal_image_layers):
            for module in part.modules():
                if isinstance(module, torch.nn.LayerNorm):
                    module.eps = self.cross_modal_epsilon
        return network

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions; case is kept, and positions start after that of padding."""
        text = self.network.config.text_config
        tokenizer = self.tokenizer(text.vocab_size)
        padding = text.pad_token_id
        return TextReader(tokenizer, text.max_position_embeddings - padding - 1, padding=padding)

    @property
    def layer_count(self) -> int:
        """Return the number of cross-modal layers."""
        return len(self.network.bridgetower.cross_modal_text_layers)

    def encode_image(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image layer key width"]:
        """Return what the image encoder's last blocks give, class token first.

        Each is as a cross-modal layer takes it.
        """
        model = self.network.bridgetower
        visual, kind = model.vision_model.visual, model.token_type_embeddings.weight[1]
        states = run_tower(visual, pixels, self.layer_count)
        taken = [
            model._apply_image_transform(visual.forward_post(state), i) + kind
            for i, state in enumerate(states)
        ]
        return torch.stack(taken, 1)

    def fuse_text(
        self,
        features: Float[torch.Tensor, "image layer key width"],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Run text encoder and cross-modal layers.

        The matching head reads the first tokens of text and image.
        """
        model = self.network.bridgetower
        ids, mask = (send(tensor, self._device) for tensor in batch(rows, self.reader.padding))
        lowest = torch.finfo(self.dtype).min
        padding = (1 - mask.flatten(0, 1)[:, None, None]).to(self.dtype) * lowest
        images = features if ids.shape[1] == 1 else features.repeat_interleave(ids.shape[1], 0)
        with torch.no_grad():
            texts = encode_text(model, ids.flatten(0, 1), padding, self.layer_count)
        text, image, attention = run_cross_modal(model, texts, images.unbind(1), padding, wanted)
        logits = self.network.itm_score(model.get_cls_features(text, image))
        return logits.unflatten(0, ids.shape[:2]), attention
