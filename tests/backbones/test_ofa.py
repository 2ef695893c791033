from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from ofa_twin import PUBLISHED_ROWS, ofa_twin, random_network, rows_for, small_shape, write_ofa
from safetensors.torch import load_file, save_file

from ovsskit.backbones.ofa._positions import cell_rows, grid_bias, resized_bias, text_rows
from ovsskit.backbones.ofa._text import PROMPT, UNKNOWN_NAME
from ovsskit.backbones.ofa.ofa import Ofa
from ovsskit.engine.values import Image
from ovsskit.errors import BadClasses, BadWeights
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.testing import check_backbone, example

NAMES = ("dog", "ice cream", "grass")
KNOWN = (PROMPT, UNKNOWN_NAME, *NAMES)
IMAGES = [example(Image, seed) for seed in (0, 7)]
WIDE = Image(torch.rand(3, 40, 100, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ofa(tmp_path / "ofa", random_network(small_shape(rows_for(KNOWN))), KNOWN)


def ofa(weights: str | Path, **fields: Any) -> Ofa:
    return Ofa(weights=str(weights), **{"image_size": 64, **fields})


def maps(
    backbone: Ofa, images: list[Image] = IMAGES, names: tuple[str, ...] = NAMES
) -> list[torch.Tensor]:
    return backbone.decode_patches(images, [names] * len(images))


def test_contract(folder: Path) -> None:
    check_backbone(ofa(folder))


def test_images_of_any_shape_in_one_call_equal_one_by_one(folder: Path) -> None:
    together = maps(ofa(folder), [IMAGES[0], WIDE, IMAGES[1]])
    assert [one.shape[1:] for one in together] == [(4, 6), (4, 10), (4, 6)]
    for image, one in zip([IMAGES[0], WIDE, IMAGES[1]], together, strict=True):
        torch.testing.assert_close(maps(ofa(folder), [image])[0], one, atol=1e-5, rtol=1e-4)


def test_biases_and_features_are_computed_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, seen = ofa(folder), []
    network = backbone.network
    monkeypatch.setattr(
        network, "biases", lambda *key: seen.append(key) or type(network).biases(network, *key)
    )
    first = maps(backbone)
    hook = network.encoder.embed_images.register_forward_hook(lambda *_: seen.append("trunk"))
    assert all(map(torch.equal, maps(backbone), first))
    backbone.trunk_features(IMAGES)
    hook.remove()
    assert seen == [((4, 6), seen[0][1])]


def test_biases_of_the_last_grid_are_kept_however_large(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsskit.backbones.ofa.ofa.KEPT_BIASES", 0)
    backbone = ofa(folder)
    maps(backbone, [*IMAGES, WIDE])
    assert len(backbone._biases) == 1


def test_hidden_patches_are_not_seen(folder: Path) -> None:
    hidden = torch.zeros(4, 6, dtype=torch.bool)
    hidden[1, 2] = True
    pixels = ofa(folder).pixels(IMAGES[0].hide(hidden))
    assert pixels[:, 16:32, 32:48].eq(0).all()
    assert torch.equal(pixels[:, :16], ofa(folder).pixels(IMAGES[0])[:, :16])


def test_bf16_is_near(folder: Path) -> None:
    for half, full in zip(maps(ofa(folder, precision="bf16")), maps(ofa(folder)), strict=True):
        assert (half - full).abs().max() < 0.1 * full.abs().max()


def test_weights_that_are_not_tuned_say_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = {
        key: one
        for key, one in load_file(folder / "model.safetensors").items()
        if ".seg_" not in key and "embed_seg" not in key
    }
    save_file(state, folder / "model.safetensors")
    # A model without IFSeg's parts is one of the published ones, whose grid has 32 rows.
    first, second = (maps(ofa(folder)) for _ in range(2))
    assert "not tuned" in caplog.text
    assert all(map(torch.equal, first, second))


def fairseq(folder: Path, **more: Any) -> Path:
    state = load_file(folder / "model.safetensors")
    state["decoder.embed_tokens.weight"] = state["encoder.embed_tokens.weight"]
    state["decoder.output_projection.weight"] = state["encoder.embed_tokens.weight"]
    state["encoder.version"] = torch.tensor([3.0])
    state["encoder.token_rp_bucket"] = torch.zeros(1024, 1024, dtype=torch.int64)
    file = folder / "checkpoint.pt"
    torch.save(
        {"model": state, "args": argparse.Namespace(arch="ofa_tiny"), "cfg": None, **more}, file
    )
    return file


def test_a_fairseq_checkpoint_reads_the_same(folder: Path) -> None:
    assert all(map(torch.equal, maps(ofa(fairseq(folder))), maps(ofa(folder))))


def test_a_converted_checkpoint_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    file = fairseq(folder)
    ofa(file).convert_weights(tmp_path / "new" / "weights.safetensors")
    assert {one.name for one in (tmp_path / "new").iterdir()} == {"weights.safetensors", "dict.txt"}
    converted = ofa(tmp_path / "new" / "weights.safetensors")
    converted.check_weights()
    assert all(map(torch.equal, maps(converted), maps(ofa(folder))))
    assert "encoder.token_rp_bucket" not in load_file(tmp_path / "new" / "weights.safetensors")


class Danger:
    def __reduce__(self) -> Any:
        return (print, ("code was run",))


def test_a_checkpoint_that_needs_more_than_tensors_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadWeights, match=re.escape("more than tensors (print)")):
        maps(ofa(fairseq(folder, extra_state=Danger())))
    assert "code was run" not in capsys.readouterr().out


HUB = (
    ("encoder.layers.{}.attn_ln", "encoder.layers.{}.self_attn_mid_layer_norm"),
    ("decoder.layers.{}.self_attn_ln", "decoder.layers.{}.self_attn_mid_layer_norm"),
    ("decoder.layers.{}.cross_attn_ln", "decoder.layers.{}.cross_attn_mid_layer_norm"),
    ("decoder.layers.{}.encoder_attn_layer_norm", "decoder.layers.{}.cross_attn_layer_norm"),
    ("decoder.layers.{}.encoder_attn.", "decoder.layers.{}.cross_attn."),
    ("encoder.layers.{}.ffn_layernorm", "encoder.layers.{}.ffn_layer_norm"),
    ("decoder.layers.{}.ffn_layernorm", "decoder.layers.{}.ffn_layer_norm"),
)


def test_the_hub_ports_names_read_the_same(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    renamed = {}
    for key, tensor in state.items():
        for ours, theirs in HUB:
            for layer in range(2):
                key = key.replace(ours.format(layer), theirs.format(layer))
        renamed[key] = tensor
    assert set(renamed) != set(state)
    renamed["decoder.embed_tokens.weight"] = renamed.pop("encoder.embed_tokens.weight")
    port = tmp_path / "port"
    port.mkdir()
    save_file(renamed, port / "model.safetensors")
    (port / "config.json").write_text(json.dumps({"model_type": "ofa"}))
    (port / "dict.txt").write_bytes((folder / "dict.txt").read_bytes())
    assert all(map(torch.equal, maps(ofa(port)), maps(ofa(folder))))


def change(folder: Path, **tensors: Any) -> None:
    file = folder / "model.safetensors"
    state = {
        key: one
        for key, one in load_file(file).items()
        if key not in tensors or tensors[key] is not None
    }
    save_file({**state, **{key: one for key, one in tensors.items() if one is not None}}, file)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"encoder.layer_norm.weight": None}, "lacks encoder.layer_norm.weight"),
        ({"encoder.embed_tokens.weight": None}, "they lack 'encoder.embed_tokens.weight'"),
        (
            {"decoder.layers.1.fc1.weight": torch.zeros(8, 8)},
            "has another size in decoder.layers.1.fc1.weight",
        ),
        (
            {"encoder.image_rel_pos_table_list.1.weight": torch.zeros(12, 2)},
            "has another size in encoder.image_rel",
        ),
    ],
)
def test_weights_of_another_model_or_size_are_refused(
    folder: Path, tensors: dict[str, Any], message: str
) -> None:
    change(folder, **tensors)
    with pytest.raises(BadWeights, match=message):
        maps(ofa(folder))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=re.escape("holds none of model.safetensors")):
        maps(ofa(tmp_path))


def test_a_broken_file_is_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(BadWeights, match="broken or incomplete"):
        maps(ofa(folder))


def test_a_model_of_other_words_is_refused(folder: Path) -> None:
    (folder / "dict.txt").unlink()  # as a Chinese OFA has fewer words than the published dictionary
    with pytest.raises(
        BadWeights, match=f"embeddings of {rows_for(KNOWN)} words, but the dictionary has"
    ):
        maps(ofa(folder))


def test_missing_rows_of_image_positions_are_filled(folder: Path) -> None:
    table = load_file(folder / "model.safetensors")["encoder.embed_image_positions.weight"]
    change(folder, **{"encoder.embed_image_positions.weight": table[:10].clone()})
    read = ofa(folder).checkpoint.network.encoder.embed_image_positions.weight
    assert read.shape == table.shape
    assert torch.equal(read[:10], table[:10])


def test_an_unknown_word_is_refused(folder: Path) -> None:
    with pytest.raises(BadClasses, match="does not know the class `zebra`"):
        ofa(folder).check_vocabulary(make_vocabulary(["dog", "zebra"]))


def test_too_many_classes_are_refused_before_the_weights_are_read() -> None:
    backbone = ofa(ofa_twin())
    names = [f"thing number {number}" for number in range(1000)]
    with pytest.raises(
        BadClasses,
        match=r"The 1000 class names take \d+ tokens with the prompt, .* positions for 1024",
    ):
        backbone.check_vocabulary(make_vocabulary(names))
    assert "network" not in vars(backbone)


def test_synonyms_are_refused(folder: Path) -> None:
    with pytest.raises(BadClasses, match=r"The class `dog` has synonyms \(grass\)"):
        ofa(folder).check_vocabulary(make_vocabulary(["dog, grass"]))


def test_weights_tuned_for_named_classes_take_no_others(folder: Path) -> None:
    file = folder / "model.safetensors"
    save_file(load_file(file), file, {"classes": json.dumps(["grass", "dog"])})
    assert maps(ofa(folder), names=("grass", "dog"))
    for names, there in (
        ((*NAMES,), "not tuned for: ice cream"),
        (("grass",), "not named: dog"),
        (("dog", "grass"), "Their order is: grass, dog"),
    ):
        with pytest.raises(BadClasses, match="tuned for 2 classes, and not for these") as caught:
            ofa(folder).check_vocabulary(make_vocabulary(names))
        assert caught.value.there == there
        with pytest.raises(BadClasses, match="tuned for 2 classes"):
            maps(ofa(folder), names=names)


def test_a_released_checkpoint_knows_its_classes_by_their_embeddings(folder: Path) -> None:
    backbone = ofa(folder)
    words = backbone.network.words([backbone.reader.pieces(name) for name in NAMES])
    change(folder, **{"decoder.seg_projection.weight": words.half()})
    assert maps(ofa(folder))
    with pytest.raises(BadClasses, match="tuned for 3 classes, but 2 are named"):
        maps(ofa(folder), names=NAMES[:2])
    with pytest.raises(BadClasses, match="tuned for other words than: grass, dog"):
        maps(ofa(folder), names=("grass", "ice cream", "dog"))


def test_relative_rows_of_a_text() -> None:
    rows = text_rows(1024)
    for step, row in {
        0: 255,
        10: 265,
        127: 382,
        128: 383,
        129: 384,
        130: 384,
        140: 389,
        200: 411,
        1023: 510,
    }.items():
        assert int(rows[step, 0]) == row
        assert int(rows[0, step]) == 510 - row


def test_the_bias_of_a_grid_is_that_of_its_steps() -> None:
    side, reach = 3, 9
    table = torch.rand(reach * reach + 3, 2, generator=torch.Generator().manual_seed(0))
    bias = grid_bias(table, side)
    for query in range(side * side):
        for key in range(side * side):
            down, right = query // side - key // side, query % side - key % side
            row = (down + reach // 2) * reach + right + reach // 2
            assert torch.equal(bias[:, query, key], table[row])


def test_a_stretched_bias_is_linear_in_both_grids() -> None:
    bias = torch.rand(2, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = torch.nn.functional.interpolate(
        torch.eye(9, dtype=torch.float64).view(9, 1, 3, 3), (4, 5), mode="bilinear"
    ).view(9, 20)
    torch.testing.assert_close(resized_bias(bias, (4, 5)), matrix.T @ bias @ matrix)
    assert resized_bias(bias, (3, 3)) is bias


def test_rows_of_wide_grids_run_on() -> None:
    assert cell_rows((2, 45), 42, 32)[44:47].tolist() == [45, 43, 44]
    assert len(cell_rows((33, 32), 42, 32)) == 32 * 32


def test_sizes_after_resizing() -> None:
    wide = Image(torch.zeros(3, 30, 200))
    assert ofa("none", image_size=60, longer_side=300).pixels(wide).shape == (3, 45, 300)
    assert ofa("none", image_size=60, longer_side=1000).pixels(wide).shape == (3, 60, 400)
    assert ofa("none", image_size=60, keep_shape=False).pixels(wide).shape == (3, 60, 60)
    assert ofa("none", image_size=60, longer_side=100).pixels(
        Image(torch.zeros(3, 1, 200))
    ).shape == (3, 1, 100)


def test_the_published_number_of_rows_holds_the_dictionary() -> None:
    assert ofa(ofa_twin()).reader.pieces("concrete wall") == [6369, 2204]
    assert ofa(ofa_twin()).network.shape.rows == PUBLISHED_ROWS
