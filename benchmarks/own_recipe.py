"""Choose the parts of a recipe of our own, one after the other, and say what each is worth.

Run `python benchmarks/own_recipe.py [--guide] [--scenes 48]`.
It begins with plain CLIP, or, to try guides, with the recipe that came of that. For each part,
every choice is scored on newly painted scenes; the best one stays if 9 in 10 paired bootstraps over
the scenes prefer it to what was there. In the end the recipe is scored on other scenes, with the
drawings of the training and with held-out ones, as a whole and with each of its parts taken back.
Scores are mean IoU over the things and the background. Nothing but the tiny models of the package
is asked, so that what is chosen follows from them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import ovsskit
from ablation import Example, fresh
from choices import Change, Part, Start, stage
from guides import GUIDED, PIECES, SHIPPED, SLIC
from ovsskit.embedded import NOUNS
from ovsskit.errors import OvsskitError
from ovsskit.ops.metrics import confusion, mean_iou

SEARCHED, UNSEEN = 140_000_000, 150_000_000
"""Seeds of scenes that choices are made on, and of those that judge the whole."""
SURE, DRAWS = 0.9, 1000
"""Share of bootstraps that have to prefer a choice, and how many there are."""
Confusions = list[torch.Tensor]
PLAIN = Start(
    "plain CLIP",
    "itaclip_tiny",
    Change(
        remove=("pamr", "drop_small_areas", "close_labels"),
        set={
            "views.same": ["identity"],
            "views.altered": [],
            "self_similarity.of": ["query_key"],
            "attend.residual": True,
            "attend.feed_forward": True,
            "softmax.scale": 40,
            "label_map.background_below": 0.0,
        },
    ),
    beside=("ovsskit_clip_tiny", "itaclip_tiny", "naclip_tiny", "pearl_tiny"),
)
"""The tiny ITACLIP, which has a place for every part, as CLIP was trained; and SCLIP's scale."""
CRF = {
    "steps": 10,
    "gaussian_sigma": 3,
    "gaussian_weight": 7,
    "bilateral_sigma": 50,
    "bilateral_colour_sigma": 5,
    "bilateral_weight": 10,
}
"""PnP-OVSS's settings."""
LOOKS = {
    "queries to queries": ["query_query"],
    "keys to keys": ["key_key"],
    "values to values": ["value_value"],
    "queries to queries and keys to keys": ["query_query", "key_key"],
    "all three": ["query_query", "key_key", "value_value"],
}
COMMON: dict[str, Part] = {
    "attention": {
        **{name: Change(set={"self_similarity.of": of}) for name, of in LOOKS.items()},
        "keys turned towards queries (PEARL)": Change(
            (stage("procrustes_similarity", "encode_hidden", key_weight=0.08, iterations=5),),
            remove=("self_similarity",),
        ),
    },
    "last block": {
        "without its residual": Change(set={"attend.residual": False}),
        "without its feed-forward part": Change(set={"attend.feed_forward": False}),
        "without both": Change(set={"attend.residual": False, "attend.feed_forward": False}),
    },
    "near patches": {
        "a Gaussian of the distance (NACLIP)": Change(
            (stage("neighbourhood", "self_similarity", sigma=5),)
        ),
    },
    "outliers": {
        "repaired (SC-CLIP)": Change(
            (
                stage(
                    "repair_outliers",
                    "encode_hidden",
                    layers=[-1],
                    found_in=-1,
                    neighbours=30,
                    share=0.05,
                ),
            )
        ),
    },
    "views": {
        "a mirrored one": Change(set={"views.altered": ["horizontal_flip"]}),
        "flips (ITACLIP)": Change(set={"views.altered": ["vertical_flip", "horizontal_flip"]}),
    },
    "size": {
        "half as large again, in windows": Change(set={"resize_image.short_side": 168}),
        "half as large again, in one piece": Change(
            set={"resize_image.short_side": 168, "sliding_window.window": 0}
        ),
    },
    "sentences": {
        name: Change(set={"encode_text.templates": name})
        for name in ("clip_surgery_85", "simple", "name")
    },
    "which classes are there": {
        f"by the whole image, {share} of the best": Change(
            (
                stage("presence_by_similarity", "encode_text", at_least=share),
                stage("keep_present", "upsample"),
            )
        )
        for share in (0.5, 0.1, 0.01)
    },
    "refinement": {
        "PAMR": Change(
            (stage("pamr", "upsample", reads={"image": "resized"}, steps=10, dilations=[8, 16]),)
        ),
        "edges (PEARL)": Change(
            (stage("edge_graph", "upsample", reads={"image": "resized"}, cells=80),)
        ),
        "dense CRF": Change((stage("dense_crf", "merge_queries", **CRF),)),
    },
    "small areas": {
        f"classes of less than {share:.0%} dropped (ITACLIP)": Change(
            (stage("drop_small_areas", "merge_queries", fraction=share),)
        )
        for share in (0.01, 0.03, 0.1)
    },
    "labels": {
        "closed (ITACLIP)": Change((stage("close_labels", "label_map", size=3),)),
        "a vote in SLIC's pieces (CorrCLIP)": Change(
            (*PIECES, stage("region_vote", "label_map", uncovered="zero")), models=SLIC
        ),
    },
}


def score(change: Change, base: str, examples: Sequence[Example], folder: Path) -> Confusions:
    """Return how the labels of a changed recipe meet the true ones, image by image."""
    path = folder / "variant.toml"
    path.write_text(change.text(base), encoding="utf-8")
    return score_recipe(path, examples)


def score_recipe(recipe: str | Path, examples: Sequence[Example]) -> Confusions:
    """Return how the labels of a recipe meet the true ones, image by image."""
    pipeline = ovsskit.load(recipe)
    vocabulary, found = pipeline.plan.vocabulary, []
    for first in range(0, len(examples), pipeline.batch):
        group = examples[first : first + pipeline.batch]
        states = pipeline.run_many([example.image for example in group], vocabulary)
        found += [
            confusion(example.truth, state["labels"].ids.cpu(), len(NOUNS) + 1)
            for example, state in zip(group, states, strict=True)
        ]
    return found


def miou(confusions: Confusions) -> float:
    """Return the mean IoU of all images together, from 0 to 100."""
    return 100 * mean_iou(torch.stack(confusions).sum(0))


def preferred(new: Confusions, old: Confusions) -> float:
    """Return the share of paired bootstraps over the images in which the new labels are better."""
    generator, count = torch.Generator().manual_seed(0), len(old)
    news, olds = torch.stack(new), torch.stack(old)
    wins = 0
    for _ in range(DRAWS):
        drawn = torch.randint(count, (count,), generator=generator)
        wins += mean_iou(news[drawn].sum(0)) > mean_iou(olds[drawn].sum(0))
    return wins / DRAWS


def choose(
    start: Start,
    parts: dict[str, Part],
    examples: Sequence[Example],
    folder: Path,
    console: Console,
) -> dict[str, tuple[str, Change]]:
    """Choose part by part, and return what was chosen of each."""
    kept, chosen = start.change, {}
    now = score(kept, start.recipe, examples, folder)
    table = Table("part", "choice", "mIoU", "preferred", "", title=f"{len(examples)} scenes")
    table.add_row(start.name, "", f"{miou(now):.1f}", "", "")
    for part, choices in parts.items():
        tried = {}
        for name, change in choices.items():
            try:
                tried[name] = score(kept.plus(change), start.recipe, examples, folder)
            except OvsskitError as error:
                table.add_row(part, name, "", "", f"does not fit: {type(error).__name__}")
        best = max(tried, key=lambda name: miou(tried[name]), default="")
        for name, found in tried.items():
            share = preferred(found, now)
            stays = name == best and share >= SURE
            table.add_row(
                part, name, f"{miou(found):.1f}", f"{share:.2f}", "stays" if stays else ""
            )
            if stays:
                chosen[part] = name, choices[name]
        if part in chosen:
            kept, now = kept.plus(chosen[part][1]), tried[best]
    console.print(table)
    return chosen


def judge(
    start: Start,
    chosen: dict[str, tuple[str, Change]],
    scenes: int,
    folder: Path,
    console: Console,
) -> None:
    """Score the whole on other scenes, and with each part taken back."""
    sets = {name: fresh(scenes, name, UNSEEN) for name in ("training", "held-out")}
    table = Table("recipe", *(f"{name} drawings" for name in sets), title=f"{scenes} other scenes")
    rows = {start.name: [], "the whole recipe": list(chosen)}
    rows |= {
        f"without {part}: {chosen[part][0]}": [o for o in chosen if o != part] for part in chosen
    }
    for name, parts in rows.items():
        change = start.change
        for part in parts:
            change = change.plus(chosen[part][1])
        try:
            found = [
                f"{miou(score(change, start.recipe, examples, folder)):.1f}"
                for examples in sets.values()
            ]
        except OvsskitError as error:
            found = [f"does not fit: {type(error).__name__}"]
        table.add_row(name, *found)
    for name in start.beside:
        scored = (miou(score_recipe(name, examples)) for examples in sets.values())
        table.add_row(name, *(f"{one:.1f}" for one in scored))
    console.print(table)


def main() -> None:
    """Print what was tried, what was chosen, and what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guide", action="store_true", help="try guides in the shipped recipe")
    parser.add_argument("--scenes", type=int, default=48)
    arguments = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
        folder = Path(temporary)
        examples = fresh(arguments.scenes, "training", SEARCHED)
        start, parts = (SHIPPED, GUIDED) if arguments.guide else (PLAIN, COMMON)
        chosen = choose(start, parts, examples, folder, console)
        judge(start, chosen, 2 * arguments.scenes, folder, console)
        change = start.change
        for _, one in chosen.values():
            change = change.plus(one)
        console.print(change.text(start.recipe), markup=False, highlight=False)


if __name__ == "__main__":
    main()
