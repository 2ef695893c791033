"""Judge a recipe at every point of a grid, image by image, by all rewards and by the true masks."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from PIL import Image as Pillow
from rich.progress import track

from ovsskit.embedded import NOUNS
from ovsskit.engine.memo import remembering
from ovsskit.engine.stage import Stage
from ovsskit.engine.store import Store
from ovsskit.study.search.evaluate import Evaluator
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.spec.plan import StudyPlan, make_plan
from ovsskit.study.spec.search import starting_values
from ovsskit.study.spec.space import grid, suggest
from ovsskit.study.spec.truth import miou_of
from searching.spaces import Grid
from tiny_models.evaluate import evaluation_scenes

USES = {
    "wins": 'use = "clip_reward"',
    "share": 'use = "clip_reward", form = "share", among = "all"',
    "regions": 'use = "region_reward"',
    "edges": 'use = "edge_reward"',
    "reference": 'use = "reference_reward"',
    "agreement": 'use = "agreement_reward", alterations = ["horizontal_flip"]',
}
"""The rewards that a table may hold, as recipes have them."""
MASKS = '{ metric = "miou", masks = "masks" }'
Point = str


@dataclass
class Judged:
    """Hold what the images gave at a point: rewards by name, pixels counted by class.

    `seconds` are those of the processor, by the stage that took them.
    """

    rewards: dict[str, list[float]]
    matrices: torch.Tensor
    seconds: dict[str, float]
    calls: int

    def miou(self, indices: Sequence[int]) -> float:
        """Return the mean IoU over some images."""
        return miou_of([self.matrices[index] for index in indices])


@dataclass
class Judging:
    """Judge points of a grid on the scenes of a folder."""

    plan: StudyPlan
    evaluator: Evaluator
    rewards: tuple[str, ...] = ()
    drawn: int = 0
    known: dict[Point, Judged] = field(default_factory=dict)

    @classmethod
    def of(cls, chosen: Grid, folder: Path, rewards: Collection[str] = ()) -> Judging:
        """Make a study of a grid's recipe on the scenes of a folder, judged by some rewards.

        Without a space or a reference it has the recipe's own.
        """
        (folder / "recipe.toml").write_text(
            f'name = "searched"\nextends = "{chosen.recipe}"\n{chosen.added}'
        )
        goals = [f'{{ {USES[name]}, name = "{name}" }}' for name in rewards]
        reference = f'reference = "{chosen.reference}"\n' if chosen.reference else ""
        space = f"[space]\n{chosen.space}" if chosen.space else ""
        (folder / "judged.toml").write_text(
            f'recipe = "recipe.toml"\n{reference}images = ["*.png"]\n'
            f'accept = "best"\npruner = "none"\nobjective = [{", ".join([*goals, MASKS])}]\n{space}'
        )
        plan = make_plan(StudyOptions(str(folder / "judged.toml")))
        store = Store(memory_bytes=2 << 30)
        return cls(plan, Evaluator(plan, "cpu", 8, store), tuple(rewards))

    def points(self) -> list[dict[str, Any]]:
        """Return all points of the grid, so ordered that what networks wrote is used again.

        If points are to be `drawn`, they are the unchanged recipe's and so many random ones.
        """
        search = self.plan.search
        if not self.drawn:
            return sorted(grid(search.space), key=json.dumps)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        drawn = [suggest(search.space, study.ask()) for _ in range(self.drawn)]
        return sorted([starting_values(search), *drawn], key=json.dumps)

    def judge(self, values: Mapping[str, Any]) -> Judged:
        """Return what the images give at a point."""
        key = key_of(values)
        if key not in self.known:
            self.known[key] = self._judge(values)
        return self.known[key]

    def _judge(self, values: Mapping[str, Any]) -> Judged:
        search, truth = self.plan.search, self.plan.truth
        assert truth is not None
        pipeline = self.evaluator.pipeline(values, search.objectives)
        rewards: dict[str, list[float]] = {name: [] for name in self.rewards}
        seconds: dict[str, float] = {}
        matrices, last = [], 0.0

        def watch(stage: Stage, states: Any, _: float) -> None:
            nonlocal last
            now = time.process_time()
            seconds[stage.address] = seconds.get(stage.address, 0.0) + now - last
            last = now
            if stage.address in rewards:
                rewards[stage.address] += [float(state["reward"].data) for state in states]

        before = self.evaluator.store.calls
        for path_index in range(len(self.plan.images)):
            image = self.evaluator._image(path_index)
            with remembering(self.evaluator._memo):
                filled = self.evaluator._given.fill([image], pipeline.plan)
                last = time.process_time()
                [[state]] = pipeline.run_states([filled], watch)
            matrices.append(truth.confusion(self.plan.images[path_index], state["labels"].ids))
        calls = self.evaluator.store.calls - before
        return Judged(rewards, torch.stack(matrices), seconds, calls)

    def all(self, name: str) -> dict[Point, Judged]:
        """Judge the whole grid."""
        return {key_of(point): self.judge(point) for point in track(self.points(), name)}


def key_of(values: Mapping[str, Any]) -> Point:
    """Return values as a key."""
    return json.dumps(
        {key: list(one) if isinstance(one, tuple) else one for key, one in sorted(values.items())}
    )


def paint(folder: Path, count: int, seed: int, drawings: Any, *, backgrounds: bool) -> None:
    """Write scenes and their masks; with backgrounds, these have ids after those of the things."""
    (folder / "masks").mkdir(parents=True)
    for index, scene in enumerate(evaluation_scenes(count, drawings, seed)):
        behind = np.where(scene.stuffs > 0, scene.stuffs.astype(int) + len(NOUNS), 0)
        mask = np.where(scene.things > 0, scene.things, behind if backgrounds else 0)
        scene.image.save(folder / f"{index:03d}.png")
        Pillow.fromarray(mask.astype("uint8")).save(folder / "masks" / f"{index:03d}.png")
