"""BERT's text layers, as ALBEF, BLIP and mPLUG run them: their shapes, and their matching."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import count_of
from ovsskit.backbones.matching._fusion import Step, fuse
from ovsskit.backbones.matching._itm import ItmBackbone
from ovsskit.backbones.matching._text import Tokens, batch

HEAD_WIDTH = 64
"""Width of an attention head in every published model; an original checkpoint does not say it."""
TEXT = "text_encoder."
EMBEDDINGS = f"{TEXT}embeddings."


class BertBackbone(ItmBackbone):
    """Run text layers of BERT's form, one after the other."""

    @property
    @abstractmethod
    def steps(self) -> list[Step]:
        """Return the text layers, and how each runs."""

    @property
    def layer_count(self) -> int:
        """Return the number of layers that have cross-attention."""
        return sum(kind == "cross" for kind, _ in self.steps)

    def fuse_text(
        self,
        features: Float[torch.Tensor, "image key width"],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Run the text layers; the matching head reads the first token."""
        ids, mask = (tensor.to(self._device) for tensor in batch(rows))
        with torch.no_grad():
            hidden = self.network.text_encoder.embeddings(input_ids=ids.flatten(0, 1))
        hidden, attention = fuse(self.steps, hidden, mask.flatten(0, 1), features, wanted)
        return self.network.itm_head(hidden[:, 0]).unflatten(0, ids.shape[:2]), attention


def bert_shape(state: Mapping[str, Any], prefix: str = TEXT) -> dict[str, Any]:
    """Return the configuration of an encoder whose tensors have these shapes.

    Raises:
        KeyError: a tensor is missing.
    """
    words = state[f"{prefix}embeddings.word_embeddings.weight"].shape
    layers = rf"{prefix}encoder\.layer\.(\d+)\."
    return {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "intermediate_size": state[f"{prefix}encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state[f"{prefix}embeddings.position_embeddings.weight"].shape[0],
        "num_hidden_layers": count_of(state, layers),
        "num_attention_heads": max(1, words[1] // HEAD_WIDTH),
    }


def crossing_shape(state: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """Return the configuration of BLIP's text encoder; a layer with cross-attention is named.

    Raises:
        KeyError: a tensor is missing.
    """
    keys = state[f"{layer}.crossattention.self.key.weight"].shape
    more = {"encoder_hidden_size": keys[1], "is_decoder": True, "bos_token_id": None}
    return {**bert_shape(state), **more}


def fold_types(state: dict[str, Any]) -> bool:
    """Make the token type, always the first, part of all positions; return if there are types."""
    types = state.pop(f"{EMBEDDINGS}token_type_embeddings.weight", None)
    if types is not None:
        positions = f"{EMBEDDINGS}position_embeddings.weight"
        state[positions] = state[positions] + types[:1]
    return types is not None
