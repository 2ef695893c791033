"""Measure what the choice of sentences by entropy is worth, on scenes that no training has seen.

In `benchmarks/`, run `python sentences.py [RECIPE] [--scenes 40] [--first-seed N] [--draws 5]`.
The sentences are chosen on some scenes, without their labels. All recipes are scored on as many
others, and on the same.
"""

import argparse
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import torch

from ovsskit.embedded import NOUNS
from ovsskit.engine.notices import Silent
from ovsskit.engine.store import Store
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.run.pipeline import load
from ovsskit.sentences.sentences import SentencesOptions, choose_sentences
from ovsskit.texts.templates import sentences
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene

FIRST_SEED = 240_000_000
SIZES = (1, 4, 16)


def score(
    recipe: str | Path,
    scenes: Sequence[Scene],
    store: Store,
    own: Mapping[str, Sequence[str]] | None = None,
) -> float:
    """Return a recipe's mean IoU in per cent; `own` are sentences of classes."""
    sets = [f"encode_text.sentences_of.{name}={list(some)!r}" for name, some in (own or {}).items()]
    pipeline = load(recipe, *sets, device="cpu", store=store)
    total = torch.zeros(len(NOUNS) + 1, len(NOUNS) + 1, dtype=torch.int64)
    for scene in scenes:
        found = pipeline(scene.image).ids
        total += confusion(torch.from_numpy(scene.things).long(), found, len(NOUNS) + 1)
    return 100 * mean_iou(total)


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default="clearclip_tiny")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--draws", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scenes = evaluation_scenes(2 * asked.scenes, first_seed=asked.first_seed)
    seen, others = scenes[: len(scenes) // 2], scenes[len(scenes) // 2 :]
    store, tried = Store(), sentences("imagenet_80")
    assert load(asked.recipe, device="cpu").plan.vocabulary.names == tuple(NOUNS)
    recipes: dict[str, Mapping[str, Sequence[str]]] = {"all 80": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, scene in enumerate(seen):
            scene.image.save(folder / f"{index:04d}.png")
        out = folder / "sentences.toml"
        options = SentencesOptions(
            asked.recipe, images=(str(folder),), out=out, device="cpu", best=max(SIZES)
        )
        changes = tomllib.loads(choose_sentences(options, Silent()).read_text())["set"]
    ranked = {address.split(".", 2)[2]: some for address, some in changes.items()}
    for size in SIZES:
        recipes[f"the {size} surest of each class"] = {
            name: some[:size] for name, some in ranked.items()
        }
    for draw in range(asked.draws):
        random = Random(draw)
        recipes[f"4 at random for each class, draw {draw}"] = {
            noun: random.sample(tried, 4) for noun in NOUNS
        }
    print(f"{asked.recipe}: mean IoU on {len(others)} other scenes, on the {len(seen)} seen")
    for title, own in recipes.items():
        found = [score(asked.recipe, some, store, own) for some in (others, seen)]
        print(f"{title}: {found[0]:.2f}, {found[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
