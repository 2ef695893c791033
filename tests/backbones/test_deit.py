"""Patches are those of timm's distilled DeiT, after its last norm."""

from __future__ import annotations

import pytest
import torch
from deit_twin import deit_twin, small_deit
from dino_twin import dino_twin
from noise_images import noise

from ovsskit.backbones.dino.deit import Deit
from ovsskit.backbones.dino.dino import Dino
from ovsskit.errors import BadWeights


def test_patches_are_the_librarys() -> None:
    backbone, image = Deit(weights=deit_twin()), noise(64, 64)
    with torch.no_grad():
        tokens = small_deit().forward_features(backbone.pixels(image)[None])
    [found] = backbone.describe_patches([image])
    expected = tokens[0, 2:].T.unflatten(1, (4, 4))
    torch.testing.assert_close(found.data, expected, atol=1e-4, rtol=1e-4)


def test_other_sizes_have_positions_of_their_own() -> None:
    backbone, network, image = Deit(weights=deit_twin()), small_deit(), noise(48, 80)
    table = network.pos_embed.detach()
    planes = table[:, 2:].transpose(1, 2).unflatten(2, (4, 4))
    places = torch.nn.functional.interpolate(planes, (3, 5), mode="bicubic").flatten(2)
    first = torch.cat([network.cls_token, network.dist_token], 1) + table[:, :2]
    with torch.no_grad():
        patches = network.patch_embed.proj(backbone.pixels(image)[None]).flatten(2)
        tokens = torch.cat([first, (patches + places).transpose(1, 2)], 1)
        expected = network.norm(network.blocks(tokens))[0, 2:].T.unflatten(1, (3, 5))
    [found] = backbone.describe_patches([image])
    torch.testing.assert_close(found.data, expected, atol=1e-4, rtol=1e-4)


def test_whose_weights_they_are() -> None:
    names = list(small_deit().state_dict())
    assert Deit.recognise(names) == "DeiT"
    assert Deit.recognise([name for name in names if "dist_token" not in name]) == ""
    Deit(weights=deit_twin()).check_weights()
    assert Dino(weights=dino_twin()).hidden([noise(24, 24)], [1])[0].grid == (3, 3)


def test_weights_without_the_last_norm_are_refused(tmp_path: object) -> None:
    backbone = Deit(weights=str(_without_norm(tmp_path)))
    with pytest.raises(BadWeights, match="lack: layernorm"):
        _ = backbone.network


def _without_norm(folder: object) -> object:
    from pathlib import Path

    file = Path(str(folder)) / "deit.pth"
    state = {
        name: one for name, one in small_deit().state_dict().items() if not name.startswith("norm.")
    }
    torch.save(state, file)
    return file
