"""Recipes, studies, and values for `--set`."""

from __future__ import annotations

from pathlib import Path

from fuzzing.feeding import Reader, Readers

RECIPES = Path(__file__).parent.parent.parent / "recipes"


def _recipes() -> Reader:
    from ovsskit.study.spec.check_file import check_file

    good = [path.read_bytes() for path in sorted(RECIPES.glob("*.toml"))]
    return Reader(
        "recipes", (*good, VARIANT, STUDIED), "mine.toml", lambda path: check_file(str(path))
    )


def _studies() -> Reader:
    from ovsskit.study.spec.check_file import check_file

    return Reader("studies", (STUDY, GOALS), "study.toml", lambda path: check_file(str(path)))


def _settings() -> Reader:
    from ovsskit.recipe.build import load_recipe

    def read(path: Path) -> object:
        return load_recipe("quickstart", [path.read_text("utf-8", "replace")])

    return Reader(
        "--set", (b"threshold.at=0.3", b"softmax.scale=5", b"backbone.weights=x"), "set.txt", read
    )


VARIANT = b"""name = "variant"
extends = "pnp_blip"
remove = ["dense_crf"]

[set]
"threshold.at" = 0.3
"salience_dropout.rounds" = 2

[vocabulary]
names = ["dog, hound", "cat"]
ids = [3, 7]
synonyms = { cat = ["kitten"] }

[[stage]]
use = "pamr"
after = "softmax"

[[stage]]
use = "sliding_window"
replaces = "upsample"
window = 0

  [[stage.inner]]
  use = "upsample"
  reads = { image = "image" }
"""


STUDIED = b"""extends = "quickstart"

[study]
trials = 20
sampler = "tpe"
classes = ["dog", "cat"]

[study.objective]
use = "clip_reward"

[study.models.judge]
use = "clip"
weights = "embedded"

[study.space]
"threshold.at" = { low = 0.1, high = 0.5 }
"""


STUDY = b"""recipe = "quickstart"
trials = 20
name = "mine"
images = ["a.jpg"]

[objective]
metric = "miou"

[constraints]
seconds_per_image = 2.0

[set]
"softmax.scale" = 2.0

[space]
"threshold.at" = { low = 0.1, high = 0.5, step = 0.1 }
"gaussian_blur" = { choices = ["on", "off"] }
"salience_dropout.rounds" = { low = 1, high = 4 }
"""


GOALS = b"""recipe = "quickstart"
sampler = "random"
groups = 2
pruner = "none"
split = "salience_dropout.rounds"

[[objective]]
use = "clip_reward"

[[objective]]
metric = "seconds"
direction = "minimize"

[models.judge]
use = "clip"
weights = "embedded"

[space]
"threshold.at" = { low = 0.1, high = 0.5, log = true }
"salience_dropout.rounds" = { choices = [1, 2, 3] }
"""
READERS: Readers = {"recipes": _recipes, "studies": _studies, "set": _settings}
