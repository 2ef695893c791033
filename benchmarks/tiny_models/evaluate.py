"""Score the shipped BLIP, as in the quickstart recipe, on scenes that no training has seen.

In `benchmarks/`, run `python -m tiny_models.evaluate [--scenes 150] [--drawings held-out]
[--first-seed N]`.
With `--choose` it prints what the recipe's settings were chosen by, on other scenes.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from transformers import AutoTokenizer, BertTokenizerFast, BlipForImageTextRetrieval

from ovsskit.embedded import BLIP_ITM_FOLDER, NOUNS
from ovsskit.engine.driver import State
from ovsskit.engine.images import read_image
from ovsskit.engine.stage import Stage, wiring
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.grad_cam import GradCam
from ovsskit.stages.maps.select_head import SelectHead
from ovsskit.stages.network.cross_attend import CrossAttend
from ovsskit.stages.presence.all_classes import AllClasses
from tiny_models import captions
from tiny_models.dataset import EVALUATION_SEED, normalise, to_model_size
from tiny_models.drawings import DrawingSet
from tiny_models.scenes import Scene, make_scene

SIZES: Final = ((240, 180), (216, 216), (264, 180), (180, 240), (288, 192))
TUNING_SEED: Final = EVALUATION_SEED + 1_000_000
HELD_OUT_OFFSET: Final = 2_000_000
THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5)
ROUNDS: Final = (4, 6)
PATCHES: Final = (2, 3, 4, 6)
CHUNK: Final = 16
REFINEMENT: Final = ("gaussian_blur", "dense_crf")
ROUNDS_OF: Final = "salience_dropout.rounds"
PATCHES_OF: Final = "salience_dropout.patches"
ONE_ROUND: Final = f"{ROUNDS_OF}=1"


@dataclass(frozen=True)
class Blip:
    """A model with its tokenizer."""

    model: BlipForImageTextRetrieval
    tokenizer: BertTokenizerFast


def load_blip(folder: Path = BLIP_ITM_FOLDER) -> Blip:
    """Load the stock model in single precision."""
    model = BlipForImageTextRetrieval.from_pretrained(folder, dtype=torch.float32).eval()
    return Blip(model.requires_grad_(False), AutoTokenizer.from_pretrained(folder))


def evaluation_scenes(
    count: int, drawing_set: DrawingSet = "training", first_seed: int = EVALUATION_SEED
) -> list[Scene]:
    """Make scenes that show a noun, from seeds that training does not use."""
    first = first_seed + HELD_OUT_OFFSET * (drawing_set == "held-out")
    scenes = (
        make_scene(first + number, *SIZES[number % len(SIZES)], drawing_set)
        for number in range(count)
    )
    return [scene for scene in scenes if scene.nouns]


def pixels_of(scenes: Sequence[Scene]) -> Float[Tensor, "scenes 3 side side"]:
    """Resize and normalise images for the models."""
    small = np.stack([to_model_size(scene.image) for scene in scenes])
    return normalise(torch.from_numpy(small))


def encode_captions(
    blip: Blip, texts: list[str]
) -> tuple[Int[Tensor, "b tokens"], Int[Tensor, "b tokens"], Any]:
    """Encode captions that begin with `[ENC]`."""
    encoded = blip.tokenizer(texts, padding=True)
    ids = torch.tensor(encoded["input_ids"])
    ids[:, 0] = blip.model.config.text_config.enc_token_id
    return ids, torch.tensor(encoded["attention_mask"]), encoded


def match_logits(
    blip: Blip, pixels: Float[Tensor, "b 3 side side"], texts: list[str]
) -> Float[Tensor, " b"]:
    """Return the match logit minus the mismatch logit."""
    ids, mask, _ = encode_captions(blip, texts)
    with torch.no_grad():
        image = blip.model.vision_model(pixels).last_hidden_state
        read = blip.model.text_encoder(
            input_ids=ids, attention_mask=mask, encoder_hidden_states=image
        )
        logits = blip.model.itm_head(read.last_hidden_state[:, 0])
    difference: Tensor = logits[:, 1] - logits[:, 0]
    return difference


def chunks(scenes: Sequence[Scene]) -> Iterator[Sequence[Scene]]:
    """Cut a list into parts that fit one forward pass."""
    for start in range(0, len(scenes), CHUNK):
        yield scenes[start : start + CHUNK]


def read_settings(weights: Path, *overrides: str) -> Recipe:
    """Read the quickstart recipe for these weights, changed by the overrides."""
    return load_recipe("quickstart", [f"backbone.weights={weights}", *overrides])


def find_maps(
    recipe: Recipe, scenes: Sequence[Scene], inner: Sequence[Stage] | None = None
) -> list[State]:
    """Run a recipe up to its maps, or other stages, with the true nouns as classes."""
    if inner is None:
        addresses = [stage.address for stage in recipe.plan.stages]
        inner = recipe.plan.stages[2 : addresses.index("merge_tokens") + 1]
    pipeline = Pipeline.of(
        [AllClasses(), recipe.plan.stages[1], *inner], recipe.plan.models, device="cpu"
    )
    states = []
    for scene in scenes:
        states += pipeline.run_many([read_image(scene.image)], make_vocabulary(scene.nouns))
    return states


def score_maps(
    recipe: Recipe, scenes: Sequence[Scene], states: Iterable[State], without: Sequence[str] = ()
) -> float:
    """Run the rest of a recipe on its maps, without some stages.

    Return the mean IoU of things and background.
    """
    addresses = [stage.address for stage in recipe.plan.stages]
    rest = [
        stage
        for stage in recipe.plan.stages[addresses.index("merge_tokens") + 1 :]
        if stage.address not in without
    ]
    total = torch.zeros(len(NOUNS) + 1, len(NOUNS) + 1, dtype=torch.int64)
    for scene, state in zip(scenes, states, strict=True):
        labels = run_stages(rest, state)["labels"].ids
        numbers = torch.tensor([0, *(NOUNS.index(noun) + 1 for noun in scene.nouns)])
        total += confusion(torch.from_numpy(scene.things).long(), numbers[labels], len(NOUNS) + 1)
    return 100 * mean_iou(total)


def run_stages(stages: Iterable[Stage], state: State) -> State:
    """Run stages that need no model on an image, one after the other."""
    for stage in stages:
        state = {
            **state,
            stage.writes: stage.run(**{slot: state[slot] for slot in wiring(type(stage)).reads}),
        }
    return state


def score_heads(recipe: Recipe, scenes: Sequence[Scene]) -> dict[tuple[int, int], float]:
    """Score plain GradCAM of every layer and head at the recipe's threshold, without refinement."""
    states = find_maps(recipe, scenes, [CrossAttend(layers="all")])
    merge = next(stage for stage in recipe.plan.stages if stage.address == "merge_tokens")
    attention = states[0]["attention"]
    scores = {}
    for layer, head in product(attention.layers, attention.heads):
        chain = (SelectHead(layer=layer, head=head), GradCam(), merge)
        maps = [run_stages(chain, state) for state in states]
        scores[layer, head] = score_maps(recipe, scenes, maps, REFINEMENT)
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


@dataclass(frozen=True)
class BlipScores:
    """Hold scores of a model with the recipe: accuracy from 0 to 1, mean IoU in per cent.

    Heads are by layer (from 1) and head (from 0).
    """

    match_accuracy: float
    heads: dict[tuple[int, int], float]
    grad_cam: float
    dropout: float
    blurred: float
    whole: float
    whole_without_dropout: float

    @property
    def best_head(self) -> tuple[int, int]:
        """Return the layer and head whose GradCAM scores best."""
        return max(self.heads, key=lambda place: self.heads[place])

    @property
    def dropout_gain(self) -> float:
        """Return what Salience DropOut adds to the best head's GradCAM, without refinement."""
        return self.dropout - self.heads[self.best_head]

    @property
    def best_to_median(self) -> float:
        """Return how many times the best head's GradCAM beats the median of all."""
        return self.heads[self.best_head] / float(np.median(list(self.heads.values())))


def score_blip(weights: Path, scenes: Sequence[Scene]) -> BlipScores:
    """Score matching, every head, and the recipe part by part, with the true nouns given."""
    recipe, one_round = read_settings(weights), read_settings(weights, ONE_ROUND)
    alone, dropout = find_maps(one_round, scenes), find_maps(recipe, scenes)
    return BlipScores(
        match_accuracy=match_accuracy(load_blip(weights), scenes),
        heads=score_heads(recipe, scenes),
        grad_cam=score_maps(recipe, scenes, alone, REFINEMENT),
        dropout=score_maps(recipe, scenes, dropout, REFINEMENT),
        blurred=score_maps(recipe, scenes, dropout, REFINEMENT[1:]),
        whole=score_maps(recipe, scenes, dropout),
        whole_without_dropout=score_maps(recipe, scenes, alone),
    )


def report(weights: Path, scenes: Sequence[Scene]) -> None:
    """Print every score."""
    scores = score_blip(weights, scenes)
    layer, head = scores.best_head
    print(f"{len(scenes)} scenes; match accuracy, one noun swapped: {scores.match_accuracy:.3f}")
    print(f"GradCAM of the best head (layer {layer}, head {head}): {scores.heads[layer, head]:.1f}")
    print(f"  over the median of all {len(scores.heads)}: {scores.best_to_median:.1f}")
    print(f"GradCAM of the recipe's head: {scores.grad_cam:.1f}")
    print(
        f"+ Salience DropOut: {scores.dropout:.1f} ({scores.dropout_gain:+.1f} over the best "
        "head's GradCAM)"
    )
    print(f"+ blur: {scores.blurred:.1f}")
    print(f"+ CRF: {scores.whole:.1f}")
    print(f"blur and CRF without Salience DropOut: {scores.whole_without_dropout:.1f}")
    print(
        "presence: mAP {:.1f}, best F1 {:.1f} at {:.2f}".format(
            *presence(load_blip(weights), scenes)
        )
    )


def choose(weights: Path, scenes: Sequence[Scene]) -> None:
    """Print scores of raw maps, and of the whole recipe by threshold, rounds and hidden patches."""
    for rounds, patches in ((1, 1), *product(ROUNDS, PATCHES)):
        maps = find_maps(
            read_settings(weights, f"{ROUNDS_OF}={rounds}", f"{PATCHES_OF}={patches}"), scenes
        )
        for threshold in THRESHOLDS:
            recipe = read_settings(weights, f"threshold.at={threshold}")
            raw, whole = (
                score_maps(recipe, scenes, maps, REFINEMENT),
                score_maps(recipe, scenes, maps),
            )
            print(
                (
                    f"{rounds} rounds, {patches} patches, threshold {threshold}: raw {raw:.1f}, "
                    f"whole {whole:.1f}"
                ),
                flush=True,
            )


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--drawings", choices=("training", "held-out"), default="training")
    parser.add_argument("--first-seed", type=int, help="seed of the first scene")
    parser.add_argument("--weights", type=Path, default=BLIP_ITM_FOLDER)
    parser.add_argument(
        "--choose", action="store_true", help="try settings, on scenes kept apart for that"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    own_seed = TUNING_SEED if asked.choose else EVALUATION_SEED
    scenes = evaluation_scenes(asked.scenes, asked.drawings, asked.first_seed or own_seed)
    (choose if asked.choose else report)(asked.weights, scenes)


if __name__ == "__main__":
    main()
