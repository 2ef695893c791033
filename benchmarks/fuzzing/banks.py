"""Entries of the store, and banks of words and of regions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from fuzzing.feeding import Reader, Readers


def _entries() -> Reader:
    from ovsskit.engine.store import Disk
    from ovsskit.engine.values import Probabilities, TextFeatures

    key, limit = "0" * 32, 1 << 20
    numbers = torch.arange(12.0).reshape(2, 3, 2)
    values = (Probabilities(numbers, (1, 5)), TextFeatures(numbers[0], (1, 2, 3)))
    good = []
    with tempfile.TemporaryDirectory() as folder:
        for number, value in enumerate(values):
            disk = Disk(Path(folder, str(number)), limit)
            disk.keep(key, value)
            good.append(disk._path(key).read_bytes())

    def read(path: Path) -> object:
        disk = Disk(path.parent / "store", limit)
        place = disk._path(key)
        place.parent.mkdir()
        place.write_bytes(path.read_bytes())
        found = disk.find(key)
        same = [type(found) is type(one) and repr(found) == repr(one) for one in values]
        assert found is None or any(same), "another value than the one that was kept"
        return found

    return Reader("store", tuple(good), "entry.safetensors", read)


def _word_bank() -> Reader:
    from ovsskit.engine.prototype_bank import Bank, read_bank, write_bank

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bank.safetensors")
        write_bank(path, Bank(("dog", "cat"), torch.ones(2, 3), "x", {"images": 2}))
        good = path.read_bytes()
    return Reader("bank of words", (good,), "bank.safetensors", read_bank)


def _region_bank() -> Reader:
    from ovsskit.engine.region_bank import RegionBank, RegionBankWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bank.safetensors")
        with RegionBankWriter(path) as bank:
            for number in range(3):
                bank.add(bytes([number] * 16), torch.ones(2, 4), torch.ones(2, 5))
            bank.finish({"of": "regions", "guide": {}, "model": {}})
        good = path.read_bytes()

    def read(path: Path) -> object:
        bank = RegionBank.open(path)
        bank.numbers_of(bytes([1] * 16))
        return bank.widths, bank.images, bank.keys(0, 2), bank.values([0, len(bank) - 1])

    return Reader("bank of regions", (good,), "bank.safetensors", read)


READERS: Readers = {"store": _entries, "bank of words": _word_bank, "bank of regions": _region_bank}
