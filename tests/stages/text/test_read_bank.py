"""A bank gives every class its prototype, and what is none is refused, before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ovsskit.backbones.clip.clip_dense import ClipDense
from ovsskit.engine.model.describes_patches import ToyDescribesPatches
from ovsskit.engine.prototype_bank import Bank, read_bank, write_bank
from ovsskit.errors import BadFile
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.text.read_bank import ReadBank

WORDS = ("sky", "dog", "ice cream")
TOY = ToyDescribesPatches()


def bank_in(folder: Path, digest: str = "") -> Path:
    data = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    write_bank(folder / "bank.safetensors", Bank(WORDS, data, digest, {"settings": {"side": 224}}))
    return folder / "bank.safetensors"


def test_rows_are_those_of_the_words_whatever_their_order(tmp_path: Path) -> None:
    file = bank_in(tmp_path)
    words = make_vocabulary(["ice cream, gelato", "dog"], background_words=["sky"])
    found = ReadBank(file=str(file)).run(words, TOY)
    assert found.labels == (0, 1, 2)
    assert torch.equal(found.data, read_bank(file).prototypes[[0, 2, 1]])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    bank = read_bank(bank_in(tmp_path, "abc"))
    assert bank.words == WORDS
    assert bank.digest == "abc"
    assert bank.notes["settings"] == {"side": 224}


def test_a_header_of_any_length_is_no_pickle(tmp_path: Path) -> None:
    """The first byte of a bank is that of a length, and may be a pickle's."""
    starts = set()
    for length in range(260):
        file = tmp_path / "bank.safetensors"
        write_bank(file, Bank(("dog",), torch.zeros(1, 2), "", {"note": "x" * length}))
        assert read_bank(file).words == ("dog",)
        starts.add(file.read_bytes()[0])
    assert 0x80 in starts


def test_classes_that_it_lacks_are_named_before_a_run(tmp_path: Path) -> None:
    stage, words = ReadBank(file=str(bank_in(tmp_path))), make_vocabulary(["dog", "cow", "cat"])
    for refuse in (lambda: stage.check_inputs(words, []), lambda: stage.run(words, TOY)):
        with pytest.raises(BadFile, match="no prototype of cow, cat") as caught:
            refuse()
        assert "sky, dog, ice cream" in caught.value.there


def test_a_bank_of_other_weights_is_refused(tmp_path: Path) -> None:
    model = ClipDense(weights="embedded")
    stage = ReadBank(file=str(bank_in(tmp_path, "0" * 64)))
    with pytest.raises(BadFile, match="built with other weights"):
        stage.run(make_vocabulary(["dog"]), model)
    own = ReadBank(file=str(bank_in(tmp_path, model.digest)))
    assert own.run(make_vocabulary(["dog"]), model).labels == (1,)


def test_files_that_are_no_bank_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bank.safetensors"
    words = make_vocabulary(["dog"])
    with pytest.raises(BadFile, match="names no file"):
        ReadBank().run(words, TOY)
    torch.save({"dog": torch.zeros(3)}, file)
    with pytest.raises(BadFile, match="is a pickle"):
        ReadBank(file=str(file)).run(words, TOY)
    save_file({"prototypes": torch.zeros(1, 3)}, file)
    with pytest.raises(BadFile, match="is not a bank"):
        ReadBank(file=str(file)).run(words, TOY)
    content = bank_in(tmp_path).read_bytes()
    file.write_bytes(content[:20])
    with pytest.raises(BadFile, match="cannot be read"):
        ReadBank(file=str(file)).run(words, TOY)
    with pytest.raises(BadFile, match="cannot be read"):
        ReadBank(file=str(tmp_path / "none.safetensors")).run(words, TOY)
