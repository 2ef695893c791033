"""A bank of regions is written whole, read part by part, and refused where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ovsskit.engine.bank_file import NOTE
from ovsskit.engine.prototype_bank import Bank, read_words, write_bank
from ovsskit.engine.region_bank import RegionBank, RegionBankWriter, digest_image
from ovsskit.engine.values import Image
from ovsskit.errors import BadFile


def numbers(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape))) - 0.5


def written(
    file: Path, counts: tuple[int, ...] = (3, 0, 2)
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    added = [(numbers(count, 4), numbers(count, 6)) for count in counts]
    with RegionBankWriter(file) as writer:
        for seed, (keys, values) in enumerate(added):
            writer.add(digest_image(Image.example(seed)), keys, values)
        writer.finish({"of": "regions", "about": "größe"})
    return added


def test_what_is_written_is_read_by_us_and_by_safetensors(tmp_path: Path) -> None:
    file = tmp_path / "bank.safetensors"
    added = written(file)
    keys, values = (torch.cat([one[part] for one in added]).half() for part in (0, 1))
    tensors = load_file(file)
    assert torch.equal(tensors["keys"], keys)
    assert torch.equal(tensors["values"], values)
    bank = RegionBank.open(file)
    assert len(bank) == 5
    assert bank.widths == (4, 6)
    assert bank.notes["about"] == "größe"
    assert torch.equal(bank.keys(1, 4), keys[1:4].float())
    assert torch.equal(bank.values([4, 0, 4]), values[[4, 0, 4]].float())
    assert bank.images.tolist() == [0, 0, 0, 2, 2]
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_an_image_is_known_by_its_colours_not_by_its_name(tmp_path: Path) -> None:
    written(tmp_path / "bank.safetensors")
    bank, image = RegionBank.open(tmp_path / "bank.safetensors"), Image.example(2)
    assert bank.numbers_of(digest_image(Image(image.data, "another name"))) == [2]
    changed = image.data.clone()
    changed[0, 0, 0] = 1 - changed[0, 0, 0]
    assert bank.numbers_of(digest_image(Image(changed))) == []
    assert bank.numbers_of(digest_image(Image(image.data.transpose(1, 2)))) == []


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with RegionBankWriter(tmp_path / "bank.safetensors") as writer:
            writer.add(b"0" * 16, numbers(2, 4), numbers(2, 6))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_bank_of_regions_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bank.safetensors"
    with pytest.raises(BadFile, match="cannot be read"):
        RegionBank.open(file)
    write_bank(file, Bank(("dog",), torch.zeros(1, 3), ""))
    with pytest.raises(BadFile, match="bank of classes"):
        RegionBank.open(file)
    torch.save({"keys": torch.zeros(2, 3)}, file)
    with pytest.raises(BadFile, match="is a pickle"):
        RegionBank.open(file)
    written(file)
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(BadFile, match="cannot be read"):
        RegionBank.open(file)
    save_file({"keys": torch.zeros(2, 3)}, file, {NOTE: '{"of": "regions"}'})
    with pytest.raises(BadFile, match="not those of a bank of regions"):
        RegionBank.open(file)
    save_file({"keys": torch.zeros(2, 3)}, file, {NOTE: "[]"})
    with pytest.raises(BadFile, match="is not a bank"):
        RegionBank.open(file)
    written(file)
    with pytest.raises(BadFile, match="not a bank of classes"):
        read_words(file)
