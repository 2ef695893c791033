from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import PIL.Image
import pytest
import torch
from clip_twin import SHAPE, clip_twin, write_clip
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from ovsskit.backbones.clip import _text as _clip_text
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip import clip
from ovsskit.backbones.clip._published import CLIP, REPOSITORIES
from ovsskit.backbones.clip._weights import (
    build_network,
    hub_repository,
    read_blueprint,
    tag_settings,
)
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Attention, Hidden, Image
from ovsskit.errors import BadValue, BadWeights, MissingWeights
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import load_recipe
from ovsskit.testing import example

EMBEDDED = Clip.embedded
close = torch.testing.assert_close


@pytest.fixture(scope="module")
def backbone() -> Clip:
    return Clip(weights="embedded")


def photo(height: int, width: int, seed: int = 0) -> Image:
    return Image(torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)))


def as_trained(backbone: Clip, hidden: Hidden) -> torch.Tensor:
    """Finish with the last block as it was trained; return all tokens."""
    layer = backbone.block_count
    queries, keys, _ = backbone.project(hidden, layer)
    weights = (queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5).softmax(-1)[None]
    return backbone.finish_tokens(
        hidden, Attention(weights, (layer,), hidden.grid), residual=True, feed_forward=True
    )


def test_the_last_block_as_trained_gives_what_open_clip_gives(backbone: Clip) -> None:
    for own, side in ((backbone, 112), (Clip(weights=clip_twin()), 64)):
        image = photo(side, side)
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
    images = [photo(48, 64), photo(64, 48, 1), photo(48, 64, 2), photo(50, 71, 3)]
    together = backbone.hidden(images, (2, 6))
    assert [one.grid for one in together] == [(6, 8), (8, 6), (6, 8), (6, 8)]
    for image, hidden in zip(images, together, strict=True):
        [alone] = backbone.hidden([image], (2, 6))
        close(hidden.data, alone.data, atol=1e-5, rtol=1e-4)
    trimmed = Image(images[3].data[:, :48, :64])
    close(backbone.hidden([trimmed], (6,))[0].data, together[3].data[1:], atol=1e-5, rtol=1e-4)


def cubic(
    before: int, after: int, step: float, sharpness: float, widen: float = 1.0
) -> torch.Tensor:
    """Return the matrix of Keys' cubic convolution that samples a line at steps, borders repeated
    (or cut, if widened).
    """
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for row in range(after):
        centre = (row + 0.5) * step - 0.5
        for source in range(-12, before + 12):
            x = abs(source - centre) / widen
            near = (sharpness + 2) * x**3 - (sharpness + 3) * x**2 + 1
            far = sharpness * (x**3 - 5 * x**2 + 8 * x - 4)
            weight = near if x <= 1 else far if x < 2 else 0.0
            if widen == 1 or 0 <= source < before:
                matrix[row, min(max(source, 0), before - 1)] += weight
    return matrix / matrix.sum(1, keepdim=True)


def test_position_embeddings() -> None:
    """Reference: cubic convolution written out; torch's own is sharper than the one that it
    antialiases with.
    """
    table = torch.rand(1 + 12 * 12, 5, generator=torch.Generator().manual_seed(0))
    planes = table[1:].double().view(12, 12, 5)
    assert vision.place_embeddings(table, (12, 12), (9, 16), "scale") is table
    grid = (18, 9)
    ways: dict[Any, list[torch.Tensor]] = {
        "scale": [cubic(12, side, 12 / (side + 0.1), -0.75) for side in grid],
        "size": [cubic(12, side, 12 / side, -0.75) for side in grid],
        "size_antialias": [
            cubic(12, side, 12 / side, -0.5, max(1.0, 12 / side) + 1e-9) for side in grid
        ],
    }
    for how, (vertical, horizontal) in ways.items():
        found = vision.place_embeddings(table, (12, 12), grid, how)
        expected = torch.einsum("ra,cb,abw->rcw", vertical, horizontal, planes)
        close(found[1:], expected.flatten(0, 1).float(), atol=1e-5, rtol=1e-5)
        assert torch.equal(found[0], table[0])


def linear(before: int, after: int) -> torch.Tensor:
    """Return the matrix that samples a line at the middles of steps, borders repeated."""
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for row in range(after):
        place = min(max((row + 0.5) * before / after - 0.5, 0.0), before - 1.0)
        share = place - int(place)
        matrix[row, int(place)] += 1 - share
        matrix[row, min(int(place) + 1, before - 1)] += share
    return matrix


def test_position_embeddings_in_half_precision() -> None:
    table = torch.rand(1 + 12 * 12, 5, generator=torch.Generator().manual_seed(0))
    planes = table[1:].double().view(12, 12, 5)
    expected = torch.einsum("ra,cb,abw->rcw", linear(12, 18), linear(12, 9), planes)
    ways: tuple[vision.Positions, ...] = ("half", "half_always")
    for how in ways:
        found = vision.place_embeddings(table, (12, 12), (18, 9), how)
        assert torch.equal(found, found.half().float())
        close(found[1:], expected.flatten(0, 1).float(), atol=2.0**-11, rtol=0)
        assert torch.equal(found[0], table[0].half().float())
    assert vision.place_embeddings(table, (12, 12), (12, 12), "half") is table
    rounded = vision.place_embeddings(table, (12, 12), (12, 12), "half_always")
    assert torch.equal(rounded, table.half().float())
    other = vision.place_embeddings(table, (12, 12), (9, 16), "half")
    assert not torch.equal(other, table), "another grid with as many patches"


def test_hidden_patches_are_zero(backbone: Clip) -> None:
    image, hidden = photo(45, 64), torch.zeros(5, 8, dtype=torch.bool)
    hidden[1, 7] = True
    seen, plain = backbone.pixels(image.hide(hidden)), backbone.pixels(image)
    assert not seen[:, 8:16, 56:].any()
    seen[:, 8:16, 56:] = plain[:, 8:16, 56:]
    close(seen, plain)


def test_colours_are_the_models_unless_given(backbone: Clip) -> None:
    image = photo(16, 16)
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
    images = [photo(16, 16), photo(16, 16, 1)]
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
    image = photo(56, 80)
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


def test_whole_images_are_prepared_as_in_training(backbone: Clip) -> None:
    image = photo(64, 200)
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
    images = [photo(64, 64), photo(64, 64, 1)]
    pixels = torch.stack(
        [own.preprocess(PIL.Image.fromarray(image.pixels.numpy())) for image in images]
    )
    close(own.encode_image(images), own.network.encode_image(pixels), atol=1e-5, rtol=1e-5)


def test_last_blocks_are_left_out_for_whole_images() -> None:
    own = Clip(weights=clip_twin(), skip_last_blocks=3)
    images = [photo(64, 64), photo(64, 90, 1)]
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
        Clip(weights=clip_twin(), skip_last_blocks=12).encode_image([photo(64, 64)])
    shape = {**SHAPE, "vision_cfg": {**SHAPE["vision_cfg"], "pool_type": "avg"}}
    pooled = Clip(weights=str(write_clip(tmp_path, shape)), skip_last_blocks=1)
    with pytest.raises(BadValue, match="whose blocks cannot be run apart"):
        pooled.encode_image([photo(64, 64)])


def test_patches_of_another_kind_of_attention_are_refused(tmp_path: Path) -> None:
    own = Clip(
        weights=str(
            write_clip(tmp_path, {**SHAPE, "vision_cfg": {**SHAPE["vision_cfg"], "qk_norm": True}})
        )
    )
    with pytest.raises(BadWeights, match="whose patches cannot be had"):
        own.hidden([photo(64, 64)], (1,))


def test_texts_equal_open_clips(backbone: Clip) -> None:
    texts = [
        "a photo of a dog.",
        "dog",
        "a  bad photo of the fire truck!",
        "ice cream, grass & water",
    ]
    for own in (backbone, Clip(weights=clip_twin())):
        name = f"local-dir:{own.need_weights()}"
        ids = open_clip.get_tokenizer(name)(texts)
        for text, row in zip(texts, ids.tolist(), strict=True):
            [mine] = own.reader.read_all([text])
            assert mine + [0] * (own.reader.limit - len(mine)) == row
        with torch.no_grad():
            close(own.encode_text(texts), own.network.encode_text(ids), atol=1e-5, rtol=1e-5)


def test_many_texts_are_encoded_in_chunks_and_each_once(
    backbone: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"a photo of {'very ' * (number % 5)}dog {number}" for number in range(11)]
    whole = Clip(weights="embedded").encode_text(texts)
    monkeypatch.setattr(_clip_text, "TEXTS_AT_ONCE", 4)
    own, seen = Clip(weights="embedded"), []
    plain = _clip_text._run
    monkeypatch.setattr(
        _clip_text,
        "_run",
        lambda network, ids, longest: seen.append(len(ids)) or plain(network, ids, longest),
    )
    close(own.encode_text(texts), whole, atol=1e-5, rtol=1e-5)
    assert seen == [4, 4, 3]
    for _ in range(2):
        again = own.encode_text([texts[3], texts[3], "new", texts[0]])
        close(again[[0, 1, 3]], whole[[3, 3, 0]], atol=1e-5, rtol=1e-5)
        own.encode_text(texts)
    assert seen == [4, 4, 3, 3]


def test_a_text_that_is_too_long_is_cut_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    own = Clip(weights="embedded")
    long = "a dog " * 60
    with caplog.at_level(logging.WARNING):
        first = own.encode_text([long, "a dog"])
        close(own.encode_text([long, "a dog"]), first)
    [record] = caplog.records
    assert long in record.getMessage()
    assert f"reads {own.reader.limit}" in record.getMessage()
    ids = open_clip.get_tokenizer(f"local-dir:{EMBEDDED}")([long])
    close(first[:1], own.network.encode_text(ids), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "tag", "repository", "is_quick", "patches", "blocks"),
    [
        ("ViT-B-16", "openai", "timm/vit_base_patch16_clip_224.openai", True, 14, 12),
        ("ViT-B-32", "openai", "timm/vit_base_patch32_clip_224.openai", True, 7, 12),
        ("ViT-L-14", "openai", "timm/vit_large_patch14_clip_224.openai", True, 16, 24),
        ("ViT-L-14-336", "openai", "timm/vit_large_patch14_clip_336.openai", True, 24, 24),
        ("ViT-B-16", "laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", False, 14, 12),
        ("ViT-L-14", "laion2b_s32b_b82k", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", False, 16, 24),
        (
            "ViT-B-16",
            "datacomp_xl_s13b_b90k",
            "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
            False,
            14,
            12,
        ),
        (
            "ViT-L-14",
            "datacomp_xl_s13b_b90k",
            "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
            False,
            16,
            24,
        ),
        (
            "ViT-B-16",
            "metaclip_fullcc",
            "timm/vit_base_patch16_clip_224.metaclip_2pt5b",
            True,
            14,
            12,
        ),
        (
            "ViT-H-14",
            "metaclip_fullcc",
            "timm/vit_huge_patch14_clip_224.metaclip_2pt5b",
            True,
            16,
            32,
        ),
        ("ViT-B-16", "dfn2b", "apple/DFN2B-CLIP-ViT-B-16", True, 14, 12),
        ("ViT-L-14", "dfn2b", "apple/DFN2B-CLIP-ViT-L-14", True, 16, 24),
    ],
)
def test_published_models(
    model: str,
    tag: str,
    repository: str,
    is_quick: bool,
    patches: int,
    blocks: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Build each from open_clip's settings on the meta device, where tensors have shapes and no
    memory, and run it.
    """
    (tmp_path / "open_clip_model.safetensors").touch()
    own = Clip(model=model, weights=tag)
    assert own.source == repository
    monkeypatch.setattr(clip, "read_blueprint", lambda path, *named: read(tmp_path, *named))
    monkeypatch.setattr(Clip, "need_weights", lambda self: tmp_path)
    own.__dict__["network"] = build_network(own.blueprint.config, "fp32", device="meta")
    own._device = "meta"
    visual = own.visual
    assert visual.grid_size == (patches, patches)
    assert type(visual.transformer.resblocks[0].mlp.gelu).__name__ == (
        "QuickGELU" if is_quick else "GELU"
    )
    assert own.blueprint.preprocessing["mean"] == tag_settings(model, tag)["mean"]
    side = visual.patch_size[0]
    image = Image(torch.empty(3, 10 * side, 13 * side, device="meta"))
    [hidden] = own.hidden([image], (blocks - 1, blocks))
    assert hidden.grid == (10, 13)
    assert as_trained(own, hidden).shape == (131, visual.output_dim)


read = read_blueprint


def test_networks_are_built_without_computing_their_weights() -> None:
    plain = open_clip.CLIP(**SHAPE)
    built = build_network(SHAPE, "fp32")
    assert {key: value.shape for key, value in built.state_dict().items()} == {
        key: value.shape for key, value in plain.state_dict().items()
    }
    close(dict(built.named_buffers())["attn_mask"], dict(plain.named_buffers())["attn_mask"])


def test_activation_and_epsilon_can_be_set(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "model")
    own = Clip(weights=str(folder), activation="gelu", epsilon=1e-6)
    block = own.network.visual.transformer.resblocks[1]
    assert isinstance(block.mlp.gelu, torch.nn.GELU)
    assert block.ln_2.eps == own.network.visual.ln_post.eps == 1e-6
    assert own.network.ln_final.eps == 1e-5


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_checkpoint_file(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_clip(tmp_path / "model")
    state = load_file(folder / "open_clip_model.safetensors")
    file = tmp_path / f"epoch_3{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save({"state_dict": state}, file)
    with pytest.raises(BadWeights, match="which architecture"):
        Clip(weights=str(file)).load()
    monkeypatch.setattr(
        open_clip, "get_model_config", lambda name: SHAPE if name == "Small" else None
    )
    monkeypatch.setattr("ovsskit.backbones.clip.clip.architectures", lambda: ["Small"])
    own = Clip(weights=str(file), model="Small")
    for key, value in own.network.state_dict().items():
        close(value, state[key])
    shutil.copy(folder / "open_clip_config.json", tmp_path)
    close(Clip(weights=str(file)).encode_text(["dog"]), own.encode_text(["dog"]))


def test_weights_that_fit_are_let_pass(backbone: Clip) -> None:
    for own in (backbone, Clip(weights=clip_twin())):
        own.check_weights()


def truncate(folder: Path) -> None:
    file = folder / "open_clip_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def behead(folder: Path) -> None:
    file = folder / "open_clip_model.safetensors"
    save_file({key: value for key, value in load_file(file).items() if key != "visual.proj"}, file)


def script(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()
    torch.jit.save(
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)),
        folder / "open_clip_pytorch_model.bin",
    )


def reshape(folder: Path) -> None:
    other = {**SHAPE, "vision_cfg": {**SHAPE["vision_cfg"], "sides": 4}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": other}))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (truncate, "or the file is broken"),
        (behead, "visual.proj"),
        (script, r"TorchScript archive[\s\S]*openai"),
        (reshape, "no CLIP that open_clip can build"),
        (
            lambda folder: (folder / "open_clip_config.json").write_text("{"),
            "configuration cannot be read",
        ),
        (lambda folder: (folder / "open_clip_config.json").unlink(), "which architecture"),
        (
            lambda folder: (folder / "open_clip_model.safetensors").unlink(),
            "holds none of open_clip_model.safetensors",
        ),
    ],
)
def test_spoilt_weights(
    tmp_path: Path, spoil: Any, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_clip(tmp_path / "model")
    spoil(folder)
    for look in ("network", "check_weights"):
        with pytest.raises(BadWeights) as caught:
            getattr(Clip(weights=str(folder)), look)()
        assert re.search(what, str(caught.value)), str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"model": "ViT-B-16", "weights": "opnai"}, r"Did you mean `openai`"),
        ({"weights": "openai"}, 'model = "ViT-B-16"'),
        ({"weights": "nothing_of_the_kind"}, "not a tag of open_clip either"),
    ],
)
def test_names_that_open_clip_does_not_know(
    fields: Any, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadValue) as caught:
        _ = Clip(**fields).source
    assert what in str(caught.value)


def test_an_architecture_that_open_clip_does_not_have() -> None:
    with pytest.raises(ValidationError, match="open_clip has no such architecture"):
        Clip(model="ViT-B-61", weights="openai")


def test_every_tag_has_a_place() -> None:
    for model, tag in open_clip.list_pretrained():
        if tag_settings(model, tag).get("hf_hub"):
            assert hub_repository(model, tag).count("/") == 1


def test_tags_whose_place_is_known_lie_where_open_clip_has_them() -> None:
    for (model, tag), repository in REPOSITORIES.items():
        assert tag_settings(model, tag)["hf_hub"].rstrip("/") == repository
        # of others the licence, or the size, is not known
        assert repository in CLIP or tag != "openai" or model == "RN50x16"


def test_the_place_of_every_tag_in_shipped_recipes_is_known() -> None:
    """Else listing the recipes would import open_clip, and so torch."""
    for path in recipe_folder().glob("*.toml"):
        for model in load_recipe(path).plan.models.values():
            if architecture := getattr(model, "model", ""):
                assert (architecture, model.weights) in REPOSITORIES, path.stem  # type: ignore[attr-defined]


def test_missing_weights_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeights, match="not on this machine") as caught:
        Clip(model="ViT-B-16", weights="openai").load()
    assert "timm/vit_base_patch16_clip_224.openai" in str(caught.value)
    assert "HF_HUB_OFFLINE" in str(caught.value)


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
        backbone.hidden([photo(5, 30)], (6,))


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


def test_a_region_is_all_that_the_class_token_sees(backbone: Clip) -> None:
    """Reference: open_clip's own blocks, whose attention takes a mask for every head."""
    image, region = photo(40, 56), torch.arange(12).view(3, 4) % 3 > 0
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
    image = photo(112, 112)
    [found] = backbone.encode_regions([image], [torch.ones(1, 1, dtype=torch.bool)])
    with torch.no_grad():
        [expected] = vision.encode(backbone.visual, backbone.pixels(image)[None])
    close(found, expected, atol=1e-5, rtol=1e-4)
    many = backbone.encode_regions([image] * 33, [torch.ones(2, 2, dtype=torch.bool)] * 33)
    close(many, expected.expand(33, -1), atol=1e-5, rtol=1e-4)
