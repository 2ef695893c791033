"""What CLIP makes of patches is what open_clip's network makes of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from clip_twin import SHAPE, as_trained, clip_twin, write_clip
from noise_images import noise

from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._weights import (
    build_network,
)
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Hidden, Image
from ovsskit.errors import BadValue, BadWeights
from ovsskit.testing import example

close = torch.testing.assert_close


@pytest.fixture(scope="module")
def backbone() -> Clip:
    return Clip(weights="embedded")


def test_the_last_block_as_trained_gives_what_open_clip_gives(backbone: Clip) -> None:
    for own, side in ((backbone, 112), (Clip(weights=clip_twin()), 64)):
        image = noise(side, side)
        [hidden] = own.hidden([image], (own.block_count,))
        own.network.visual.output_tokens = True
        pooled, patches = own.network.visual(own.pixels(image)[None])
        own.network.visual.output_tokens = False
        tokens = as_trained(own, hidden)
        close(tokens[:1], pooled, atol=1e-5, rtol=1e-5)
        close(tokens[1:], patches[0] @ own.network.visual.proj, atol=1e-5, rtol=1e-5)
        reference = open_clip.create_model(f"local-dir:{own.need_weights()}").eval()
        with torch.no_grad():
            close(reference.encode_image(own.pixels(image)[None]), pooled, atol=1e-5, rtol=1e-5)


def test_images_of_several_sizes_share_a_call(backbone: Clip) -> None:
    images = [noise(48, 64), noise(64, 48, 1), noise(48, 64, 2), noise(50, 71, 3)]
    together = backbone.hidden(images, (2, 6))
    assert [one.grid for one in together] == [(6, 8), (8, 6), (6, 8), (6, 8)]
    for image, hidden in zip(images, together, strict=True):
        [alone] = backbone.hidden([image], (2, 6))
        close(hidden.data, alone.data, atol=1e-5, rtol=1e-4)
    trimmed = Image(images[3].data[:, :48, :64])
    close(backbone.hidden([trimmed], (6,))[0].data, together[3].data[1:], atol=1e-5, rtol=1e-4)


def test_hidden_patches_are_zero(backbone: Clip) -> None:
    image, hidden = noise(45, 64), torch.zeros(5, 8, dtype=torch.bool)
    hidden[1, 7] = True
    seen, plain = backbone.pixels(image.hide(hidden)), backbone.pixels(image)
    assert not seen[:, 8:16, 56:].any()
    seen[:, 8:16, 56:] = plain[:, 8:16, 56:]
    close(seen, plain)


def test_colours_are_the_models_unless_given(backbone: Clip) -> None:
    image = noise(16, 16)
    mean, deviation = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    given = Clip(weights="embedded", mean=mean, deviation=deviation)
    expected = (image.data * 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[
        :, None, None
    ]
    close(given.pixels(image), expected)
    own = open_clip.image_transform(112, is_train=False).transforms[-1](image.data)
    close(backbone.pixels(image), own, atol=1e-5, rtol=1e-5)


def test_queries_keys_and_values_are_computed_once_per_layer(
    backbone: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    plain = vision.project
    monkeypatch.setattr(
        vision, "project", lambda block, tokens: calls.append(1) or plain(block, tokens)
    )
    images = [noise(16, 16), noise(16, 16, 1)]
    found = backbone.hidden(images, (4, 6))
    assert len(calls) == 6
    for hidden in found:
        for layer in (4, 6, 6):
            backbone.project(hidden, layer)
    assert len(calls) == 6
    again = Hidden(found[0].data, found[0].layers, found[0].grid)
    for mine, theirs in zip(backbone.project(again, 4), backbone.project(found[0], 4), strict=True):
        close(mine, theirs, atol=1e-6, rtol=1e-5)
    assert len(calls) == 7
    before = len(backbone._projections)
    del found, hidden, again
    assert len(backbone._projections) == before - 3


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.006)])
def test_half_precision(backbone: Clip, precision: Any, tolerance: float) -> None:
    half = Clip(weights="embedded", precision=precision)
    assert half.network.visual.conv1.weight.dtype == half.dtype
    assert half.network.visual.ln_post.weight.dtype == torch.float32
    image = noise(56, 80)
    [low], [full] = (
        as_trained(own, own.hidden([image], (6,))[0])[None] for own in (half, backbone)
    )
    assert low.dtype == torch.float32
    assert float((low - full).norm() / full.norm()) < tolerance
    for encode in ("encode_text", "encode_image"):
        item = ["a dog"] if encode == "encode_text" else [image]
        low, full = (getattr(own, encode)(item) for own in (half, backbone))
        assert low.dtype == torch.float32
        assert float((low - full).norm() / full.norm()) < tolerance


def test_patches_of_another_kind_of_attention_are_refused(tmp_path: Path) -> None:
    own = Clip(
        weights=str(
            write_clip(tmp_path, {**SHAPE, "vision_cfg": {**SHAPE["vision_cfg"], "qk_norm": True}})
        )
    )
    with pytest.raises(BadWeights, match="without accessible patches"):
        own.hidden([noise(64, 64)], (1,))


def test_other_image_encoders_have_no_patches() -> None:
    own = Clip(model="RN50", weights="openai")
    own.__dict__["network"] = build_network(
        open_clip.get_model_config("RN50"), "fp32", device="meta"
    )
    with pytest.raises(BadWeights, match="ModifiedResNet"):
        _ = own.block_count


def test_layers_and_images_that_do_not_fit(backbone: Clip) -> None:
    with pytest.raises(BadValue, match="1 to 6"):
        backbone.hidden([example(Image)], (7,))
    with pytest.raises(BadValue, match="resize_image"):
        backbone.hidden([noise(5, 30)], (6,))


def test_moved_to_another_device_it_starts_afresh(backbone: Clip) -> None:
    backbone.encode_text(["dog"])
    moved = backbone.to("meta")
    assert not moved._texts
    assert "network" not in moved.__dict__
    assert backbone._texts


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, ovsskit.backbones.clip.clip; sys.exit(' '.join({'torch', 'open_clip', "
        "'tokenizers'} & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
