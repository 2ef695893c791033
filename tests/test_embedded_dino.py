"""The embedded DINO tells patches of a thing from others; the floors lie below what it reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from timm.layers import use_fused_attn
from transformers import Dinov2WithRegistersModel

from ovsskit.backbones.dino.dino import Dino
from ovsskit.embedded import DINO_FOLDER
from tiny_models.dino import PROTOTYPES, SIDE, TinyDino, tiny_vision
from tiny_models.dino_folder import read_dino, write_dino
from tiny_models.evaluate import evaluation_scenes
from tiny_models.evaluate_dino import score_guides, small_image
from tiny_models.train_dino import balance, dino_losses


def test_training_made_it_better_than_random_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_dino(tiny_vision(), tmp_path)
    scenes = evaluation_scenes(20)
    learned, random = (score_guides(scenes, weights) for weights in ("embedded", str(tmp_path)))
    name = "the tiny DINO, token"
    assert learned[name] >= 77
    assert learned[name] >= random[name] + 4


def test_the_backbone_sees_what_the_training_saw() -> None:
    image = small_image(evaluation_scenes(1)[0])
    model = Dino(weights="embedded")
    pixels = model.pixels(image)[:, :SIDE, :SIDE]
    tokens = read_dino(DINO_FOLDER).forward_features(pixels[None])[0, 1:]
    assert isinstance(model.network, Dinov2WithRegistersModel)
    [found] = model.guide([type(image)(image.data[:, :SIDE, :SIDE])], "token")
    torch.testing.assert_close(found.vectors, tokens, atol=1e-4, rtol=1e-4)


def test_answers_are_balanced_over_prototypes() -> None:
    torch.manual_seed(0)
    answers = balance(torch.rand(4096, PROTOTYPES) * 2 - 1 + torch.linspace(0, 0.5, PROTOTYPES))
    torch.testing.assert_close(answers.sum(1), torch.ones(4096))
    given = answers.sum(0) * PROTOTYPES / 4096
    torch.testing.assert_close(given, torch.ones(PROTOTYPES), atol=0.1, rtol=0)


def test_a_step_teaches_the_pupil_alone_and_the_teacher_follows() -> None:
    torch.manual_seed(0)
    model, rng = TinyDino(), np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 112, 112, 3)).astype(np.uint8)
    sum(dino_losses(model, images, rng, parts=2).values()).backward()
    assert all(one.grad is None for one in model.teacher.parameters())
    assert model.pupil.hidden_patch.grad.abs().max() > 0
    before = model.teacher.hidden_patch.clone()
    with torch.no_grad():
        model.pupil.hidden_patch += 1
    model.follow(0.75)
    torch.testing.assert_close(model.teacher.hidden_patch, before + 0.25)


def test_the_workshop_leaves_the_attention_of_other_networks_alone() -> None:
    assert use_fused_attn()  # a setting of timm for all networks that are made later
