"""TCL's checkpoint is read by its authors' names, whole and alone, and others are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from noise_images import noise
from safetensors import safe_open
from safetensors.torch import load_file
from tcl_twin import tcl_twin

from ovsskit.backbones.clip._vision import place_embeddings
from ovsskit.backbones.tcl.tcl import Tcl
from ovsskit.errors import BadWeights, MissingWeights


def ground(backbone: Tcl) -> torch.Tensor:
    [hidden] = backbone.hidden([noise(64, 96)], [backbone.block_count])
    return backbone.ground(hidden).data


def change(file: Path, changed: dict[str, torch.Tensor | None]) -> Path:
    """Write the small checkpoint with other tensors; None leaves one out."""
    state = load_file(tcl_twin()) | changed
    torch.save({"model": {name: one for name, one in state.items() if one is not None}}, file)
    return file


def test_grounder_is_read_and_answers_on_a_grid_four_times_as_fine(tmp_path: Path) -> None:
    backbone = Tcl(weights=tcl_twin())
    found = ground(backbone)
    assert found.shape == (16, 16, 24)
    state = load_file(tcl_twin())
    learned = [float(state[f"masker.sim2mask.{name}"]) for name in "wb"]
    assert list(backbone.calibration) == pytest.approx(learned)
    # the gates at 0 leave the block's own tokens, each repeated 4 x 4 times
    closed = {name: torch.zeros(()) for name in state if name.endswith("gate.gate")}
    plain = ground(Tcl(weights=str(change(tmp_path / "closed.pth", closed))))
    for row, column in ((0, 3), (3, 0), (2, 2)):
        torch.testing.assert_close(plain[:, row::4, column::4], plain[:, ::4, ::4])
    assert not torch.allclose(found, plain, atol=1e-3)


def test_what_only_the_training_looks_at_is_left_out_of_a_conversion(tmp_path: Path) -> None:
    with_loss = change(tmp_path / "tcl.pth", {"tcli_loss.logit_scale": torch.ones(())})
    backbone = Tcl(weights=str(with_loss))
    backbone.convert_weights(tmp_path / "converted.safetensors")
    with safe_open(tmp_path / "converted.safetensors", "pt") as file:
        assert not [name for name in file.keys() if "loss" in name]  # noqa: SIM118
    again = Tcl(weights=str(tmp_path / "converted.safetensors"))
    assert torch.equal(ground(again), ground(backbone))
    assert torch.equal(again.encode_text(["a dog"]), backbone.encode_text(["a dog"]))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"masker.image_encoder.decoder.decoder.net.1.conv2.conv.bias": None}, "lack: grounder"),
        ({"clip_text_encoder.text_projection": torch.zeros(64, 8)}, "another shape: text_proj"),
        ({"clip_image_encoder.clip_visual.conv1.weight": None}, "lack: visual.conv1.weight"),
        ({"masker.sim2mask.w": None, "masker.sim2mask.b": None}, "not those of TCL"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    changed: dict[str, Any], words: str, tmp_path: Path
) -> None:
    backbone = Tcl(weights=str(change(tmp_path / "tcl.pth", changed)))
    for check in (backbone.check_weights, backbone.load):
        with pytest.raises(BadWeights, match=words):
            check()


def test_the_published_file_is_named_with_its_licence_where_it_is_not_here() -> None:
    with pytest.raises(MissingWeights) as caught:
        Tcl(weights="tcl.pth").need_weights()
    assert "github.com/kakaobrain/tcl/releases" in caught.value.there
    assert "MIT" in caught.value.there


def test_positions_stay_on_the_grid_of_the_training_alone() -> None:
    table = torch.randn(17, 5, generator=torch.Generator().manual_seed(0))
    assert place_embeddings(table, (4, 4), (4, 4), "size_exact") is table
    wide = place_embeddings(table, (4, 4), (2, 8), "size_exact")
    assert not torch.equal(wide, table)
    assert place_embeddings(table, (4, 4), (2, 8), "size") is table
    for how in ("size", "size_exact"):
        torch.testing.assert_close(
            place_embeddings(table, (4, 4), (3, 6), how),
            place_embeddings(table, (4, 4), (3, 6), "size"),
        )
