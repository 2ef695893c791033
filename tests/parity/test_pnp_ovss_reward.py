"""Our rewards against recordings of PnP-OVSS's released search; every number comes from the
recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from floor import Twice, check
from pnp_ovss_set import Recording
from sets import choose, find

from ovsskit.engine.model import Backbone, EncodesImageAndText
from ovsskit.engine.values import Image, Saliency
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.reward._judge import agreement_with_words, compare
from ovsskit.stages.reward.released_clip_reward import ReleasedClipReward, contrast, soft_masks

SIGMA = 0.04
"""Of the longer side: a constant of the released code."""


class Recorded(Backbone, EncodesImageAndText):
    """Give back recorded vectors, and note the pictures that are shown."""

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        vectors: torch.Tensor = self.__dict__["texts"]
        return vectors[[int(text) for text in texts]]

    def encode_image(self, images: Sequence[Image]) -> torch.Tensor:
        self.__dict__.setdefault("shown", []).extend(images)
        vectors: torch.Tensor = self.__dict__["pictures"]
        return vectors[: len(images)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choices = {
        "pair_index": lambda facts: range(len(facts["reward"]["pairs"])),
        "mask_index": lambda facts: range(len(facts["reward"]["masks"])),
    }
    choose(metafunc, "pnp_ovss", choices)


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "pnp_ovss"))


def part(recording: Recording, prefix: str) -> dict[str, torch.Tensor]:
    tensors = recording.tensors("reward")
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def test_probabilities_and_counts(recording: Recording, pair_index: int) -> None:
    theirs, facts = (
        part(recording, f"r{pair_index}."),
        recording.facts["reward"]["pairs"][pair_index],
    )
    count = facts["n_classes"]

    def shares() -> torch.Tensor:
        images, texts = (
            torch.nn.functional.normalize(theirs[f"{key}_features"].float(), dim=-1)
            for key in ("image", "text")
        )
        shown = images.unflatten(0, (2, count))
        return agreement_with_words(shown, texts, range(count), "present", 100.0)

    ours = Twice.of(shares)
    diagonals = theirs["probs"].unflatten(0, (2, count)).diagonal(dim1=1, dim2=2)
    check(ours, diagonals)
    region, blank = ours.single
    assert int(compare(region, blank, "wins").sum()) == facts["pos_win_sum"]
    ratio = float(compare(region.double(), blank.double(), "released_ratio").mean())
    assert -ratio == pytest.approx(facts["mean_neg_over_pos"], rel=1e-3)


def test_masks_and_contrast(recording: Recording, mask_index: int) -> None:
    theirs, facts = (
        part(recording, f"k{mask_index}."),
        recording.facts["reward"]["masks"][mask_index],
    )
    size = theirs["image_hwc"].shape[0]
    threshold = facts["threshold"]
    soft = Twice.of(lambda: soft_masks(theirs["att_map"].float(), threshold, size, SIGMA))
    check(soft, theirs["soft_mask"])
    mean, deviation = contrast(soft.single)
    assert float(mean) == pytest.approx(facts["token_contrast_mean"], abs=1e-5)
    assert float(deviation) == pytest.approx(facts["token_contrast_std"], abs=1e-5)


def test_what_the_judge_is_shown(recording: Recording, mask_index: int) -> None:
    theirs, facts = (
        part(recording, f"k{mask_index}."),
        recording.facts["reward"]["masks"][mask_index],
    )
    maps = theirs["att_map"]
    judge = Recorded()
    judge.__dict__.update(
        texts=torch.eye(len(maps), len(maps) + 1), pictures=torch.eye(len(maps) + 1)
    )
    image = Image(theirs["image_hwc"].permute(2, 0, 1).contiguous())
    stage = ReleasedClipReward(at=facts["threshold"], size=image.size[0], sigma=SIGMA)
    vocabulary = make_vocabulary([str(index) for index in range(len(maps))])
    stage.run(image, Saliency(maps, tuple(range(1, len(maps) + 1))), vocabulary, judge)
    blank, *masked = (picture.data for picture in judge.__dict__["shown"])
    shown, hidden = theirs["clip_input"].split(len(maps))
    ours = torch.stack(masked)
    assert ((ours == 0).all(1) == (shown == 0).all(1)).double().mean() >= 0.998, (
        "chance may decide at the threshold"
    )
    both = (ours != 0) & (shown != 0)
    torch.testing.assert_close(ours[both], shown[both], atol=1e-6, rtol=0)
    assert not blank.any()
    assert not hidden.any()
