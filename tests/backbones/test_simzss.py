"""The denoiser's block is what stages see; files that are missing or do not fit are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from dino_txt_twin import draw
from noise_images import noise
from simzss_twin import (
    BLOCKS,
    PATCH,
    REGISTERS,
    SIDE,
    WIDTH,
    simzss_shapes,
    simzss_twin,
    timm_shapes,
)

from ovsskit.backbones.dino.dino import Dino
from ovsskit.backbones.simzss._published import SIMZSS
from ovsskit.backbones.simzss.simzss import Simzss
from ovsskit.engine.values import Attention
from ovsskit.errors import BadWeights, MissingWeights

Tensor = torch.Tensor


def make(file: Path | str = "") -> Simzss:
    return Simzss(weights=str(file or simzss_twin()))


@pytest.fixture(scope="module")
def drawn() -> dict[str, Tensor]:
    """Return what the small checkpoint holds, by names without `module.`."""
    return draw(simzss_shapes(), 0)


def test_dino_reads_timms_names_as_timm_does(tmp_path: Path) -> None:
    weights = draw(timm_shapes(), 0)
    torch.save(weights, tmp_path / "timm.pth")
    network = timm.create_model(
        "vit_base_patch14_reg4_dinov2.lvd142m",
        num_classes=0,
        dynamic_img_size=True,
        embed_dim=WIDTH,
        depth=BLOCKS,
        num_heads=2,
        img_size=SIDE * PATCH,
    ).eval()
    network.load_state_dict(weights)
    backbone = Dino(weights=str(tmp_path / "timm.pth"))
    for image in (noise(70, 70), noise(42, 98)):
        with torch.no_grad():
            left = network.forward_features(backbone.pixels(image)[None])[0, 1 + REGISTERS :]
        [guide] = backbone.guide([image], "token")
        torch.testing.assert_close(guide.vectors, left, atol=1e-4, rtol=1e-4)


def test_the_denoiser_put_together_again_is_the_network() -> None:
    backbone, image = make(), noise(42, 56)
    assert backbone.block_count == 1
    [hidden] = backbone.hidden([image], [1])
    assert (hidden.grid, hidden.others) == ((3, 4), 0)
    queries, keys, _ = backbone.project(hidden, 1)
    weights = (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(-1)[None]
    attention = Attention(weights, (1,), hidden.grid)
    found = backbone.finish(hidden, attention, residual=True, feed_forward=True)
    [described] = backbone.describe_patches([image])
    torch.testing.assert_close(found.vectors, described.vectors, atol=1e-4, rtol=1e-4)


def test_a_text_is_the_same_beside_a_longer_one_and_cut_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backbone = make()
    [alone], [beside, _] = (
        backbone.encode_text(texts) for texts in (["a dog"], ["a dog", "a dog on a long sofa"])
    )
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-5)
    assert len(alone) == WIDTH
    [row] = backbone.reader.read_all(["dog " * 90])
    assert (len(row), row[-1]) == (77, 49_407)
    assert "lose their end" in caplog.text


def test_what_is_converted_gives_the_same(tmp_path: Path) -> None:
    make().convert_weights(tmp_path / "simzss.safetensors")
    mine, theirs, image = make(tmp_path / "simzss.safetensors"), make(), noise(28, 28)
    [converted], [original] = mine.describe_patches([image]), theirs.describe_patches([image])
    assert torch.equal(converted.data, original.data)
    assert torch.equal(mine.encode_text(["dog"]), theirs.encode_text(["dog"]))


def test_a_file_that_is_not_here_is_said_with_its_address() -> None:
    for name in SIMZSS:
        with pytest.raises(MissingWeights, match="is not on this machine") as refused:
            make(name).check_weights()
        assert "https://1drv.ms/" in str(refused.value)
        assert "none stated" in str(refused.value)
        assert "tokenizer" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("are not those of SimZSS", {"visual.vit.model.reg_token": None}),
        ("lack: text.positional_embedding", {"text.positional_embedding": None}),
        ("lack: vision.layernorm.bias", {"visual.vit.model.norm.bias": None}),
        ("lack: denoiser.encoder.layer.0.norm1.bias", {"visual.denoiser.norm1.bias": None}),
        ("in another shape: text.token_emb", {"text.token_embedding.weight": (20, 128)}),
        ("in another shape: text.text_projection", {"text.text_projection": (128, 64)}),
        ("in another shape: denoiser.position_emb", {"visual.pos_embed": (1, 24, 128)}),
        ("are not those of SimZSS", {"visual.vit.model.patch_embed.proj.weight": (128, 588)}),
        ("are not read: visual.proj", {"visual.proj": (128, 128)}),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    words: str,
    changed: dict[str, tuple[int, ...] | None],
    drawn: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    state = {name: one for name, one in drawn.items() if name not in changed}
    state |= {name: torch.zeros(shape) for name, shape in changed.items() if shape is not None}
    torch.save(state, tmp_path / "simzss.pt")
    with pytest.raises(BadWeights, match=words):
        make(tmp_path / "simzss.pt").check_weights()


def test_a_file_that_holds_code_is_not_read(tmp_path: Path) -> None:
    torch.save({"visual.vit.model.reg_token": print}, tmp_path / "code.pt")
    with pytest.raises(BadWeights, match="more than tensors"):
        make(tmp_path / "code.pt").check_weights()


def test_its_weights_are_known_by_their_names() -> None:
    for before in ("", "module."):
        assert Simzss.recognise([f"{before}{name}" for name in simzss_shapes()]) == "SimZSS"
    assert Simzss.recognise(timm_shapes()) == ""
