from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ovsskit.backbones.matching import _fusion
from ovsskit.backbones.matching._vit import run_vit
from ovsskit.backbones.matching.blip_itm import BlipItm
from ovsskit.engine.values import Caption, Captions, Image, Present
from ovsskit.errors import BadClasses, BadValue, BadWeights, MissingWeights
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.text.write_captions import WriteCaptions as WriteCaption
from ovsskit.testing import check_backbone, example


@pytest.fixture(scope="module")
def folder(parity_dir: Path) -> Path:
    return parity_dir / "pnp_ovss"


@pytest.fixture(scope="module")
def backbone(folder: Path) -> BlipItm:
    return BlipItm(weights=str(folder), image_size=96)


def captions(*texts: str) -> Captions:
    return Captions(tuple(Caption(text, ()) for text in texts))


def attend(
    backbone: BlipItm,
    images: list[Image],
    texts: list[Captions],
    layers: Any = None,
    **options: Any,
) -> Any:
    return backbone.cross_attention(
        images, texts, layers=layers, **{"objective": "match_logit", "pad_to": 0, **options}
    )


IMAGES = [example(Image, seed) for seed in (0, 7)]


def test_contract(backbone: BlipItm) -> None:
    check_backbone(backbone)


def test_batches_of_unlike_captions_equal_one_by_one(backbone: BlipItm) -> None:
    texts = [
        captions("a dog", "a very long image of a cat and a cow"),
        captions("a picture of grass"),
    ]
    for together, image, text in zip(attend(backbone, IMAGES, texts), IMAGES, texts, strict=True):
        [alone] = attend(backbone, [image], [text])
        torch.testing.assert_close(together.probability, alone.probability, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(together.gradient, alone.gradient, atol=1e-6, rtol=1e-4)
        assert together.lengths == alone.lengths
    matches = backbone.match(IMAGES, [text.captions for text in texts])
    for match, image, text in zip(matches, IMAGES, texts, strict=True):
        torch.testing.assert_close(
            match, backbone.match([image], [text.captions])[0], atol=1e-6, rtol=1e-4
        )


def test_many_captions_are_matched_in_chunks(
    backbone: BlipItm, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [[Caption(f"a {number}", ()) for number in range(count)] for count in (5, 2)]
    whole = backbone.match(IMAGES, texts)
    monkeypatch.setattr(BlipItm, "pairs_at_once", 4)
    for one, other in zip(whole, backbone.match(IMAGES, texts), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def close_to_largest(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Compare gradients: how many digits of small ones hold depends on the processor."""
    torch.testing.assert_close(ours, theirs, atol=1e-5 * float(theirs.abs().max()), rtol=1e-4)


def test_the_gradient_is_that_of_a_full_backward(backbone: BlipItm) -> None:
    [found] = attend(backbone, IMAGES[:1], [captions("a picture of dog")], layers=[3, 8])
    network, ids = (
        backbone.network,
        torch.tensor([backbone.reader.read(Caption("a picture of dog", ())).ids]),
    )
    with torch.enable_grad():
        features = backbone.encode(IMAGES[:1]).requires_grad_()
        out = network.text_encoder(
            input_ids=ids, encoder_hidden_states=features, output_attentions=True
        )
        logits = network.itm_head(out.last_hidden_state[:, 0])
        maps = [out.cross_attentions[index] for index in (2, 7)]
        expected = torch.autograd.grad(logits[0, 1], maps, retain_graph=True)
        of_loss = torch.autograd.grad(
            torch.nn.functional.cross_entropy(logits, torch.tensor([1])), maps
        )
    close_to_largest(found.gradient, torch.cat(expected))
    [loss] = attend(
        backbone, IMAGES[:1], [captions("a picture of dog")], layers=[3, 8], objective="match_loss"
    )
    close_to_largest(loss.gradient, -torch.cat(of_loss))


def test_the_graph_starts_at_the_lowest_wanted_layer(
    backbone: BlipItm, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_graph = []
    for layer in backbone.network.text_encoder.encoder.layer:
        plain = layer.feed_forward_chunk

        def spy(hidden: Any, plain: Any = plain) -> Any:
            out = plain(hidden)
            has_graph.append(out.requires_grad)
            return out

        monkeypatch.setattr(layer, "feed_forward_chunk", spy)
    [found] = attend(backbone, IMAGES[:1], [captions("a dog")], layers=[8])
    assert has_graph == [False] * 7 + [True] * (backbone.layer_count - 7)
    assert found.layers == (8,)
    assert not found.probability.requires_grad


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.1), ("fp16", 0.02)])
def test_half_precision(folder: Path, backbone: BlipItm, precision: Any, tolerance: float) -> None:
    half = BlipItm(weights=str(folder), image_size=96, precision=precision)
    [low], [full] = (
        attend(one, IMAGES[:1], [captions("a picture of dog")], layers=[8])
        for one in (half, backbone)
    )
    assert low.gradient.dtype == torch.float32
    assert float((low.gradient - full.gradient).abs().max() / full.gradient.abs().max()) < tolerance


def test_hidden_patches_are_zero(backbone: BlipItm) -> None:
    hidden = torch.zeros(backbone.grid, dtype=torch.bool)
    hidden[2, 4] = True
    seen, plain = backbone.pixels(IMAGES[0].hide(hidden)), backbone.pixels(IMAGES[0])
    assert not seen[:, 32:48, 64:80].any()
    seen[:, 32:48, 64:80] = plain[:, 32:48, 64:80]
    torch.testing.assert_close(seen, plain)


@pytest.mark.parametrize(
    "names", [["ice cream", "wall-brick", "dog"], ["Öl für Café", "猫 cat", "o'clock (tower)"]]
)
def test_tokens_belong_to_classes_by_their_characters(backbone: BlipItm, names: list[str]) -> None:
    present = Present(tuple(range(1, len(names) + 1)))
    [caption] = WriteCaption().run(make_vocabulary(names), present, backbone).captions
    tokens = backbone.reader.read(caption)
    for position, name in enumerate(names):
        mine = [i for i, mark in zip(tokens.ids, tokens.positions, strict=True) if mark == position]
        assert mine == backbone.reader.tokenizer.encode(name).ids[1:-1]


def test_300_classes_are_split_into_captions_that_fit(backbone: BlipItm) -> None:
    words = make_vocabulary([f"aeroplane number {number}" for number in range(300)])
    written = WriteCaption().run(words, Present(tuple(range(1, 301))), backbone)
    assert len(written.captions) > 1
    [found] = attend(backbone, IMAGES[:1], [written], layers=[8])
    assert set(range(300)) <= set(found.positions.tolist())
    with pytest.raises(BadClasses, match="tokens"):
        backbone.reader.read(Caption("dog " * 600, ()))


def test_an_original_checkpoint_is_read(tmp_path: Path, folder: Path) -> None:
    from transformers import BlipConfig, BlipForImageTextRetrieval

    vision = {
        "hidden_size": 128,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 96,
        "image_size": 32,
    }
    text = {
        "hidden_size": 64,
        "num_attention_heads": 1,
        "num_hidden_layers": 3,
        "intermediate_size": 80,
        "vocab_size": 223,
    }
    text |= {"encoder_hidden_size": 128, "max_position_embeddings": 40}
    settings = {
        "vision_config": {**vision, "patch_size": 8, "layer_norm_eps": 1e-6},
        "text_config": text,
        "image_text_hidden_size": 24,
    }
    network = BlipForImageTextRetrieval(BlipConfig.from_dict(settings)).eval()
    names = [
        ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
        ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
        ("vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
        ("vision_model.post_layernorm", "visual_encoder.norm"),
        ("vision_model.encoder.layers", "visual_encoder.blocks"),
        ("self_attn.qkv", "attn.qkv"),
        ("self_attn.projection", "attn.proj"),
        ("layer_norm", "norm"),
    ]
    state = network.state_dict()
    for new, old in names:
        state = {key.replace(new, old): value for key, value in state.items()}
    torch.save({"model": {**state, "queue": torch.zeros(2)}}, tmp_path / "retrieval.pth")
    shutil.copy(folder / "vocab.txt", tmp_path)
    found = BlipItm(weights=str(tmp_path / "retrieval.pth"), image_size=32)
    for (key, mine), theirs in zip(
        found.network.state_dict().items(), network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, msg=key)
    assert found.network.config.text_config.num_attention_heads == 1
    assert found.token_limit == 40
    check_backbone(found)


def copy_of(folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "weights"
    copy.mkdir()
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        shutil.copyfile(folder / name, copy / name)
    return copy


def truncate(copy: Path) -> None:
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[: len(data) // 2])


def rename(copy: Path) -> None:
    (copy / "config.json").write_text(
        json.dumps({"model_type": "clip", "architectures": ["CLIPModel"]})
    )


def behead(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    save_file(
        {key: value for key, value in state.items() if not key.startswith("itm_head")},
        copy / "model.safetensors",
    )


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (truncate, "broken or incomplete"),
        (rename, r"another architecture[\s\S]*CLIPModel \(model_type clip\)"),
        (behead, "no head for image-text matching"),
        (lambda copy: (copy / "config.json").unlink(), "configuration cannot be read"),
        (lambda copy: (copy / "model.safetensors").unlink(), "holds none of model.safetensors"),
        (lambda copy: (copy / "vocab.txt").unlink(), "no tokenizer"),
    ],
)
def test_spoilt_weights(
    folder: Path, tmp_path: Path, spoil: Any, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of(folder, tmp_path)
    spoil(copy)
    with pytest.raises(BadWeights) as caught:
        _ = BlipItm(weights=str(copy), image_size=96).reader
    assert re.search(what, str(caught.value))
    assert str(copy) in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [{"model": {"a": torch.zeros(2)}}, torch.zeros(2), None])
def test_spoilt_checkpoints(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "some.pth"
    if content is None:
        file.write_bytes(b"nothing")
    else:
        torch.save(content, file)
    with pytest.raises(BadWeights):
        BlipItm(weights=str(file), image_size=96).load()


def test_sizes_and_layers_that_do_not_fit(folder: Path, backbone: BlipItm) -> None:
    with pytest.raises(BadValue, match="multiple of 16"):
        BlipItm(weights=str(folder), image_size=100).load()
    with pytest.raises(BadValue, match="1 to 12"):
        attend(backbone, IMAGES[:1], [captions("a dog")], layers=[13])


def test_missing_weights_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeights, match="not on this machine") as caught:
        BlipItm(weights="some/where").load()
    assert "HF_HUB_OFFLINE" in str(caught.value)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, ovsskit.backbones.matching.blip_itm; sys.exit(' '.join({'torch', "
        "'transformers', 'tokenizers'} & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_image_is_encoded_once_while_it_lives(
    backbone: BlipItm, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(
        _fusion,
        "run_vit",
        lambda vision, pixels: counts.append(len(pixels)) or run_vit(vision, pixels),
    )
    first, second = example(Image, 11), example(Image, 12)
    expected = backbone.encode([first])
    assert torch.equal(backbone.encode([first, second, first])[2], expected[0])
    assert counts == [1, 1]
    before = len(backbone._seen)
    del first, second
    assert len(backbone._seen) == before - 2
