"""Proposers of transformers, on small random networks: points one by one, and segments as
transformers finds them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from proposer_twins import proposer_twin
from safetensors.torch import load_file, save_file

from ovsskit.backbones.proposers._point_grid import boxes_around, point_grid
from ovsskit.backbones.proposers.eomt import Eomt
from ovsskit.backbones.proposers.mask2former import Mask2former
from ovsskit.backbones.proposers.sam import Sam
from ovsskit.backbones.proposers.sam2 import Sam2
from ovsskit.engine.values import Image
from ovsskit.errors import BadWeights

ALL: dict[str, Any] = {"sam": Sam, "sam2": Sam2, "mask2former": Mask2former, "eomt": Eomt}
ANY_MASK: dict[str, Any] = {"min_iou": 0.0, "min_stability": 0.0, "max_overlap": 1.0}


@pytest.mark.parametrize("name", ["sam", "sam2"])
def test_points_in_batches_give_what_each_gives_alone(name: str) -> None:
    model = ALL[name](weights=proposer_twin(name), points=9, **ANY_MASK)
    images = [Image.example(0), Image(torch.rand(3, 20, 50))]
    together = model.propose_masks(images)
    for image, found in zip(images, together, strict=True):
        prepared = model.prepare_images([image])
        places = model.to_pixels(point_grid(9), prepared)
        expected = []
        for place in places[0]:
            with torch.no_grad():
                out = model.network(
                    pixel_values=prepared["pixel_values"],
                    input_points=place[None, None, None],
                    multimask_output=False,
                )
            logits = model.enlarge(out.pred_masks[0, :, 0].float(), 0, prepared)[0]
            if (logits > 0).any() and out.iou_scores[0, 0, 0] > 0:
                expected.append((float(out.iou_scores[0, 0, 0]), logits > 0))
        assert len(expected) == len(found.data) > 0
        best = sorted(expected, key=lambda one: -one[0])
        torch.testing.assert_close(found.scores, torch.tensor([score for score, _ in best]))
        for (_, mask), ours in zip(best[:1], found.data[:1], strict=True):
            assert (mask == ours).float().mean() > 0.99


def test_sam_guides_by_what_its_encoder_computes() -> None:
    model, image = Sam(weights=proposer_twin("sam")), Image(torch.rand(3, 20, 50))
    encoder, seen = model.network.vision_encoder, {}
    hook = encoder.layers[-1].attn.qkv.register_forward_hook(
        lambda _, __, out: seen.update(qkv=out[0])
    )
    with torch.no_grad():
        expected = encoder(model.prepare_images([image])["pixel_values"]).last_hidden_state[0]
    hook.remove()
    rows, columns = 4, 8  # 50 pixels become 64, eight patches; 20 become 26, which four hold
    [found] = model.guide([image], "token")
    torch.testing.assert_close(found.data, expected[:, :rows, :columns], atol=1e-5, rtol=1e-5)
    parts = seen["qkv"].permute(2, 0, 1)[:, :rows, :columns].chunk(3)
    for facet, one in zip(("query", "key", "value"), parts, strict=True):
        [found] = model.guide([image], facet)
        torch.testing.assert_close(found.data, one, atol=1e-5, rtol=1e-5)


def test_the_grid_is_of_middles_row_by_row() -> None:
    grid = point_grid(2)
    assert grid.tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_boxes_are_the_outermost_pixels() -> None:
    data = torch.zeros(2, 6, 8, dtype=torch.bool)
    data[0, 1:4, 2:7] = True
    data[1, 5, 0] = True
    assert boxes_around(data).tolist() == [[2, 1, 6, 3], [0, 5, 0, 5]]


def test_unsure_unstable_and_like_masks_are_dropped() -> None:
    model = Sam(weights=proposer_twin("sam"), min_iou=0.5, min_stability=0.5, max_overlap=0.5)
    sharp, soft = torch.full((10, 10), -9.0), torch.full((10, 10), -0.5)
    sharp[2:8, 2:8] = 9.0
    soft[2:8, 2:8] = 0.5  # no logit is beyond the moved threshold
    logits = torch.stack([sharp, soft, sharp, sharp.roll(1, 0), torch.full((10, 10), -9.0)])
    ious = torch.tensor([0.9, 0.9, 0.4, 0.95, 0.9])
    data, scores = model._choose(logits, ious)
    assert scores.tolist() == pytest.approx([0.9, 0.95])
    kept = model._drop_alike(data, scores)
    assert kept.scores.tolist() == pytest.approx([0.95])
    assert torch.equal(kept.data[0], sharp.roll(1, 0) > 0)


@pytest.mark.parametrize("fuse", [(), (0, 1, 2)])
@pytest.mark.parametrize("name", ["mask2former", "eomt"])
def test_segments_do_not_overlap(name: str, fuse: tuple[int, ...]) -> None:
    model = ALL[name](weights=proposer_twin(name), min_score=0.0, min_share=0.0, fuse=fuse)
    for masks in model.propose_masks([Image.example(0), Image(torch.rand(3, 20, 50))]):
        assert int(masks.data.sum(0).max()) <= 1 if len(masks.data) else True
        assert (masks.scores > 0).all()


@pytest.mark.parametrize("name", ALL)
def test_names_of_tensors_tell_whose_they_are(name: str) -> None:
    names = load_file(Path(proposer_twin(name)) / "model.safetensors").keys()
    said = {other: cls.recognise(names) for other, cls in ALL.items()}
    assert said == {**dict.fromkeys(ALL, ""), name: ALL[name].called}


@pytest.mark.parametrize("name", ALL)
def test_weights_that_lack_a_tensor_or_are_no_folder_are_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(proposer_twin(name), folder)
    ALL[name](weights=str(folder)).check_weights()
    tensors = load_file(folder / "model.safetensors")
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadWeights, match="lack 1 tensors"):
        ALL[name](weights=str(folder)).check_weights()
    with pytest.raises(BadWeights, match="read from a folder"):
        ALL[name](weights=str(folder / "model.safetensors")).check_weights()


def test_supervised_proposals_are_called_so_with_their_licence() -> None:
    for cls in (Mask2former, Eomt):
        for known in cls.published.values():
            assert known.holds.partition(", ")[2].startswith("supervised proposals")
            assert known.licence
    assert all("without class names" in known.holds for known in Sam.published.values())
