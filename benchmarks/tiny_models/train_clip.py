"""Train the tiny CLIP: first on whole images, then also on patches."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize
from transformers import BertTokenizerFast

from ovsskit.embedded.names import CLASSES
from tiny_models import captions
from tiny_models.clip import ClipSettings, TinyClip
from tiny_models.dataset import Batch, Dataset
from tiny_models.loop import Losses, Schedule, train
from tiny_models.losses import contrast, keep_patches, pool_patches, word_contrast
from tiny_models.tokenizer import build_tokenizer, encode, vocabulary


@dataclass(frozen=True)
class ClipPlan:
    """Say when the dense loss begins, if also with the last residual, and the dropped patches."""

    schedule: Schedule
    dense_from: int
    with_residual: bool = False
    batch: int = 64
    dropped_before: float = 0.6
    dropped_after: float = 0.5


def begin_clip(seed: int) -> TinyClip:
    """Make the model that training begins with."""
    torch.manual_seed(seed)
    return TinyClip(ClipSettings(len(vocabulary(with_blip_tokens=False))))


def train_clip(
    model: TinyClip, dataset: Dataset, plan: ClipPlan, checkpoint: Path, seed: int
) -> None:
    """Train in place, or go on from the checkpoint."""
    tokenizer = build_tokenizer(with_blip_tokens=False)

    def losses_of(step: int) -> Losses:
        rng = np.random.default_rng([seed, step])
        batch = dataset.draw(rng, plan.batch)
        return clip_losses(model, tokenizer, batch, rng, plan, step >= plan.dense_from)

    train(model, losses_of, plan.schedule, checkpoint)


def clip_losses(
    model: TinyClip,
    tokenizer: BertTokenizerFast,
    batch: Batch,
    rng: np.random.Generator,
    plan: ClipPlan,
    dense: bool,
) -> Losses:
    """Compare images with captions of several names, and images and patches with single names."""
    right, wrong, named = draw_captions(batch, rng)
    single = [captions.single_caption(rng, name) for name in CLASSES]
    count = len(right)
    dropped = plan.dropped_after if dense else plan.dropped_before
    patches = len(model.visual.positional_embedding) - 1
    with torch.autocast("cpu", torch.bfloat16):
        ids, _ = encode(tokenizer, [*right, *wrong, *single])
        texts = model.encode_text(ids).float()
        keep = keep_patches(rng, count, patches, dropped)
        seen = model.visual(batch.pixels, keep)
    scale = model.logit_scale.exp().clamp(max=100)
    texts, images = normalize(texts, dim=-1), scale * normalize(seen.image.float(), dim=-1)
    also_true = (~batch.visible).float() @ named.float().T == 0
    partner = torch.arange(count)
    to_texts = contrast(images @ texts[: 2 * count].T, partner, also_true)
    to_images = contrast(texts[:count] @ images.T, partner, also_true[:, :count].T)
    words = texts[2 * count :]
    losses = {
        "captions": (to_texts + to_images) / 2,
        "words": word_contrast(images @ words.T, batch.visible),
    }
    if dense:
        losses["dense"] = _dense_loss(scale, seen.dense, words, batch)
    if dense and plan.with_residual:
        losses["residual"] = _dense_loss(scale, seen.dense_with_residual, words, batch)
    return losses


def _dense_loss(
    scale: Float[Tensor, ""],
    features: Float[Tensor, "b n d"],
    words: Float[Tensor, "classes d"],
    batch: Batch,
) -> Float[Tensor, ""]:
    similarity = scale * normalize(features.float(), dim=-1) @ words.T
    return word_contrast(pool_patches(similarity), batch.visible)


def draw_captions(
    batch: Batch, rng: np.random.Generator
) -> tuple[list[str], list[str], Bool[Tensor, "captions classes"]]:
    """Write a true and a slightly wrong caption per image, and list the classes of each."""
    right, wrong, right_names, wrong_names = [], [], [], []
    for row in batch.visible.tolist():
        visible = [name for name, seen in zip(CLASSES, row, strict=True) if seen]
        names = [str(name) for name in rng.permutation(visible)][: int(rng.integers(1, 5))]
        swapped = captions.swap_one(rng, names, visible)
        plain = rng.random() < 0.4
        right.append(captions.caption(rng, names, plain))
        wrong.append(captions.caption(rng, swapped, plain))
        right_names.append([name in names for name in CLASSES])
        wrong_names.append([name in swapped for name in CLASSES])
    return right, wrong, torch.tensor(right_names + wrong_names)
