"""Weights and tokenizers that do not fit give exactly the messages that stand in
tests/broken/weights.
"""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import ByteLevelBPETokenizer
from twins import PARITY
from typer.testing import CliRunner

from ovsskit.backbones._checkpoint import stored_names
from ovsskit.backbones.matching._blip_checkpoint import BLIP
from ovsskit.cli.app import app
from ovsskit.engine.model import Backbone
from ovsskit.errors import BadWeights, MissingWeights, Problems
from ovsskit.recipe import registry
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.registry import find_backbone

GOLDEN = Path(__file__).parent.parent / "broken" / "weights"
SETS = {"blip_itm": "pnp_ovss", "bridgetower": "bridgetower", "albef": "albef", "mplug": "mplug"}
HEADS = ("itm_head.", "itm_score.")


def folder_of(name: str, folder: Path) -> Path:
    """Copy the weights of a small model, its configuration and tokenizer."""
    folder.mkdir()
    source = PARITY / SETS[name]
    for file in ("config.json", "vocab.txt", "vocab.json", "merges.txt"):
        if (source / file).is_file():
            shutil.copyfile(source / file, folder / file)
    weights = "model_base.safetensors" if name == "mplug" else "model.safetensors"
    shutil.copyfile(source / weights, folder / "model.safetensors")
    return folder


def change(folder: Path, keep: Callable[[str], bool]) -> None:
    state = load_file(folder / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in state.items() if keep(name)}, folder / "model.safetensors"
    )


def behead(folder: Path) -> None:
    change(folder, lambda name: not name.startswith(HEADS))


def thin_out(folder: Path) -> None:
    """Leave out the feed-forward part of a layer."""
    change(folder, lambda name: "layer.1.intermediate." not in name)


def put_the_weights_of(name: str) -> Callable[[Path], None]:
    return lambda folder: change_all(folder, name)


def change_all(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    shutil.copyfile(
        folder_of(name, folder.parent / "other") / "model.safetensors", folder / "model.safetensors"
    )


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def without_tokenizer(folder: Path) -> None:
    for name in ("vocab.txt", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)


def with_another_kind_of_tokenizer(folder: Path) -> None:
    """Put a byte-level tokenizer where word pieces are read, and the other way round."""
    without_tokenizer(folder)
    other = "albef" if "bridgetower" in folder.name else "bridgetower"
    if other == "albef":
        from tokenizers import BertWordPieceTokenizer

        BertWordPieceTokenizer(str(PARITY / "albef" / "vocab.txt")).save(
            str(folder / "tokenizer.json")
        )
    else:
        ByteLevelBPETokenizer(
            str(PARITY / other / "vocab.json"), str(PARITY / other / "merges.txt")
        ).save(str(folder / "tokenizer.json"))


def with_half_a_vocabulary(folder: Path) -> None:
    """Break off a vocabulary before the tokens that stand around a caption, as a download does that
    was stopped.
    """
    if (folder / "vocab.txt").is_file():
        (folder / "vocab.txt").write_text(
            "\n".join((folder / "vocab.txt").read_text().splitlines()[:50])
        )
    else:
        (folder / "vocab.json").write_text((folder / "vocab.json").read_text()[:500])


def with_a_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"')


def with_a_larger_tokenizer(folder: Path) -> None:
    for name, more in (("vocab.txt", "\nmore\nwords\nthan\nrows"), ("vocab.json", "")):
        if (folder / name).is_file() and more:
            (folder / name).write_text((folder / name).read_text().rstrip("\n") + more)
        elif (folder / name).is_file():
            words = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps({**words, "more": len(words)}))


def as_published(name: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors by the names that they have in the authors' own files, or in LAVIS'."""
    if name == "bridgetower":
        theirs = dict(json.loads((PARITY / "bridgetower" / "case.json").read_text())["key_names"])
        return {theirs[hub]: tensor for hub, tensor in state.items() if hub in theirs}
    if name == "albef":
        return {
            key.replace("text_encoder.", "text_encoder.bert."): tensor
            for key, tensor in state.items()
        }
    if name == "blip_itm":
        theirs = ["visual_encoder.cls_token"]
        return {BLIP.name_in(theirs, key): tensor for key, tensor in state.items()}
    return state


ORIGINALS = {
    "blip_itm": (
        "visual_encoder.norm.weight",
        "text_encoder.encoder.layer.0.output.dense.bias",
        "visual_encoder.blocks.1.attn.qkv.bias",
    ),
    "bridgetower": (
        "vit_model.visual.class_embedding",
        "text_transformer.pooler.dense.bias",
        "cross_modal_text_pooler.dense.bias",
    ),
    "albef": (
        "visual_encoder.norm.weight",
        "text_encoder.bert.encoder.layer.0.output.dense.bias",
        "visual_encoder.blocks.1.attn.qkv.bias",
    ),
    "mplug": (
        "visual_encoder.visual.class_embedding",
        "text_encoder.encoder.layer.0.output.dense.bias",
        "fusion_encoder.encoder.layer.4.attention.output.dense.bias",
    ),
}
"""Two tensors that an original checkpoint will lack, and one that it will have in another shape."""
SIZED = {
    "blip_itm": "visual_encoder.patch_embed.proj.weight",
    "bridgetower": "vit_model.visual.conv1.weight",
    "albef": "visual_encoder.patch_embed.proj.weight",
    "mplug": "visual_encoder.visual.conv1.weight",
}
"""A tensor that tells the size of an image's encoder."""


def as_original(name: str, lacking: Sequence[str], misshapen: str = "") -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        state = as_published(name, load_file(folder / "model.safetensors"))
        assert {*lacking, misshapen} - {""} <= set(state)
        left = {
            key: tensor[:1] if key == misshapen else tensor
            for key, tensor in state.items()
            if key not in lacking
        }
        torch.save({"model": left, "args": Namespace(output="./out")}, folder / "original.pth")
        return folder / "original.pth"

    return spoil


CASES: dict[str, tuple[str, Callable[[Path], Path | None]]] = {
    **{
        f"{name}_given_{other}": (name, put_the_weights_of(other))
        for name in SETS
        for other in SETS
        if name != other
    },
    **{f"{name}_without_head": (name, behead) for name in SETS},
    **{f"{name}_lacks_a_layer": (name, thin_out) for name in SETS},
    **{f"{name}_broken": (name, truncate) for name in ("albef",)},
    **{f"{name}_without_tokenizer": (name, without_tokenizer) for name in SETS},
    **{f"{name}_with_another_tokenizer": (name, with_another_kind_of_tokenizer) for name in SETS},
    **{f"{name}_with_a_larger_tokenizer": (name, with_a_larger_tokenizer) for name in SETS},
    **{f"{name}_with_half_a_vocabulary": (name, with_half_a_vocabulary) for name in SETS},
    **{f"{name}_with_a_broken_tokenizer": (name, with_a_broken_tokenizer) for name in SETS},
    **{
        f"{name}_original_misfits": (name, as_original(name, more[:2], more[2]))
        for name, more in ORIGINALS.items()
    },
    **{
        f"{name}_original_of_no_size": (name, as_original(name, [one]))
        for name, one in SIZED.items()
    },
}


@pytest.mark.parametrize("case", CASES)
def test_message(case: str, tmp_path: Path, golden: Callable[[Path, str], str]) -> None:
    name, spoil = CASES[case]
    folder = folder_of(name, tmp_path / f"weights_{name}")
    weights = spoil(folder) or folder
    cls: Any = find_backbone(name)
    backbone = cls(weights=str(weights), image_size=112)
    with pytest.raises(BadWeights) as caught:
        backbone.check_weights()
    text = f"{caught.value}\n".replace(str(folder), "FOLDER")
    assert text == golden(GOLDEN / f"{case}.txt", text)
    with pytest.raises(BadWeights) as caught:  # without the check, reading says the same
        _ = backbone.reader
    assert f"{caught.value}\n".replace(str(folder), "FOLDER") == text


@pytest.mark.parametrize("name", SETS)
def test_layers_of_a_file_that_torch_wrote_are_known_without_running_it(
    name: str, tmp_path: Path
) -> None:
    weights = as_original(name, [])(folder_of(name, tmp_path / "weights"))
    names = as_published(name, load_file(weights.parent / "model.safetensors"))
    assert {name for name in names if "." in name} <= set(stored_names(weights))
    cls: Any = find_backbone(name)
    backbone = cls(weights=str(weights), image_size=112 if name != "bridgetower" else 56)
    known = backbone.known_layer_count()
    assert "network" not in backbone.__dict__
    assert known == backbone.layer_count
    with pytest.raises(
        Problems,
        match=f"select_head.layer is {known}, but after the last layer `{name}` reads only",
    ):
        load_recipe(
            f"pnp_{name.removesuffix('_itm')}",
            [f"backbone.weights={weights}", f"select_head.layer={known}"],
        )


@pytest.mark.parametrize("name", SETS)
def test_names_go_to_the_network_and_back(name: str, tmp_path: Path) -> None:
    cls: Any = find_backbone(name)
    hub = load_file(folder_of(name, tmp_path / "weights") / "model.safetensors")
    for stored in (hub, as_published(name, hub)):
        assert [cls.family.name_in(stored, cls.family.rename(one)) for one in stored] == [*stored]


class Fifth(Backbone):
    """Be a third-party model."""

    weights: str = "none"

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        return "a fifth model" if any(name.startswith("fifth.") for name in names) else ""

    def load(self) -> Any:
        return torch.nn.Identity()


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        ("visual.transformer.resblocks.0.ln_1.weight", "They look like CLIP."),
        ("vision_model.encoder.layers.0.layer_norm1.weight", "They look like CLIP."),
        ("fifth.weight", "They look like a fifth model."),
        ("sixth.weight", "They begin with sixth.weight."),
    ],
)
def test_whose_weights_they_are_is_asked_of_all_backbones(
    tensor: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.PLUGINS, "fifth", Fifth)
    save_file({tensor: torch.zeros(2)}, tmp_path / "some.safetensors")
    cls: Any = find_backbone("albef")
    with pytest.raises(BadWeights, match=f"these weights are another model's.\n  {told}"):
        cls(weights=str(tmp_path / "some.safetensors")).check_weights()


def test_a_file_that_is_no_archive_has_no_names(tmp_path: Path) -> None:
    torch.save(
        {"itm_head.weight": torch.zeros(2)},
        tmp_path / "old.pth",
        _use_new_zipfile_serialization=False,
    )
    assert stored_names(tmp_path / "old.pth") == []
    assert stored_names(tmp_path / "none.pth") == []


def test_objects_beside_tensors_are_not_read(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": {"itm_head.weight": torch.zeros(2)}, "callback": Path("x")},
        tmp_path / "some.ckpt",
    )
    cls: Any = find_backbone("bridgetower")
    with pytest.raises(BadWeights, match="more than tensors .*reading such a file can run code"):
        cls(weights=str(tmp_path / "some.ckpt")).check_weights()


@pytest.mark.parametrize("name", SETS)
def test_a_converted_checkpoint_is_the_same_model(name: str, tmp_path: Path) -> None:
    folder = folder_of(name, tmp_path / "weights")
    state = load_file(folder / "model.safetensors")
    torch.save({"model": {**state, "text_queue": torch.zeros(2)}}, folder / "original.pth")
    cls: Any = find_backbone(name)
    size = 112 if name != "bridgetower" else 56
    original = cls(weights=str(folder / "original.pth"), image_size=size)
    original.convert_weights(tmp_path / "new" / "weights.safetensors")
    converted = cls(weights=str(tmp_path / "new" / "weights.safetensors"), image_size=size)
    converted.check_weights()
    assert "text_queue" not in load_file(tmp_path / "new" / "weights.safetensors")
    pairs = zip(
        converted.network.state_dict().items(), original.network.state_dict().values(), strict=True
    )
    assert all(torch.equal(mine, theirs) for (_, mine), theirs in pairs)
    assert converted.count_tokens("a dog") == original.count_tokens("a dog")


def test_the_digest_of_a_file_is_also_that_of_what_lies_beside_it(tmp_path: Path) -> None:
    folder = folder_of("mplug", tmp_path / "weights")
    cls: Any = find_backbone("mplug")

    def digest() -> str:
        found: str = cls(weights=str(folder / "model.safetensors")).digest
        return found

    before = digest()
    assert digest() == before
    (folder / "config_bert.json").write_text('{"stride_layer": 2}')
    assert digest() != before


def test_models_tells_whether_weights_fit(tmp_path: Path) -> None:
    run = CliRunner().invoke
    folder = folder_of("albef", tmp_path / "weights")
    good = run(app, ["models", "pnp_albef", "--set", f"backbone.weights={folder}"])
    assert good.exit_code == 0
    assert "yes" in good.output
    bad = run(
        app,
        [
            "models",
            "pnp_mplug",
            "--set",
            f"backbone.weights={folder}",
            "--convert",
            str(tmp_path / "a.safetensors"),
        ],
    )
    assert bad.exit_code == 2
    assert "look like ALBEF." in bad.output
    assert not (tmp_path / "a.safetensors").exists()
    made = run(
        app,
        [
            "models",
            "pnp_albef",
            "--set",
            f"backbone.weights={folder}",
            "--convert",
            str(tmp_path / "a.safetensors"),
        ],
    )
    assert made.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "weights",
        "a.safetensors",
        "vocab.txt",
        "config.json",
    }


def test_a_conversion_replaces_nothing_that_it_was_not_told_to(tmp_path: Path) -> None:
    folder = folder_of("albef", tmp_path / "weights")
    (tmp_path / "mine.safetensors").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "vocab.txt").write_text("mine")

    def convert(to: str, *more: str) -> Any:
        arguments = ["models", "pnp_albef", "--set", f"backbone.weights={folder}"]
        return CliRunner().invoke(app, [*arguments, "--convert", str(tmp_path / to), *more])

    assert "The file already exists" in str(convert("mine.safetensors").exception)
    assert "Another file is in the place" in str(convert("full/a.safetensors", "--force").exception)
    assert (tmp_path / "mine.safetensors").read_text() == "mine"
    assert (tmp_path / "full" / "vocab.txt").read_text() == "mine"
    assert not (tmp_path / "full" / "a.safetensors").exists()
    assert convert("mine.safetensors", "--force").exit_code == 0
    assert (tmp_path / "mine.safetensors").stat().st_size > 1000


def test_models_tells_where_weights_are_published() -> None:
    shown = CliRunner().invoke(app, ["models", "pnp_albef"])
    assert shown.exit_code == 0
    assert "from storage.googleapis.com/sfr-pcl-data-research/ALBEF/mscoco.pth" in shown.output
    cls: Any = find_backbone("albef")
    with pytest.raises(MissingWeights) as caught:
        cls(weights="mscoco.pth").load()
    assert "It is published at storage.googleapis.com" in str(caught.value)
    assert cls(weights="mscoco.pth").describe_weights().kind == "elsewhere"
