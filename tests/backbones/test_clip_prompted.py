"""CLIP with prompts computes what its own blocks make of tokens with prompts among them, and
refuses files that are for other models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from clip_twin import clip_twin
from prompts_twin import prompts_twin, random_prompts
from safetensors.torch import load_file, save_file
from siglip_twin import siglip_twin

from ovsskit.backbones.clip import _prompts as prompting
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.clip.clip_prompted import ClipPrompted
from ovsskit.engine.values import Image
from ovsskit.errors import BadWeights, MissingWeights

TEXTS = ["a photo of a dog", "ice cream", "a photo of very green grass in the sun"]
IMAGES = [Image.example(0), Image(Image.example(7).data.repeat(1, 1, 2))]


def prompted(file: str | Path) -> ClipPrompted:
    return ClipPrompted(weights=clip_twin(), prompts=str(file))


def written(folder: Path, tensors: dict[str, Any]) -> Path:
    file = folder / "prompts.safetensors"
    save_file(tensors, file)
    return file


def plain_image(clip: Clip, prompts: dict[str, Any]) -> Any:
    """Encode images by open_clip's own blocks, token lists cut and joined by hand."""
    visual, count = clip.network.visual, 0
    x = visual.conv1(clip.prepare_whole(IMAGES)).flatten(2).permute(0, 2, 1)
    first = visual.class_embedding.expand(len(x), 1, -1)
    x = visual.ln_pre(torch.cat([first, x], 1) + visual.positional_embedding)
    for number, block in enumerate(visual.transformer.resblocks, 1):
        if f"visual.{number}" in prompts:
            mine = prompts[f"visual.{number}"]
            x = torch.cat([x[:, :1], mine.repeat(len(x), 1, 1), x[:, 1 + count :]], 1)
            count = len(mine)
        x = block(x)
    return visual.ln_post(x)[:, 0] @ visual.proj


def plain_text(clip: Clip, prompts: dict[str, Any], text: str) -> Any:
    """Encode a text alone: prompts before the first block take the places behind the first."""
    network, [row] = clip.network, clip.reader.read_all([text])
    x = network.token_embedding(torch.tensor([row]))
    count = 0
    if "text.1" in prompts:
        count = len(prompts["text.1"])
        x = torch.cat([x[:, :1], prompts["text.1"][None], x[:, 1:]], 1)
    x = x + network.positional_embedding[: x.shape[1]]
    for number, block in enumerate(network.transformer.resblocks, 1):
        if number > 1 and f"text.{number}" in prompts:
            mine = prompts[f"text.{number}"]
            x = torch.cat([x[:, :1], mine[None], x[:, 1 + count :]], 1)
            count = len(mine)
        length = x.shape[1]
        mask = torch.full((length, length), -torch.inf).triu(1)
        x = block(x, attn_mask=mask)
    return network.ln_final(x)[0, -1] @ network.text_projection


def test_encoders_compute_what_their_blocks_make_of_prompts() -> None:
    model, clip, prompts = (
        prompted(prompts_twin()),
        Clip(weights=clip_twin()),
        load_file(prompts_twin()),
    )
    with torch.no_grad():
        images = plain_image(clip, prompts)
        texts = torch.stack([plain_text(clip, prompts, text) for text in TEXTS])
    torch.testing.assert_close(model.encode_image(IMAGES), images, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.encode_text(TEXTS), texts, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(clip.encode_image(IMAGES), images, atol=1e-2)
    assert not torch.allclose(clip.encode_text(TEXTS), texts, atol=1e-2)


@pytest.mark.parametrize("counts", [{"visual_2": 3}, {"text_2": 3}])
def test_prompts_of_one_encoder_leave_the_other_as_it_is(
    counts: dict[str, int], tmp_path: Path
) -> None:
    model = prompted(written(tmp_path, random_prompts(**counts)))
    clip, close = Clip(weights=clip_twin()), {"atol": 1e-5, "rtol": 1e-4}
    images = torch.allclose(model.encode_image(IMAGES), clip.encode_image(IMAGES), **close)
    texts = torch.allclose(model.encode_text(TEXTS), clip.encode_text(TEXTS), **close)
    assert (images, texts) == (("text_2" in counts), ("visual_2" in counts))


def test_prompts_take_the_room_of_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    long = "dog " * 90
    model = prompted(written(tmp_path, random_prompts(text_1=40)))
    assert model.reader.limit == 37
    [found] = model.encode_text([long])
    assert "37 tokens" in caplog.text
    [short] = model.encode_text(["dog " * 35])
    torch.testing.assert_close(found, short, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"visual.1": torch.zeros(2, 31)}, "is 2 x 31, but tokens of the visual encoder have 32"),
        ({"text.1": torch.zeros(2, 32)}, "is 2 x 32, but tokens of the text encoder have 16"),
        ({"visual.13": torch.zeros(2, 32)}, "before block 13, but the visual encoder has 12"),
        ({"text.3": torch.zeros(2, 16)}, "before block 3, but the text encoder has 2"),
        ({"visual.0": torch.zeros(2, 32)}, "`visual.0` is not a prompt"),
        ({"ctx": torch.zeros(2, 32)}, "`ctx` is not a prompt"),
        ({"visual.1": torch.zeros(32)}, "is 32, but tokens"),
        ({"visual.1": torch.zeros(0, 32)}, "is 0 x 32, but tokens"),
        ({"visual.1": torch.ones(2, 32, dtype=torch.int64)}, "a number that is not finite"),
        ({"visual.1": torch.full((2, 32), torch.nan)}, "a number that is not finite"),
        ({"text.1": torch.zeros(75, 16)}, "leave no room for words among 77 tokens"),
        ({}, "holds no prompt"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(
    tensors: dict[str, Any], said: str, tmp_path: Path
) -> None:
    model = prompted(written(tmp_path, tensors))
    with pytest.raises(BadWeights, match=said) as caught:
        model.check_weights()
    assert "prompts.safetensors" in str(caught.value)
    assert "visual.N" in caught.value.fix


def test_a_missing_file_and_a_pickle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="no file of prompts"):
        prompted(tmp_path / "none.safetensors").prepare()
    for name in ("prompts.pt", "prompts.safetensors"):
        torch.save(random_prompts(visual_1=2), tmp_path / name)
        with pytest.raises(BadWeights, match="not a safetensors file"):
            prompted(tmp_path / name).prepare()


def test_prompts_are_among_the_files_that_identify_a_model(tmp_path: Path) -> None:
    one = prompted(prompts_twin())
    assert one.read_files()["prompts.safetensors"] == Path(prompts_twin())
    other = prompted(written(tmp_path, random_prompts(visual_1=3)))
    assert one.digest != other.digest


def test_without_prompts_the_encoders_are_those_of_clip() -> None:
    clip = Clip(weights=clip_twin())
    ids = torch.tensor(clip.reader.read_all(["dog"]))
    with torch.no_grad():
        image = prompting.encode_image(clip.network.visual, clip.prepare_whole(IMAGES), {})
        text = prompting.encode_text(clip.network, ids, {})
    torch.testing.assert_close(image, clip.encode_image(IMAGES), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(text, clip.encode_text(["dog"]), atol=1e-5, rtol=1e-4)


def test_without_a_file_it_is_clip() -> None:
    model, clip = ClipPrompted(weights=clip_twin()), Clip(weights=clip_twin())
    close = {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(model.encode_image(IMAGES), clip.encode_image(IMAGES), **close)
    torch.testing.assert_close(model.encode_text(TEXTS), clip.encode_text(TEXTS), **close)
    assert "prompts.safetensors" not in model.read_files()


def test_other_encoders_are_refused() -> None:
    with pytest.raises(BadWeights, match="plain CLIP"):
        ClipPrompted(weights=siglip_twin()).check_weights()
