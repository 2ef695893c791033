"""What a step of teaching sees, and that a student learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from segformer_twin import SHAPE
from torch.nn.functional import interpolate

from ovsskit.backbones.segformer._checkpoint import SegformerShape, build
from ovsskit.backbones.segformer.segformer import Segformer
from ovsskit.distil.labelled import Pair, split
from ovsskit.distil.losses import IGNORED, class_loss, feature_loss, ignore_unsure
from ovsskit.distil.table import DistilTable
from ovsskit.distil.teaching import Teaching
from ovsskit.errors import NoImages
from ovsskit.recipe.build import load_recipe
from ovsskit.run.finished import FinishedRun
from ovsskit.run.output.record import ImageRecord

SETTINGS = {
    "image_size": 32,
    "updates": 40,
    "batch": 4,
    "rate": 1e-3,
    "warm_up": 0.1,
    "colour_change": 0.0,
}


class Painted:
    """Images whose red is as strong as their label is high."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Pair:
        seed = torch.Generator().manual_seed(index)
        labels = torch.randint(3, (1, 1, 3, 4), generator=seed).float()
        labels = interpolate(labels, (48, 64))[0, 0].long()
        image = torch.stack([labels / 2, torch.zeros_like(labels), torch.full((48, 64), 0.5)])
        return Pair(image.float(), labels)


def teaching(**settings: Any) -> Teaching:
    torch.manual_seed(0)
    network = build(SegformerShape(**SHAPE), 3)
    table = DistilTable(**(SETTINGS | settings))
    return Teaching(Segformer, network, Painted(), table, torch.device("cpu"))


def test_every_image_comes_once_in_each_round() -> None:
    mine = teaching()
    rounds = [[mine.index_of(6 * number + place) for place in range(6)] for number in range(3)]
    assert all(sorted(one) == list(range(6)) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1, "in another order each time"


@pytest.mark.parametrize("smallest_part", [0.1, 1.0])
def test_labels_stay_with_their_pixels(smallest_part: float) -> None:
    torch.manual_seed(3)
    images, labels = teaching(smallest_part=smallest_part).draw(0)
    assert images.shape == (4, 3, 32, 32)
    red = images[:, 0]
    # Between two labels the image is smooth, and the labels are not.
    wrong = ((red * 2 - labels).abs() > 0.6).float().mean()
    assert wrong < 0.02


def test_the_rate_rises_and_falls_along_lines() -> None:
    mine = teaching(updates=100, warm_up=0.1)
    paces = [mine.pace(number) for number in range(100)]
    assert paces[:10] == pytest.approx([(number + 1) / 11 for number in range(10)])
    assert paces[10:] == pytest.approx([(100 - number) / 90 for number in range(10, 100)])


def test_what_starts_from_weights_learns_ten_times_more_slowly() -> None:
    mine = teaching()
    started = frozenset(name for name in mine.tuned() if name.startswith("segformer"))
    some = Teaching(Segformer, mine.network, Painted(), mine.settings, mine.device, started)
    some.step(20)
    slow, fast = (group["lr"] for group in some.optimiser.param_groups)
    assert slow == pytest.approx(1e-3 * some.pace(20))
    assert fast == pytest.approx(1e-2 * some.pace(20))
    assert len(some.optimiser.param_groups[0]["params"]) == len(started)


def test_sgd_takes_a_step_along_the_gradient() -> None:
    mine = teaching(optimiser="sgd", weight_decay=0.0, random_start=1.0, power=0.9, warm_up=0.0)
    before = {name: one.detach().clone() for name, one in mine.tuned().items()}
    mine.step(10)
    rate = 1e-3 * (30 / 40) ** 0.9
    for name, one in mine.tuned().items():
        assert one.grad is not None
        torch.testing.assert_close(one.detach(), before[name] - rate * one.grad)


def test_the_loss_is_the_mean_over_pixels() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 16, 16))
    large = interpolate(logits, (16, 16), mode="bilinear").double().log_softmax(1)
    expected = -large.gather(1, labels[:, None]).mean()
    torch.testing.assert_close(class_loss(logits, labels).double(), expected)
    labels[:, :4] = IGNORED
    known = labels != IGNORED
    picked = large.gather(1, labels.clamp(0)[:, None])[:, 0]
    torch.testing.assert_close(class_loss(logits, labels).double(), -picked[known].mean())
    over_all = -picked[known].sum() / known.numel()
    torch.testing.assert_close(class_loss(logits, labels, "all").double(), over_all)
    assert class_loss(logits, torch.full_like(labels, IGNORED)) == 0, "nothing is taught"


def test_vectors_are_compared_where_pixels_teach() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 4, 4), torch.randn(2, 5, 2, 2)
    taught = torch.rand(2, 8, 8) > 0.5
    unit = teacher / teacher.norm(dim=1, keepdim=True)
    ours, theirs = (interpolate(one, (8, 8), mode="bilinear") for one in (student, unit))
    expected = (ours - theirs).abs().mean(1)[taught].mean()
    torch.testing.assert_close(feature_loss(student, teacher, taught), expected)
    assert feature_loss(student, teacher, torch.zeros_like(taught)) == 0


def test_pixels_of_which_a_teacher_is_unsure_teach_nothing() -> None:
    labels, confidence = torch.tensor([[0, 1, 2]]), torch.tensor([[0.2, 0.5, 0.3]])
    assert ignore_unsure(labels, confidence, 0.3).tolist() == [[IGNORED, 1, 2]]


def test_a_step_depends_on_its_number_alone() -> None:
    first, again = teaching(), teaching()
    torch.manual_seed(99)
    assert first.step(7) == again.step(7)


def test_a_student_learns_what_colours_mean() -> None:
    mine = teaching(updates=60, rate=5e-4)
    losses = [mine.step(number) for number in range(60)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def run_of(count: int) -> FinishedRun:
    run = FinishedRun.__new__(FinishedRun)
    run.records = [ImageRecord(f"{number}", f"/{number}.png") for number in range(count)]
    run.folder = Path("run")
    return run


def test_held_out_images_are_spread_over_the_run() -> None:
    taught, held_out = split(run_of(40), 0.1, 100)
    assert [held_out.record(index).name for index in range(4)] == ["5", "15", "25", "35"]
    assert len(taught) == 36
    assert len(split(run_of(3), 0.0, 100)[1]) == 0
    with pytest.raises(NoImages, match="labelled no image"):
        split(run_of(0), 0.1, 100)


@pytest.mark.parametrize(
    ("recipe", "updates"),
    [("maskclip", 2000), ("maskclip_context59", 4000), ("maskclip_coco_stuff", 8000)],
)
def test_maskclip_plus_is_a_setting(recipe: str, updates: int) -> None:
    """Source: chongzhou96/MaskCLIP 245d31f."""
    settings = load_recipe(recipe).settings_of(DistilTable)
    assert (settings.student, settings.labels) == ("maskclip_plus", "each_step")
    assert (settings.updates, settings.batch, settings.rate) == (updates, 4, 0.01)
    assert (settings.optimiser, settings.mean_over) == ("sgd", "all")
    assert not settings.feature_weight
    assert not settings.unsure_below


def test_reco_plus_is_a_setting() -> None:
    settings = load_recipe("reco").settings_of(DistilTable)
    assert (settings.student, settings.labels) == ("deeplab-r101", "once")
    assert settings.updates == 20_000
