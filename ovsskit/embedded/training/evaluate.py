"""Score the shipped models on scenes that no training has seen.

Run `python -m ovsskit.embedded.training.evaluate [--scenes 150] [--drawings held-out]`.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import AutoTokenizer, BertTokenizerFast, BlipForImageTextRetrieval

from ovsskit.embedded import BLIP_ITM_FOLDER, NOUNS
from ovsskit.embedded.training import captions
from ovsskit.embedded.training.dataset import EVALUATION_SEED, normalise, to_model_size
from ovsskit.embedded.training.drawings import DrawingSet
from ovsskit.embedded.training.scenes import Scene, make_scene
from ovsskit.mean_field import mean_field
from ovsskit.stages.refine.gaussian_blur import GaussianBlur
from ovsskit.values import Saliency

SIZES: Final = ((240, 180), (216, 216), (264, 180), (180, 240), (288, 192))
TUNING_OFFSET: Final = 1_000_000
HELD_OUT_OFFSET: Final = 2_000_000
THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.45)
CHUNK: Final = 16


@dataclass(frozen=True)
class Recipe:
    """The settings of PnP-OVSS; the layer counts from 1, the head from 0."""

    layer: int = 1
    head: int = 0
    threshold: float = 0.2
    rounds: int = 4
    patches: int = 3
    round_zero_twice: bool = True
    sigma: float = 0.05
    crf: bool = True
    crf_position: float = 50.0
    crf_colour: float = 5.0
    crf_weight: float = 10.0


@dataclass(frozen=True)
class Blip:
    """A model with its tokenizer."""

    model: BlipForImageTextRetrieval
    tokenizer: BertTokenizerFast


def load_blip(folder: Path = BLIP_ITM_FOLDER) -> Blip:
    """Load the stock model in single precision."""
    model = BlipForImageTextRetrieval.from_pretrained(folder, dtype=torch.float32).eval()
    return Blip(model.requires_grad_(False), AutoTokenizer.from_pretrained(folder))


def evaluation_scenes(count: int, drawing_set: DrawingSet = "training", tuning: bool = False) -> list[Scene]:
    """Make scenes from seeds that training does not use; tuning has its own."""
    first = EVALUATION_SEED + TUNING_OFFSET * tuning
    first += HELD_OUT_OFFSET * (drawing_set == "held-out")
    return [make_scene(first + number, *SIZES[number % len(SIZES)], drawing_set) for number in range(count)]


def pixels_of(scenes: Sequence[Scene]) -> Float[Tensor, "scenes 3 side side"]:
    """Resize and normalise pictures for the models."""
    small = np.stack([to_model_size(scene.picture) for scene in scenes])
    return normalise(torch.from_numpy(small))


def encode_captions(blip: Blip, texts: list[str]) -> tuple[Int[Tensor, "b tokens"], Int[Tensor, "b tokens"], Any]:
    """Encode captions that begin with `[ENC]`."""
    encoded = blip.tokenizer(texts, padding=True)
    ids = torch.tensor(encoded["input_ids"])
    ids[:, 0] = blip.model.config.text_config.enc_token_id
    return ids, torch.tensor(encoded["attention_mask"]), encoded


def match_logits(blip: Blip, pixels: Float[Tensor, "b 3 side side"], texts: list[str]) -> Float[Tensor, " b"]:
    """Return the match logit minus the mismatch logit."""
    ids, mask, _ = encode_captions(blip, texts)
    with torch.no_grad():
        image = blip.model.vision_model(pixels).last_hidden_state
        read = blip.model.text_encoder(input_ids=ids, attention_mask=mask, encoder_hidden_states=image)
        logits = blip.model.itm_head(read.last_hidden_state[:, 0])
    difference: Tensor = logits[:, 1] - logits[:, 0]
    return difference


def name_maps(
    blip: Blip, pixels: Float[Tensor, "b 3 side side"], names: Sequence[Sequence[str]]
) -> list[Float[Tensor, "layers heads names grid grid"]]:
    """Compute GradCAM of the match logit for every name, layer and head."""
    texts = [captions.plain_caption(listed) for listed in names]
    ids, mask, encoded = encode_captions(blip, texts)
    with torch.no_grad():
        image = blip.model.vision_model(pixels).last_hidden_state
    read = blip.model.text_encoder(
        input_ids=ids,
        attention_mask=mask,
        encoder_hidden_states=image.requires_grad_(),
        output_attentions=True,
    )
    match = blip.model.itm_head(read.last_hidden_state[:, 0])[:, 1].sum()
    attention = read.cross_attentions
    gradients = torch.autograd.grad(match, attention)
    cam = torch.stack([(a * g.clamp(min=0)).detach() for a, g in zip(attention, gradients, strict=True)])
    cam = cam[..., 1:].unflatten(-1, (int(image.shape[1] ** 0.5), -1))
    maps = []
    for row, listed in enumerate(names):
        spans = _name_tokens(encoded, row, listed)
        maps.append(torch.stack([cam[:, row, :, span].mean(2) for span in spans], 2))
    return maps


def _name_tokens(encoded: Any, row: int, names: Sequence[str]) -> list[list[int]]:
    start, spans = len(captions.PLAIN.format("")), []
    for name in names:
        characters = range(start, start + len(name))
        tokens = {encoded.char_to_token(row, character) for character in characters} - {None}
        spans.append(sorted(tokens))
        start += len(name) + 1
    return spans


def dropout_maps(
    blip: Blip, pixels: Float[Tensor, "b 3 side side"], names: Sequence[Sequence[str]], how: Recipe
) -> list[Float[Tensor, "names grid grid"]]:
    """Sum the maps over rounds; each round hides the most salient patches of those before."""
    pixels = pixels.clone()
    totals: list[Tensor] = []
    hidden: list[list[int]] = [[] for _ in names]
    for turn in range(how.rounds):
        maps = [m[how.layer - 1, how.head] for m in name_maps(blip, pixels, names)]
        grid = maps[0].shape[-1]
        side = pixels.shape[-1] // grid
        for row, cam in enumerate(maps):
            cam = cam.clone()
            cam.flatten(1)[:, hidden[row]] = 0
            if turn == 0:
                totals.append(cam * (2 if how.round_zero_twice else 1))
            else:
                totals[row] += cam
            hidden[row] += cam.sum(0).flatten().topk(how.patches).indices.tolist()
            for patch in hidden[row]:
                y, x = patch // grid * side, patch % grid * side
                pixels[row, :, y : y + side, x : x + side] = 0
    return totals


def label(maps: Float[Tensor, "names grid grid"], picture: Image.Image, how: Recipe) -> UInt8[ndarray, "height width"]:
    """Turn maps into labels: 0 is background, i is the i-th name."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    share = (maps - low) / (high - low).clamp(min=1e-12)
    kept = torch.where(share >= how.threshold, share, 0)
    size = (picture.height, picture.width)
    kept = interpolate(kept[None], size, mode="bilinear", align_corners=True)[0]
    planes = torch.cat([(kept.amax(0, keepdim=True) == 0).float(), kept]).numpy()
    if how.sigma:
        saliency = Saliency(torch.from_numpy(planes), tuple(range(len(planes))))
        planes = np.stack([_stretch(plane) for plane in GaussianBlur(sigma=how.sigma).run(saliency).data.numpy()])
    if how.crf:
        planes = _dense_crf(planes, picture, how)
    return np.asarray(planes.argmax(0), np.uint8)


def _stretch(plane: Float[ndarray, "height width"]) -> Float[ndarray, "height width"]:
    low, high = plane.min(), plane.max()
    stretched: ndarray = (plane - low) / max(high - low, 1e-12)
    return stretched


def _dense_crf(
    planes: Float[ndarray, "labels height width"], picture: Image.Image, how: Recipe
) -> Float[ndarray, "labels height width"]:
    refined = mean_field(
        torch.from_numpy(planes).softmax(0),
        torch.from_numpy(np.array(picture)),
        steps=10,
        gaussian_sigma=3.0,
        gaussian_weight=7.0,
        bilateral_sigma=how.crf_position,
        bilateral_colour_sigma=how.crf_colour,
        bilateral_weight=how.crf_weight,
    )
    return np.asarray(refined.numpy())


class Confusion:
    """Count pixels by true and predicted class, things and background."""

    def __init__(self) -> None:
        self.counts = np.zeros((len(NOUNS) + 1, len(NOUNS) + 1), np.int64)

    def add(self, true: UInt8[ndarray, "height width"], found: UInt8[ndarray, "height width"]) -> None:
        """Count one picture."""
        pairs = true.astype(np.int64) * len(self.counts) + found
        self.counts += np.bincount(pairs.ravel(), minlength=self.counts.size).reshape(self.counts.shape)

    def mean_iou(self) -> float:
        """Average intersection over union of the classes that occur, in per cent."""
        hit = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        occurs = self.counts.sum(1) > 0
        return float(100 * (hit[occurs] / union[occurs]).mean())


def score_labels(scenes: Sequence[Scene], labels: Sequence[UInt8[ndarray, "h w"]]) -> float:
    """Return the mean IoU of labels that number each scene's own nouns."""
    confusion = Confusion()
    for scene, found in zip(scenes, labels, strict=True):
        lookup = np.array([0, *(NOUNS.index(noun) + 1 for noun in scene.nouns)])
        confusion.add(scene.things, lookup[found])
    return confusion.mean_iou()


def chunks(scenes: Sequence[Scene]) -> Iterator[Sequence[Scene]]:
    """Cut a list into parts that fit one forward pass."""
    for start in range(0, len(scenes), CHUNK):
        yield scenes[start : start + CHUNK]


def score_recipe(blip: Blip, scenes: Sequence[Scene], how: Recipe) -> float:
    """Segment with the present nouns given and return the mean IoU."""
    labels = []
    for part in chunks(scenes):
        maps = dropout_maps(blip, pixels_of(part), [scene.nouns for scene in part], how)
        labels += [label(m, s.picture, how) for m, s in zip(maps, part, strict=True)]
    return score_labels(scenes, labels)


def score_heads(blip: Blip, scenes: Sequence[Scene]) -> dict[tuple[int, int, float], float]:
    """Score plain GradCAM for every layer, head and threshold."""
    maps: list[Tensor] = []
    for part in chunks(scenes):
        maps += name_maps(blip, pixels_of(part), [scene.nouns for scene in part])
    scores = {}
    for layer in range(maps[0].shape[0]):
        for head in range(maps[0].shape[1]):
            for threshold in THRESHOLDS:
                how = Recipe(threshold=threshold, sigma=0.0, crf=False)
                found = [label(m[layer, head], s.picture, how) for m, s in zip(maps, scenes, strict=True)]
                scores[layer + 1, head, threshold] = score_labels(scenes, found)
    return scores


def match_accuracy(blip: Blip, scenes: Sequence[Scene]) -> float:
    """Return how often a true caption is accepted and one with a noun swapped refused."""
    rng = np.random.default_rng(0)
    hits = []
    for part in chunks(scenes):
        pixels = pixels_of(part)
        true, false = [], []
        for scene in part:
            visible = scene.nouns + scene.visible_stuffs
            names = [str(name) for name in rng.permutation(visible)][:5]
            true.append(captions.plain_caption(names))
            false.append(captions.plain_caption(captions.swap_one(rng, names, visible)))
        hits += [match_logits(blip, pixels, true) > 0, match_logits(blip, pixels, false) <= 0]
    return float(torch.cat(hits).float().mean())


def presence(blip: Blip, scenes: Sequence[Scene]) -> tuple[float, float, float]:
    """Ask for one noun at a time; return mean average precision, best F1 and its threshold."""
    scores, truth = [], []
    for scene in scenes:
        pixels = pixels_of([scene]).expand(len(NOUNS), -1, -1, -1)
        texts = [captions.plain_caption([noun]) for noun in NOUNS]
        scores.append(torch.sigmoid(match_logits(blip, pixels, texts)).numpy())
        truth.append(np.isin(NOUNS, scene.nouns))
    score, true = np.stack(scores), np.stack(truth)
    precisions = [average_precision(score[:, k], true[:, k]) for k in range(len(NOUNS))]
    best = max((f1_score(score > t, true), t) for t in np.arange(0.05, 1, 0.05))
    return 100 * float(np.nanmean(precisions)), 100 * best[0], float(best[1])


def average_precision(score: Float[ndarray, " n"], true: ndarray) -> float:
    """Average the precision at every true item; not a number where nothing is true."""
    ordered = true[np.argsort(-score, kind="stable")]
    if not ordered.any():
        return float("nan")
    precision = np.cumsum(ordered) / (np.arange(len(ordered)) + 1)
    return float(precision[ordered].mean())


def f1_score(found: ndarray, true: ndarray) -> float:
    """Return the harmonic mean of precision and recall over all pairs."""
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def report(blip: Blip, scenes: Sequence[Scene], how: Recipe) -> None:
    """Print every score."""
    print(f"{len(scenes)} scenes; match accuracy, one noun swapped: {match_accuracy(blip, scenes):.3f}")
    heads = score_heads(blip, scenes)
    at_threshold = {k[:2]: v for k, v in heads.items() if k[2] == how.threshold}
    best = max(heads, key=lambda key: heads[key])
    print(f"GradCAM, best layer/head/threshold {best}: {heads[best]:.1f}")
    for (layer, head), score in at_threshold.items():
        others = [f"{heads[layer, head, t]:.1f}" for t in THRESHOLDS]
        print(f"  layer {layer} head {head}: {score:5.1f}   all thresholds: {' '.join(others)}")
    median = float(np.median(list(at_threshold.values())))
    print(f"median over all pairs: {median:.1f}; best over median {max(at_threshold.values()) / median:.1f}")
    steps = {
        "GradCAM": replace(how, rounds=1, sigma=0.0, crf=False),
        "+ Salience DropOut": replace(how, sigma=0.0, crf=False),
        "+ blur": replace(how, crf=False),
        "+ CRF": how,
        "CRF without DropOut": replace(how, rounds=1),
    }
    for name, step in steps.items():
        print(f"{name:20} {score_recipe(blip, scenes, step):.1f}")
    print("presence: mAP {:.1f}, best F1 {:.1f} at {:.2f}".format(*presence(blip, scenes)))


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--drawings", choices=("training", "held-out"), default="training")
    parser.add_argument("--weights", type=Path, default=BLIP_ITM_FOLDER)
    asked = parser.parse_args()
    scenes = [s for s in evaluation_scenes(asked.scenes, asked.drawings) if s.nouns]
    report(load_blip(asked.weights), scenes, Recipe())


if __name__ == "__main__":
    main()
