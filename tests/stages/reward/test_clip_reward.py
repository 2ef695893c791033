from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from painter import BLUE, GREEN, RED, VOCABULARY, Painter, labels, stripes

from ovsskit.engine.values import Image, Labels, Present
from ovsskit.errors import MissingCapability, Problems
from ovsskit.recipe.build import load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.reward._judge import PER_IMAGE
from ovsskit.stages.reward.clip_reward import ClipReward
from ovsskit.testing import ToyScores

TWO = stripes("red", "green")
BOTH = Present((1, 2))


def reward(
    found: Labels, present: Present | None = BOTH, image: Image = TWO, **fields: Any
) -> float:
    return float(ClipReward(**fields).run(image, found, VOCABULARY, Painter(), present).data)


def test_regions_that_look_like_their_words_win() -> None:
    assert reward(labels(RED, GREEN)) == 1
    assert reward(labels(GREEN, RED)) == 0
    assert reward(labels(RED, 0)) == 0.5, "green has no pixel"
    assert reward(labels(RED, GREEN), total="sum") == 2
    assert reward(labels(RED, GREEN), Present((1, 2, 2, 3))) == pytest.approx(2 / 3), (
        "blue has no pixel; green counts once"
    )


def test_forms_follow_from_cosines() -> None:
    # Regions: red, or red and green; rests: red and green, or red. Cosines with red 1, with green
    # sqrt(1/2) and 0.
    found = labels(RED, RED, GREEN)
    image = stripes("red", "green", "green")
    half, third = 1 / math.sqrt(2), 1 / math.sqrt(1)
    own = {"red": half, "green": third}
    rest = {"red": 0.0, "green": half}
    assert reward(found, image=image, form="margin") == pytest.approx(
        sum(own[k] - rest[k] for k in own) / 4, abs=1e-6
    )
    shares = [(1 + own[k]) / (2 + own[k] + rest[k]) for k in own]
    assert reward(found, image=image, form="share") == pytest.approx(sum(shares) / 2, abs=1e-6)
    ratios = [(1 + rest[k]) / (1 + own[k]) for k in own]
    assert reward(found, image=image, form="released_ratio") == pytest.approx(
        -sum(ratios) / 2, abs=1e-6
    )


@pytest.mark.parametrize("among", ["present", "all"])
def test_probabilities_are_among_the_words(among: Any) -> None:
    words = 2 if among == "present" else 3
    own, rest = math.e**2 / (math.e**2 + words - 1), 1 / (math.e**2 + words - 1)
    got = reward(labels(RED, GREEN), form="margin", among=among, scale=2.0)
    assert got == pytest.approx(own - rest, abs=1e-5)


def test_a_blank_image_is_black_and_shown_once() -> None:
    judge = Painter()
    found = ClipReward(against="blank").run(TWO, labels(RED, GREEN), VOCABULARY, judge, BOTH)
    assert float(found.data) == 1
    [[red, green, blank]] = judge._seen
    assert not blank.data.any()
    assert torch.equal(red.data + green.data, TWO.data)
    assert not red.data[:, :, 3:].any()


def test_a_single_class_cannot_win_among_itself() -> None:
    assert reward(labels(RED, 0), Present((1,)), among="present") == 0
    assert reward(labels(RED, 0), Present((1,))) == 1


def test_a_class_that_fills_the_image_is_compared_with_a_blank_one() -> None:
    everywhere = labels(RED, RED)
    assert reward(everywhere, Present((1,))) == 1
    assert reward(everywhere, Present((1,)), form="margin") == reward(
        everywhere, Present((1,)), form="margin", against="blank"
    )


def test_an_image_that_shows_no_class_has_no_reward() -> None:
    assert math.isnan(reward(labels(RED, GREEN), Present(())))
    judge = Painter()
    present = [Present(()), BOTH, Present((2,))]
    found = ClipReward().run_batch(
        [TWO] * 3, [labels(RED, GREEN)] * 3, [VOCABULARY] * 3, judge, present
    )
    assert [float(one.data) for one in found] == [pytest.approx(math.nan, nan_ok=True), 1, 1]
    assert [len(batch) for batch in judge._seen] == [6]


def test_classes_without_a_pixel_never_win_even_over_a_blank_word() -> None:
    dark = Image(torch.zeros(3, 6, 6))
    assert reward(labels(0, 0), image=dark) == 0


def test_the_judge_sees_all_classes_of_all_images_together_within_bounds() -> None:
    judge = Painter()
    present = [Present((1, 2, 3))] * 3
    ClipReward().run_batch([TWO] * 3, [labels(RED, GREEN)] * 3, [VOCABULARY] * 3, judge, present)
    assert [len(batch) for batch in judge._seen] == [PER_IMAGE, PER_IMAGE, 2]  # on a processor
    names = [f"word{index} red" for index in range(30)]
    from ovsskit.recipe.vocabulary import make_vocabulary

    judge = Painter()
    ClipReward().run(TWO, labels(1, 2), make_vocabulary(names), judge, Present(tuple(range(1, 31))))
    assert [len(batch) for batch in judge._seen] == [PER_IMAGE] * 7 + [4]


def test_without_a_presence_stage_the_judge_predicts() -> None:
    judge = Painter()
    found = ClipReward().run(
        stripes("red", "red", "green"), labels(RED, RED, GREEN), VOCABULARY, judge
    )
    whole, masked = judge._seen
    assert len(whole) == 1
    assert len(masked) == 2, "red is far nearer than green"
    assert float(found.data) == 1


def test_labels_of_another_size_are_enlarged() -> None:
    small = Labels(torch.tensor([[RED, GREEN]]))
    assert reward(small) == 1
    assert reward(Labels(torch.tensor([[BLUE, BLUE]])), Present((3,))) == 0


RECIPE = """extends = "quickstart.toml"
{judge}
[[stage]]
use = "clip_reward"
after = "label_map"
"""


def test_a_reward_without_its_judge_is_found_by_the_check(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.format(judge=""))
    with pytest.raises(Problems) as caught:
        load_recipe(path)
    [problem] = caught.value.problems
    assert isinstance(problem, MissingCapability)
    assert str(problem.where) == f"{path}:3"
    assert problem.what == (
        "clip_reward reads `judge` (EncodesImageAndText), but `backbone` is CrossAttends, "
        "MatchesText."
    )
    assert '[models.judge] with use = "clip"' in problem.fix
    path.write_text(RECIPE.format(judge='[models.judge]\nuse = "clip"\nweights = "embedded"'))
    assert load_recipe(path).plan.stages[-1].address == "clip_reward"


def test_without_labels_there_is_nothing_to_judge() -> None:
    with pytest.raises(Problems) as caught:
        Pipeline.of([ToyScores(), ClipReward()], {"judge": Painter()}, VOCABULARY)
    assert "reads `labels` (Labels); nothing above writes it" in str(caught.value.problems[0])
