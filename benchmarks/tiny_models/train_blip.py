"""Train the tiny BLIP to tell whether a caption is true of an image."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear, normalize
from transformers import BertTokenizerFast, BlipForImageTextRetrieval

from ovsskit.embedded.names import CLASSES
from tiny_models import captions, fading
from tiny_models.blip import WIDTH, build_blip
from tiny_models.claims import FALSE_CAPTIONS, draw_claims, fade_names, find_names
from tiny_models.clip import TinyClip
from tiny_models.dataset import Batch, Dataset
from tiny_models.hiding import hide_patches
from tiny_models.loop import Losses, Schedule, train
from tiny_models.losses import keep_patches, pool_patches, word_contrast
from tiny_models.tokenizer import build_tokenizer, encode

WORD_LAYER: Final = 2


@dataclass(frozen=True)
class BlipPlan:
    """Say whether names fade and patches are hidden, and how much of a step is shared or dropped.

    `balanced` weighs an image's true caption as much as its false ones together, so that zero is
    where both are as likely.
    """

    schedule: Schedule
    fading: bool
    hiding: bool
    balanced: bool
    batch: int = 48
    dropped: float = 0.5


class BlipInTraining(nn.Module):
    """BLIP with two parts that only training needs: a temperature and a match head for words."""

    def __init__(self, blip: BlipForImageTextRetrieval) -> None:
        super().__init__()
        self.blip = blip
        self.log_scale = nn.Parameter(torch.tensor(2.66))
        self.word_head = nn.Linear(WIDTH, 1)
        self.fading = fading.Fading()
        blip.text_encoder.encoder.layer[fading.LAYER].crossattention.self.dropout = self.fading

    def encode_image(
        self, pixels: Float[Tensor, "b 3 side side"], keep: Int[Tensor, "b kept"]
    ) -> Float[Tensor, "b tokens d"]:
        """Run the vision tower on the kept patches."""
        tower = self.blip.vision_model
        convolution = tower.embeddings.patch_embedding
        size = convolution.kernel_size[0]
        squares = pixels.unfold(2, size, size).unfold(3, size, size)
        squares = squares.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        places = tower.embeddings.position_embedding[:, 1:].expand(len(pixels), -1, -1)
        squares = squares.gather(1, keep[:, :, None].expand(-1, -1, squares.shape[-1]))
        places = places.gather(1, keep[:, :, None].expand(-1, -1, places.shape[-1]))
        patches = linear(squares, convolution.weight.flatten(1), convolution.bias) + places
        first = tower.embeddings.class_embedding + tower.embeddings.position_embedding[:, :1]
        tokens = torch.cat([first.expand(len(pixels), -1, -1), patches], 1)
        encoded = tower.encoder(inputs_embeds=tokens).last_hidden_state
        normed: Tensor = tower.post_layernorm(encoded)
        return normed


def begin_blip(clip: TinyClip, seed: int) -> BlipInTraining:
    """Make the model that training begins with."""
    torch.manual_seed(seed)
    return BlipInTraining(build_blip(clip))


def train_blip(
    model: BlipInTraining, dataset: Dataset, plan: BlipPlan, checkpoint: Path, seed: int
) -> None:
    """Train in place, or go on from the checkpoint."""
    tokenizer = build_tokenizer(with_blip_tokens=True)
    patch = model.blip.config.vision_config.patch_size

    def losses_of(step: int) -> Losses:
        rng = np.random.default_rng([seed, 1, step])
        batch = dataset.draw(rng, plan.batch)
        if plan.hiding:
            batch = replace(batch, pixels=hide_patches(rng, batch.pixels, patch))
        return blip_losses(model, tokenizer, batch, rng, plan)

    train(model, losses_of, plan.schedule, checkpoint)


def blip_losses(
    model: BlipInTraining,
    tokenizer: BertTokenizerFast,
    batch: Batch,
    rng: np.random.Generator,
    plan: BlipPlan,
) -> Losses:
    """Match captions and their names with images, and single names with images and patches."""
    blip = model.blip
    claims = draw_claims(batch, rng)
    single = [captions.single_caption(rng, name) for name in CLASSES]
    patches = blip.vision_model.embeddings.num_patches
    keep = keep_patches(rng, len(batch.pixels), patches, plan.dropped)
    ids, mask = encode(tokenizer, claims.captions)
    names = find_names(tokenizer, claims)
    ids[:, 0] = blip.config.text_config.enc_token_id
    image, count = claims.image, len(ids)
    if plan.fading:
        true = claims.true.nonzero()[:, 0]
        factors, factor = fade_names(rng, names, true, ids.shape[1])
        model.fading.factors = torch.cat([torch.ones(ids.shape), factors])
        ids, mask, image = (torch.cat([all_, all_[true]]) for all_ in (ids, mask, image))
    single_ids, single_mask = encode(tokenizer, single)
    with torch.autocast("cpu", torch.bfloat16):
        tokens = model.encode_image(batch.pixels, keep)
        matched = blip.text_encoder(
            input_ids=ids,
            attention_mask=mask,
            encoder_hidden_states=tokens.bfloat16()[image],
            output_hidden_states=True,
        )
        model.fading.factors = None
        read = blip.text_encoder(input_ids=single_ids, attention_mask=single_mask)
        words = blip.text_proj(read.last_hidden_state[:, 0])
        features = blip.vision_proj(tokens)
        match = blip.itm_head(matched.last_hidden_state[:, 0])
        middle = matched.hidden_states[WORD_LAYER][names.row, names.last]
        word_match = model.word_head(middle)[:, 0]
    certainty = match[:, 1].float() - match[:, 0].float()
    scale = model.log_scale.exp().clamp(max=100)
    words = normalize(words.float(), dim=-1)
    similarity = scale * normalize(features.float(), dim=-1) @ words.T
    weight = torch.tensor(float(FALSE_CAPTIONS if plan.balanced else 1))
    losses = {
        "match": binary_cross_entropy_with_logits(
            certainty[:count], claims.true.float(), pos_weight=weight
        ),
        "names": binary_cross_entropy_with_logits(word_match.float(), names.true),
        "images": 0.5 * word_contrast(similarity[:, 0], batch.visible),
        "dense": word_contrast(pool_patches(similarity[:, 1:]), batch.visible),
    }
    if plan.fading:
        losses["fading"] = fading.fading_loss(certainty[true], certainty[count:], factor)
    return losses
