"""Whole images and regions go through CLIP as open_clip prepares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from clip_twin import SHAPE, clip_twin, write_clip
from noise_images import noise

from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip.clip import Clip
from ovsskit.errors import BadValue

close = torch.testing.assert_close


@pytest.fixture(scope="module")
def backbone() -> Clip:
    return Clip(weights="embedded")


def test_whole_images_are_prepared_as_in_training(backbone: Clip) -> None:
    image = noise(64, 200)
    squashed = backbone.preprocess(PIL.Image.fromarray(image.pixels.numpy()))
    assert squashed.shape == (3, 112, 112)
    close(
        backbone.encode_image([image]),
        backbone.network.encode_image(squashed[None]),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("more", "is_run_here"),
    [
        ({}, True),
        ({"ls_init_value": 0.3}, True),
        ({"no_ln_pre": True}, True),
        ({"pool_type": "avg"}, False),
        ({"attentional_pool": True}, False),
        ({"qk_norm": True}, False),
    ],
)
def test_whole_images_equal_open_clips(
    tmp_path: Path, more: dict[str, Any], is_run_here: bool
) -> None:
    """Only for a class token, and attention of the common kind, the last block can be
    run in part.
    """
    own = Clip(
        weights=str(write_clip(tmp_path, {**SHAPE, "vision_cfg": {**SHAPE["vision_cfg"], **more}}))
    )
    assert vision.has_class_token(own.network.visual) == is_run_here
    images = [noise(64, 64), noise(64, 64, 1)]
    pixels = torch.stack(
        [own.preprocess(PIL.Image.fromarray(image.pixels.numpy())) for image in images]
    )
    close(own.encode_image(images), own.network.encode_image(pixels), atol=1e-5, rtol=1e-5)


def test_last_blocks_are_left_out_for_whole_images() -> None:
    own = Clip(weights=clip_twin(), skip_last_blocks=3)
    images = [noise(64, 64), noise(64, 90, 1)]
    pixels = torch.stack(
        [own.preprocess(PIL.Image.fromarray(image.pixels.numpy())) for image in images]
    )
    shorter = own.load().eval()
    blocks = shorter.visual.transformer.resblocks
    shorter.visual.transformer.resblocks = torch.nn.Sequential(*list(blocks)[:-3])
    with torch.no_grad():
        close(own.encode_image(images), shorter.encode_image(pixels), atol=1e-5, rtol=1e-5)
    assert own.block_count == 12
    whole = Clip(weights=clip_twin()).hidden(images, (12,))[0].data
    close(own.hidden(images, (12,))[0].data, whole, atol=0, rtol=0)


def test_more_blocks_cannot_be_left_out_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"cannot leave out 12 blocks\.\n  It has 12 blocks"):
        Clip(weights=clip_twin(), skip_last_blocks=12).encode_image([noise(64, 64)])
    shape = {**SHAPE, "vision_cfg": {**SHAPE["vision_cfg"], "pool_type": "avg"}}
    pooled = Clip(weights=str(write_clip(tmp_path, shape)), skip_last_blocks=1)
    with pytest.raises(BadValue, match="whose blocks cannot be run apart"):
        pooled.encode_image([noise(64, 64)])


def test_a_region_is_all_that_the_class_token_sees(backbone: Clip) -> None:
    """Reference: open_clip's own blocks, whose attention takes a mask for every head."""
    image, region = noise(40, 56), torch.arange(12).view(3, 4) % 3 > 0
    [found] = backbone.encode_regions([image], [region])
    visual, heads = backbone.visual, vision.blocks_of(backbone.visual)[0].attn.num_heads
    pixels = torch.nn.functional.interpolate(
        backbone.pixels(image)[None], visual.image_size, mode="bilinear"
    )
    rows, columns = visual.grid_size
    seen = region[torch.arange(rows) * 3 // rows][:, torch.arange(columns) * 4 // columns]
    tokens, _ = vision.embed(visual, pixels, "size")
    mask = torch.zeros(heads, tokens.shape[1], tokens.shape[1])
    mask[:, 0, 1:][:, ~seen.flatten()] = -torch.inf
    with torch.no_grad():
        for block in vision.blocks_of(visual):
            tokens = block(tokens, attn_mask=mask)
        close(found, (visual.ln_post(tokens) @ visual.proj)[0, 0], atol=1e-5, rtol=1e-4)


def test_a_region_that_is_the_whole_image(backbone: Clip) -> None:
    image = noise(112, 112)
    [found] = backbone.encode_regions([image], [torch.ones(1, 1, dtype=torch.bool)])
    with torch.no_grad():
        [expected] = vision.encode(backbone.visual, backbone.pixels(image)[None])
    close(found, expected, atol=1e-5, rtol=1e-4)
    many = backbone.encode_regions([image] * 33, [torch.ones(2, 2, dtype=torch.bool)] * 33)
    close(many, expected.expand(33, -1), atol=1e-5, rtol=1e-4)
