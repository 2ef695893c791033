"""TCL's steps against recordings of its released code (`tcl/README.md`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_family_set import write_recipe
from recorded_image import instead_of_resizing
from recording import Case
from sets import choose, find
from tcl_set import Recording, TclTower, Tensor, first_window

from ovsskit.backbones.tcl.tcl import MEAN
from ovsskit.engine.driver import State
from ovsskit.engine.model.grounds_text import ToyGroundsText
from ovsskit.engine.stage import Stage, walk
from ovsskit.engine.values import Confidences, Image, Logits, PatchFeatures, TextFeatures
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.learned_sigmoid import LearnedSigmoid

SET = "tcl"
LIMITS = {
    "tokens": 2e-4,
    "embedding": 1e-4,
    "frozen_features": 1e-4,
    "similarity": 1e-5,
    "mask": 2e-5,
    "pamr": 2e-5,
    "mixed": 2e-5,
    "window_scores": 2e-5,
    "scores": 2e-5,
}
"""How far numbers may be from the recorded ones, by how their names begin."""
LABELS = 1e-3
"""Share of pixels whose labels may differ, and at least one."""
GIVEN = ("picture", "text", "labels")
WRITTEN_BY = {
    "embedding": "ground_patches",
    "frozen_features": "attend",
    "similarity": "text_similarity",
    "mask": "learned_sigmoid",
    "pamr": "pamr",
    "mixed": "mix",
}
"""Which stage writes what is recorded of the first window."""


class Calibrated(ToyGroundsText):
    """Have recorded numbers for a scale and a bias."""

    def __init__(self, calibration: tuple[float, float]) -> None:
        self._calibration = calibration

    @property
    def calibration(self) -> tuple[float, float]:
        """Return them."""
        return self._calibration


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"name": lambda facts: list(facts["cases"])})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, SET))


@pytest.fixture
def checkpoint(recording: Recording, tmp_path: Path) -> Path:
    return recording.write_checkpoint(tmp_path / "tcl.pth")


def recipe_of(case: Case, folder: Path) -> Recipe:
    """Return the shipped recipe with a case's window and switches."""
    facts = case.facts
    values: dict[str, Any] = {
        "sliding_window.window": facts["window"],
        "sliding_window.stride": facts["stride"],
    }
    is_there = {"constant_background": facts["background"], "pamr": facts["pamr"]}
    is_there["mix"] = facts["mix"]
    left_out = [name for name, kept in is_there.items() if not kept]
    if facts["mix"]:
        values["mix.weight"] = facts["mix"]
    if facts["background"]:
        values["constant_background.at"] = facts["threshold"]
    return write_recipe(folder, "tcl", values, left_out)


def run(case: Case, checkpoint: Path, folder: Path) -> dict[str, list[Any]]:
    """Return what every stage wrote: of those inside the windows, for every window."""
    recipe = recipe_of(case, folder)
    stages = instead_of_resizing(recipe.plan.stages, case.picture)
    kept: dict[str, list[Any]] = {}

    def keep(stage: Stage, states: Sequence[State], seconds: float) -> None:
        kept.setdefault(stage.address, []).extend(state[stage.writes] for state in states)

    tower = TclTower(weights=str(checkpoint)).with_words(case.tensors["text"])
    pipeline = Pipeline.of(stages, {"backbone": tower}, device="cpu")
    pipeline.run_many([case.original], case.vocabulary, keep)
    assert kept.keys() == {stage.address for stage in walk(stages)}
    return kept


def thinned(values: Tensor, name: str) -> Tensor:
    """Return every so manieth row and column, as the name says, or token."""
    if "_step" in name:
        return values[:: int(name.partition("_step")[2])]
    step = int(name.partition("_sub")[2] or 1)
    return values[:, ::step, ::step]


def check(ours: Tensor, case: Case, name: str) -> None:
    theirs = case.tensors[name]
    ours = thinned(ours, name)
    assert ours.shape == theirs.shape, name
    limit = next(value for start, value in LIMITS.items() if name.startswith(start))
    found = float((ours - theirs).abs().max())
    assert found <= limit, f"{name}: {found:.2e} from the recording, {limit:.0e} allowed"


def pad_evenly(window: Tensor, size: Sequence[int]) -> Tensor:
    """Put the mean colour around a window, the smaller half of it on the left and on top."""
    colour = window.new_tensor(MEAN)[:, None, None] / 255
    rows, columns = (new - old for new, old in zip(size, window.shape[1:], strict=True))
    around = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return torch.nn.functional.pad(window - colour, around) + colour


def test_stages_on_what_is_recorded_before_them(name: str, recording: Recording) -> None:
    case = recording.case(name)
    if not case.facts["mix"] or "mask" not in case.tensors:
        pytest.skip("the case has no frozen branch, or holds every second row alone")
    vocabulary = tuple(range(1, 1 + len(case.tensors["text"])))
    found = LearnedSigmoid().run(
        Logits(case.tensors["similarity"], vocabulary), Calibrated(recording.calibration)
    )
    check(found.data, case, "mask")
    window = pad_evenly(first_window(case), case.facts["first_window"])
    stages = {stage.address: stage for stage in walk(load_recipe("tcl").plan.stages)}
    mask = Confidences(case.tensors["mask"], vocabulary)
    refined = stages["pamr"].run(mask, Image(window))
    check(refined.data, case, "pamr")
    unit = torch.nn.functional.normalize(case.tensors["text"])
    features = PatchFeatures(case.tensors["frozen_features"])
    likeness = stages["frozen_similarity"].run(features, TextFeatures(unit, vocabulary))
    chain = stages["mix"].run(refined)
    next(chain)
    with pytest.raises(StopIteration) as finished:
        chain.send([{"scores": stages["sigmoid"].run(likeness)}])
    check(finished.value.value.data, case, "mixed")


def test_every_tensor_is_compared(
    name: str, recording: Recording, checkpoint: Path, tmp_path: Path
) -> None:
    case = recording.case(name)
    if not recording.has_tower:
        pytest.skip("the tower is not among the weights of this set")
    kept = run(case, checkpoint, tmp_path)
    assert len(kept["encode_hidden"]) == case.facts["windows"]
    [slid], [labels] = kept["sliding_window"], kept["label_map"]
    enlarge = partial(torch.nn.functional.interpolate, mode="bilinear")
    last = [stage for stage in kept if stage in ("mix", "pamr", "learned_sigmoid")]
    inside = kept["constant_background" if case.facts["background"] else last[-1]][0].data
    rows, columns = (min(case.facts["window"], side) for side in case.picture.size)
    height, width = case.facts["first_window"]
    top, left = (height - rows) // 2, (width - columns) // 2
    first = enlarge(inside[None], (height, width))[0][:, top : top + rows, left : left + columns]
    found = {
        "tokens": kept["encode_hidden"][0].data[0],
        "window_scores": first,
        "scores": enlarge(slid.data[None], case.facts["original"])[0],
    }
    found |= {what: kept[by][0].data for what, by in WRITTEN_BY.items() if by in kept}
    for recorded in case.tensors:
        if recorded not in GIVEN:
            starts = [what for what in found if recorded.startswith(what)]
            check(found[max(starts, key=len)], case, recorded)
    theirs = case.tensors["labels"].long() + int(not case.facts["background"])
    differing = int((labels.ids != theirs).sum())
    assert differing <= max(1, LABELS * theirs.numel()), f"{differing} of {theirs.numel()} differ"
