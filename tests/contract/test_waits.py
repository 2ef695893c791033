"""Every shipped recipe runs on a GPU that is not there, as on the processor, and how often it waits
for it is written down.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pretend_device import NAME, PretendDevice, Wait
from test_other_devices import see_declared
from test_recipes import EMBEDDED, RECIPES, load

from ovsskit.engine.plan import Plan
from ovsskit.engine.stage import use_of, walk
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import BadClasses
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.runner import final_labels
from ovsskit.testing import example

WAITS = Path(__file__).parent.parent / "golden" / "waits.json"
"""How often recipes wait for the device, for an image and for one more trial of a study on it.

`ask`: for a number, or a shape that follows from numbers; `to host`, `to device`: until a tensor is
there. What is sent without waiting is not counted.
"""
KEEPING = {"ovsskit/engine/store.py", "ovsskit/engine/digests.py"}
"""Where a study's store brings to the processor what it keeps; a run has none."""

TEXTS = {"file", "templates", "templates_file", "texts"}
"""Fields of stages that are words, and decide no more than which texts there are."""


def steps_of(plan: Plan) -> tuple[Any, ...]:
    """Return what decides which way a recipe goes: its stages and models, and their settings that
    are words. Recipes that differ in numbers and classes go the same way.
    """
    stages = []
    for stage in walk(plan.stages):
        settings = stage.model_dump(exclude={"inner", "name", "reads", *TEXTS})
        words = [(key, value) for key, value in settings.items() if isinstance(value, str | bool)]
        stages.append((use_of(type(stage)), *words))
    return (*stages, *sorted((name, use_of(type(one))) for name, one in plan.models.items()))


WAYS = {steps_of(load_recipe(path).plan): path for path in sorted(RECIPES, key=EMBEDDED.count)}
"""One recipe for each way, one with weights in the package if there is such a one."""


def few_of(plan: Plan) -> Vocabulary:
    """Return the first classes of a recipe's own, all if it is tuned for them, or two."""
    own = plan.vocabulary
    if not own.names:
        return make_vocabulary(["dog", "grass"])
    few = own.pick(range(1, min(3, len(own.names)) + 1))
    try:
        for model in plan.used.values():
            model.check_vocabulary(few)
    except BadClasses:
        return own
    return few


def count(waits: Sequence[Wait]) -> dict[str, int]:
    counted = Counter(wait.kind for wait in waits if wait.kind != "send")
    return dict(sorted(counted.items()))


@pytest.mark.parametrize("path", WAYS.values(), ids=lambda path: path.stem)
def test_recipe_on_a_device(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    golden: Callable[[Path, str], str],
) -> None:
    plan = load(path, tmp_path).plan
    vocabulary = few_of(plan)
    first, second = example(Image, 0), example(Image, 1)
    [here] = Pipeline(plan, device="cpu").run_many([second], vocabulary)
    monkeypatch.setattr("ovsskit.run.pipeline.choose_device", lambda _: NAME)
    with PretendDevice(float64=True) as device:
        pipeline = Pipeline(plan)
        pipeline.run_many([first], vocabulary)  # reads weights and texts
        device.waits.clear()
        pipeline.store = Store()
        [there] = pipeline.run_many([second], vocabulary)
        found = final_labels(there, second.size)
        image = count([wait for wait in device.waits if wait.file not in KEEPING])
        classes = [*map(type, [*walk(plan.stages), *plan.models.values()])]
        see_declared(device.waits, {use_of(cls): cls for cls in classes})
        device.waits.clear()
        final_labels(pipeline.run_many([second], vocabulary)[0], second.size)
        trial = count(device.waits)
    alike = torch.from_numpy(found) == here["labels"].ids
    assert alike.float().mean() >= 0.998
    name = path.stem
    known = json.loads(WAITS.read_text()) if WAITS.exists() else {}
    rows = {**known, name: {"image": image, "trial": trial}}
    text = "".join(f" {json.dumps(key)}: {json.dumps(row)},\n" for key, row in sorted(rows.items()))
    kept = json.loads(golden(WAITS, "{\n" + text.rstrip(",\n") + "\n}\n") or "{}")
    assert name in kept, "of a new recipe: python -m ovsskit.testing.regenerate"
    for per, counted in (("image", image), ("trial", trial)):
        more = {
            kind: number
            for kind, number in counted.items()
            if number > kept[name][per].get(kind, 0)
        }
        assert not more, (
            f"per {per} it waits for the device more often than {kept[name][per]}: {device.waits}. "
            "If it must be: python -m ovsskit.testing.regenerate"
        )


def test_no_recipe_is_written_down_that_is_not_there() -> None:
    assert {*json.loads(WAITS.read_text())} == {path.stem for path in WAYS.values()}
