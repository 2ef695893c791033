"""Regions find their nearest neighbours in a bank, other images' alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.region_bank import RegionBankWriter, digest_image
from ovsskit.engine.values import GuideFeatures, Image, RegionFeatures, Regions
from ovsskit.errors import BadFile
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.regions import retrieve
from ovsskit.stages.regions.retrieve import Retrieve
from ovsskit.testing import ToyBackbone

TOY = ToyBackbone()
COUNTS = (9, 4, 12)


def bank_in(folder: Path, width: int = 8, notes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write a bank of three images, the second of which is the example, and return its entries."""
    generator = np.random.default_rng(1)
    entries: dict[str, Any] = {"keys": [], "values": [], "images": []}
    with RegionBankWriter(folder / "bank.safetensors") as writer:
        for number, count in enumerate(COUNTS):
            keys = generator.normal(size=(count, width)).astype("float16")
            values = generator.normal(size=(count, 5)).astype("float16")
            image = Image.example(0 if number == 1 else number + 40)
            writer.add(digest_image(image), torch.from_numpy(keys), torch.from_numpy(values))
            entries["keys"] += list(keys.astype("float64"))
            entries["values"] += list(values.astype("float64"))
            entries["images"] += [number] * count
        writer.finish({"of": "regions", **(notes or {})})
    return entries


def by_hand(
    entries: dict[str, Any], regions: Regions, guide: GuideFeatures, count: int, own: int
) -> dict[int, np.ndarray]:
    """Return the mean of the nearest values for every number, pixel by pixel and entry by entry."""
    data, features = regions.data.numpy(), guide.data.double().numpy()
    height, width = data.shape
    rows, columns = guide.grid
    found = {}
    for number in np.unique(data):
        vectors = []
        for y, x in zip(*np.where(data == number), strict=True):
            vector = features[:, y * rows // height, x * columns // width]
            vectors.append(vector / np.linalg.norm(vector))
        query = np.mean(vectors, 0)
        allowed = [place for place, image in enumerate(entries["images"]) if image != own]
        best = sorted(allowed, key=lambda place: -float(entries["keys"][place] @ query))[:count]
        found[int(number)] = np.mean([entries["values"][place] for place in best], 0)
    return found


def run(stage: Retrieve, image: Image, regions: Regions, guide: GuideFeatures) -> RegionFeatures:
    found: RegionFeatures = stage.run(image, regions, guide, TOY, TOY)
    return found


@pytest.mark.parametrize(("exclude", "own"), [("self", 1), ("nothing", -1)])
@pytest.mark.parametrize("entries_at_once", [1, 7, 1000])
def test_against_pixels_and_entries_one_by_one(
    exclude: Any, own: int, entries_at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieve, "ENTRIES", entries_at_once)
    entries = bank_in(tmp_path)
    image, regions, guide = Image.example(), Regions.example(), GuideFeatures.example()
    file = str(tmp_path / "bank.safetensors")
    found = run(Retrieve(file=file, neighbours=6, exclude=exclude), image, regions, guide)
    expected = by_hand(entries, regions, guide, 6, own)
    assert found.numbers.tolist() == list(expected)
    np.testing.assert_allclose(found.data, np.stack(list(expected.values())), atol=1e-5)


def test_a_bank_smaller_than_the_neighbours_gives_all_there_are(tmp_path: Path) -> None:
    entries = bank_in(tmp_path)
    others = [
        one for one, image in zip(entries["values"], entries["images"], strict=True) if image != 1
    ]
    stage = Retrieve(file=str(tmp_path / "bank.safetensors"), neighbours=500)
    found = run(stage, Image.example(), Regions.example(), GuideFeatures.example())
    for vector in found.data:
        np.testing.assert_allclose(vector, np.mean(others, 0), atol=1e-5)


def test_a_region_smaller_than_a_patch_finds_neighbours_too(tmp_path: Path) -> None:
    bank_in(tmp_path)
    regions = Regions(torch.ones_like(Regions.example().data))
    regions.data[3, 3] = 7
    stage = Retrieve(file=str(tmp_path / "bank.safetensors"))
    found = run(stage, Image.example(), regions, GuideFeatures.example())
    assert found.numbers.tolist() == [1, 7]
    assert found.data.isfinite().all()


def test_a_bank_of_other_weights_is_refused(tmp_path: Path) -> None:
    model = Clip(weights="embedded")
    slots = (Image.example(), Regions.example(), GuideFeatures.example())
    stage = Retrieve(file=str(tmp_path / "bank.safetensors"))
    for role in ("keys", "values"):
        bank_in(tmp_path, notes={"models": {role: {"digest": "0" * 64, "source": "someone's"}}})
        with pytest.raises(BadFile, match="built with other weights") as caught:
            stage.run(*slots, model, model)
        assert "someone's" in caught.value.there
    bank_in(tmp_path, notes={"models": {"keys": {"digest": model.digest}}})
    assert stage.run(*slots, model, model).data.isfinite().all()


def test_keys_that_were_made_otherwise_are_refused(tmp_path: Path) -> None:
    bank_in(tmp_path, width=9)
    stage = Retrieve(file=str(tmp_path / "bank.safetensors"))
    with pytest.raises(BadFile, match="have 9 numbers, and those here 8"):
        run(stage, Image.example(), Regions.example(), GuideFeatures.example())


def test_what_is_no_bank_is_refused_before_a_run(tmp_path: Path) -> None:
    words = make_vocabulary(["dog"])
    with pytest.raises(BadFile, match="names no file"):
        Retrieve().check_inputs(words, [])
    with pytest.raises(BadFile, match="cannot be read"):
        Retrieve(file=str(tmp_path / "none.safetensors")).check_inputs(words, [])


def test_a_bank_of_nothing_but_the_image_itself_is_refused(tmp_path: Path) -> None:
    with RegionBankWriter(tmp_path / "bank.safetensors") as writer:
        writer.add(digest_image(Image.example()), torch.rand(3, 8), torch.rand(3, 5))
        writer.finish({"of": "regions"})
    stage = Retrieve(file=str(tmp_path / "bank.safetensors"))
    slots = (Image.example(), Regions.example(), GuideFeatures.example())
    with pytest.raises(BadFile, match="only regions of the image itself"):
        run(stage, *slots)
    again = stage.model_copy(update={"exclude": "nothing"})
    assert run(again, *slots).data.isfinite().all()
