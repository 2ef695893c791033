"""Tokens, patches and texts are those of transformers' TIPSv2; what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from noise_images import noise
from safetensors.torch import load_file, save_file
from tips_twin import small_tips, tips_twin

from ovsskit.backbones.tips.tips import READS, Tips
from ovsskit.engine.values import Attention, Image
from ovsskit.errors import BadValue, BadWeights, MissingWeights


def copy(folder: Path) -> Path:
    shutil.copytree(tips_twin(), folder)
    return folder


@pytest.mark.parametrize("size", [(40, 40), (24, 56), (64, 72)])
def test_tokens_and_patches_are_those_of_transformers(size: tuple[int, int]) -> None:
    network, backbone, image = small_tips(), Tips(weights=tips_twin()), noise(*size)
    with torch.no_grad():
        expected = network.vision_model(image.data[None], output_hidden_states=True)
    [hidden] = backbone.hidden([image], [1, 2, 3])
    assert hidden.grid == (size[0] // 8, size[1] // 8)
    assert hidden.others == 2
    for layer in (1, 2, 3):
        states = expected.hidden_states[layer - 1][0]
        torch.testing.assert_close(hidden.entering(layer), states, atol=1e-4, rtol=1e-4)
    left = expected.last_hidden_state[0, 2:]
    [guide], [described] = backbone.guide([image], "token"), backbone.describe_patches([image])
    torch.testing.assert_close(guide.vectors, left, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(described.vectors, left, atol=1e-4, rtol=1e-4)


def test_the_last_block_put_together_again_is_the_network() -> None:
    backbone, image = Tips(weights=tips_twin()), noise(32, 48)
    [hidden] = backbone.hidden([image], [3])
    queries, keys, _ = backbone.project(hidden, 3)
    weights = (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(-1)[None]
    attention = Attention(weights, (3,), hidden.grid)
    found = backbone.finish(hidden, attention, residual=True, feed_forward=True)
    [described] = backbone.describe_patches([image])
    torch.testing.assert_close(found.vectors, described.vectors, atol=1e-4, rtol=1e-4)


def test_pixels_beyond_whole_patches_are_not_seen_and_small_images_refused() -> None:
    backbone, image = Tips(weights=tips_twin()), noise(39, 46)
    [found], [whole] = (
        backbone.describe_patches([one]) for one in (image, Image(image.data[:, :32, :40]))
    )
    torch.testing.assert_close(found.data, whole.data)
    with pytest.raises(BadValue, match="smaller than a patch of 8"):
        backbone.describe_patches([noise(7, 30)])


def test_texts_are_read_in_lower_case_and_cut_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    backbone = Tips(weights=tips_twin())
    upper, lower = backbone.encode_text(["A Dog"]), backbone.encode_text(["a dog"])
    torch.testing.assert_close(upper, lower)
    long = backbone.reader.encode("dog " * 40)
    assert backbone.reader.read_all(["dog " * 40]) == [long[:READS]]
    assert "lose their end" in caplog.text


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = copy(tmp_path / "tips")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadWeights, match=r"no tokenizer: tokenizer.json or tokenizer.model"):
        Tips(weights=str(folder)).encode_text(["dog"])
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(BadWeights, match="tokenizer cannot be read"):
        Tips(weights=str(folder)).encode_text(["dog"])


def test_weights_that_lack_a_tensor_or_have_another_shape_are_refused(tmp_path: Path) -> None:
    folder = copy(tmp_path / "tips")
    state = load_file(folder / "model.safetensors")
    name = "vision_model.encoder.layer.1.norm1.weight"
    save_file({key: one for key, one in state.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(BadWeights, match="lack 1 tensors"):
        Tips(weights=str(folder)).check_weights()
    save_file(state, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["patch_size"] = 16
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadWeights):
        Tips(weights=str(folder)).check_weights()
    with pytest.raises(BadWeights, match=r"from a folder with a config.json"):
        Tips(weights=str(folder / "model.safetensors")).check_weights()
    with pytest.raises(MissingWeights):
        Tips(weights=str(tmp_path / "nothing")).need_weights()
