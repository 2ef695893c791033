"""Score a recipe with and without each of its parts.

Run `python benchmarks/ablation.py [--recipe itaclip_tiny]`.
The images are the packaged sample scenes, or (with --fresh N) newly painted ones that no model was
trained on, with the drawings of the training or with held-out ones. Scores are mean IoU over the
things and the background against the true masks. Of PnP-OVSS's recipes the first table gives the
true things of every image, and the second compares ways to find out which are there; ITACLIP's need
not be told.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pillow
from rich.console import Console
from rich.table import Table

import ovsskit
from ovsskit.embedded import NOUNS, sample_scenes
from ovsskit.engine.images import read_image
from ovsskit.engine.values import Image
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary

TRUE_THINGS = (
    '[[stage]]\nuse = "presence_from_file"\nfile = "present.json"\n'
    'replaces = "presence_by_matching"\n'
)
WITHOUT = {
    "GradCAM": '[[stage]]\nuse = "attention_maps"\nreplaces = "grad_cam"\n',
    "Salience DropOut": '[set]\n"salience_dropout.rounds" = 1\n',
    "blur": 'remove = ["gaussian_blur"]\n',
    "CRF": 'remove = ["dense_crf"]\n',
}
ALONE = 'remove = ["gaussian_blur", "dense_crf"]\n[set]\n"salience_dropout.rounds" = 1\n'
DROPOUT = 'remove = ["gaussian_blur", "dense_crf"]\n'
WITH_TRUTH = {
    "the whole recipe": "",
    **{f"without {part}": change for part, change in WITHOUT.items()},
    "GradCAM alone": ALONE,
    "GradCAM and Salience DropOut": DROPOUT,
}
PRESENCE = {
    "true things": TRUE_THINGS,
    "matching": "",
    "by the tiny CLIP": '[[stage]]\nuse = "presence_by_similarity"\n'
    'replaces = "presence_by_matching"\n'
    '[models.judge]\nuse = "clip"\nweights = "embedded"\n',
    "all 24 things": '[[stage]]\nuse = "all_classes"\nreplaces = "presence_by_matching"\n',
}
ATTENTION = {
    "queries to keys, as trained": ["query_key"],
    "queries to queries": ["query_query"],
    "keys to keys": ["key_key"],
    "values to values": ["value_value"],
    "queries to queries and values to values": ["query_query", "value_value"],
    "all three": ["query_query", "key_key", "value_value"],
}
ITACLIP = {
    "the whole recipe": "",
    "without image engineering": '[set]\n"views.same" = ["identity"]\n"views.altered" = []\n',
    "without flips": '[set]\n"views.altered" = []\n',
    "without PAMR": 'remove = ["pamr"]\n',
    "without the area threshold": 'remove = ["drop_small_areas"]\n',
    "without closing": 'remove = ["close_labels"]\n',
    "without all of these": 'remove = ["pamr", "drop_small_areas", "close_labels"]\n'
    '[set]\n"views.same" = ["identity"]\n"views.altered" = []\n',
    "with grey and blur": '[set]\n"views.same" = ["identity", "grey", "blur"]\n',
    "with a middle block": '[set]\n"self_similarity.layers" = [-2, -1]\n',
    "with the last block's residual": '[set]\n"attend.residual" = true\n',
    "with the last block's feed-forward part": '[set]\n"attend.feed_forward" = true\n',
    "with text expansion": (
        '[[stage]]\nuse = "expand_text"\nweight = 0.05\nmissing = "name"\nafter = "text_features"\n'
    ),
    **{name: f'[set]\n"self_similarity.of" = {json.dumps(of)}\n' for name, of in ATTENTION.items()},
    "keys to keys that are near": '[[stage]]\nuse = "neighbourhood"\nafter = "self_similarity"\n'
    '[set]\n"self_similarity.of" = ["key_key"]\n',
    "patches to themselves": '[[stage]]\nuse = "identity_attention"\nreplaces = "self_attention"\n',
    "with flips and two scales": '[set]\n"views.altered" = ["vertical_flip", '
    '"horizontal_flip", "scale_75", "scale_125"]\n',
}


@dataclass(frozen=True)
class Example:
    """Hold an image, the numbers of its true things (0 is the background), and their names."""

    image: Image
    truth: torch.Tensor
    nouns: tuple[str, ...]


def samples() -> list[Example]:
    """Return the packaged sample scenes."""
    scenes = sample_scenes()
    return [
        Example(read_image(s.image), _mask(np.asarray(Pillow.open(s.mask))), s.nouns)
        for s in scenes
    ]


def fresh(count: int, drawing_set: str, seed: int) -> list[Example]:
    """Paint scenes that no model was trained on."""
    from tiny_models.scenes import make_scene

    found = []
    for index in range(count):
        scene = make_scene(seed + index, 288, 288, drawing_set)  # type: ignore[arg-type]
        image = read_image(scene.image)
        found.append(
            Example(Image(image.data, f"fresh{index}"), _mask(scene.things), tuple(scene.nouns))
        )
    return [example for example in found if example.nouns]


def score(base: str, change: str, examples: Sequence[Example], folder: Path) -> tuple[float, float]:
    """Return the mean IoU of a variant of a recipe, from 0 to 100, and the seconds per image."""
    present = {example.image.name: list(example.nouns) for example in examples}
    (folder / "present.json").write_text(json.dumps(present))
    (folder / "variant.toml").write_text(f'extends = "{base}"\n{change}')
    pipeline = ovsskit.load(folder / "variant.toml")
    own = pipeline.plan.vocabulary
    vocabulary = own if own.names else make_vocabulary(NOUNS)
    total = torch.zeros(len(NOUNS) + 1, len(NOUNS) + 1, dtype=torch.int64)
    start = time.perf_counter()
    for first in range(0, len(examples), pipeline.batch):
        group = examples[first : first + pipeline.batch]
        states = pipeline.run_many([example.image for example in group], vocabulary)
        for example, state in zip(group, states, strict=True):
            total += confusion(example.truth, state["labels"].ids.cpu(), len(NOUNS) + 1)
    return 100 * mean_iou(total), (time.perf_counter() - start) / len(examples)


def _mask(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.int64))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument(
        "--fresh",
        type=int,
        default=0,
        metavar="N",
        help="paint N scenes instead of the packaged ones",
    )
    parser.add_argument("--drawings", choices=["training", "held-out"], default="training")
    parser.add_argument("--seed", type=int, default=50_000_000)
    arguments = parser.parse_args()
    examples = (
        fresh(arguments.fresh, arguments.drawings, arguments.seed) if arguments.fresh else samples()
    )
    console = Console(width=100)
    tables = [
        ("true things given", WITH_TRUTH, TRUE_THINGS),
        ("which things are there", PRESENCE, ""),
    ]
    if any(stage.address == "encode_text" for stage in load_recipe(arguments.recipe).plan.stages):
        tables = [("parts of ITACLIP", ITACLIP, "")]
    with tempfile.TemporaryDirectory() as temporary:
        for title, variants, always in tables:
            table = Table(title, "mIoU", "s per image", title=f"{len(examples)} images")
            for name, change in variants.items():
                miou, seconds = score(arguments.recipe, change + always, examples, Path(temporary))
                table.add_row(name, f"{miou:.1f}", f"{seconds:.2f}")
            console.print(table)


if __name__ == "__main__":
    main()
