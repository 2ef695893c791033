"""CLIP's weights are found, read and checked, whoever published them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from clip_twin import SHAPE, as_trained, clip_twin, write_clip
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from ovsskit.backbones.clip import _clip_network
from ovsskit.backbones.clip._published import CLIP, REPOSITORIES
from ovsskit.backbones.clip._weights import (
    build_network,
    hub_repository,
    read_blueprint,
    tag_settings,
)
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Image
from ovsskit.errors import BadValue, BadWeights, MissingWeights
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import load_recipe

EMBEDDED = Clip.embedded
close = torch.testing.assert_close


@pytest.fixture(scope="module")
def backbone() -> Clip:
    return Clip(weights="embedded")


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
    monkeypatch.setattr(
        _clip_network, "read_blueprint", lambda path, *named: read_blueprint(tmp_path, *named)
    )
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
    monkeypatch.setattr("ovsskit.backbones.clip._clip_settings.architectures", lambda: ["Small"])
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
