"""Run BridgeTower's text encoder and cross-modal layers, keeping only attention asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, Int, torch


def encode_text(
    model: Any, ids: Int[torch.Tensor, "row token"], padding: Any, last: int
) -> list[Float[torch.Tensor, "row token width"]]:
    """Return what the last layers of the text encoder give, as the cross-modal ones take it."""
    kind = model.token_type_embeddings.weight[0]
    state = model.text_model.embeddings(input_ids=ids)
    kept: list[torch.Tensor] = []
    for number, layer in enumerate(model.text_model.encoder.layer):
        state = layer(state, padding)
        if number >= len(model.text_model.encoder.layer) - last:
            kept.append(model._apply_text_transform(state, len(kept)) + kind)
    return kept


def run_cross_modal(
    model: Any,
    texts: Sequence[Float[torch.Tensor, "row token width"]],
    images: Sequence[Float[torch.Tensor, "row key width"]],
    padding: Any,
    wanted: Sequence[int],
) -> tuple[
    Float[torch.Tensor, "row _ width"],
    Float[torch.Tensor, "row 1 width"],
    list[Float[torch.Tensor, "row head token key"]],
]:
    """Run the cross-modal layers; return both last states and the text's wanted attention.

    Layers count from 1. The graph starts in the text layer of the first wanted one. Only the text's
    attention to the image in wanted layers is computed as a map: all other goes through the fused
    function, which holds none. The matching head reads first tokens alone, so the last layers give
    no more than these (the text's gives all tokens if its attention is wanted).
    """
    count, first = len(texts), min(wanted, default=len(texts) + 1)
    text = model.cross_modal_text_layernorm(texts[0])
    image = model.cross_modal_image_layernorm(images[0])
    kept = []
    for number in range(1, count + 1):
        with torch.set_grad_enabled(number > first):
            if number > 1:
                text = model.cross_modal_text_link_tower[number - 2](texts[number - 1], text, None)
                image = model.cross_modal_image_link_tower[number - 2](
                    images[number - 1], image, None
                )
            head = slice(0, 1) if number == count else slice(None)
            layer = model.cross_modal_image_layers[number - 1]
            next_image, _ = _run(layer, image[:, head], image, text, None, padding, False)
        with torch.set_grad_enabled(number >= first):
            asking = text.detach().requires_grad_() if number == first else text
            layer = model.cross_modal_text_layers[number - 1]
            part = slice(None) if number in wanted else head
            text, attention = _run(
                layer, asking[:, part], asking, image, padding, None, number in wanted
            )
            kept += [attention] if number in wanted else []
        image = next_image
    return text, image, kept


def _run(
    layer: Any, queries: Any, own: Any, other: Any, own_mask: Any, other_mask: Any, keep: bool
) -> tuple[Any, Any]:
    """Run a layer for some tokens: attention to their sequence, to the other, feed-forward."""
    hidden, _ = attend(layer.attention, queries, own, own_mask, keep=False)
    hidden, attention = attend(layer.crossattention, hidden, other, other_mask, keep=keep)
    return layer.feed_forward_chunk(hidden), attention


def attend(block: Any, queries: Any, others: Any, mask: Any, *, keep: bool) -> tuple[Any, Any]:
    """Run an attention block of BERT's form; return its output and, if kept, probabilities."""
    heads = block.self.num_attention_heads
    parts = block.self.query(queries), block.self.key(others), block.self.value(others)
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
    if keep:
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        probability = (scores if mask is None else scores + mask).softmax(-1)
        context = probability @ value
    else:
        probability = None
        attention = torch.nn.functional.scaled_dot_product_attention
        context = attention(query, key, value, attn_mask=mask)
    return block.output(context.transpose(1, 2).flatten(2), queries), probability
