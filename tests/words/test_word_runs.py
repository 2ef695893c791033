from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ovsskit.engine.images import read_image
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.samples import sample_images
from ovsskit.stages.network.encode_hidden import EncodeHidden
from ovsskit.words.candidates import Candidates
from ovsskit.words.looking import NONE, look
from ovsskit.words.runs import Runs
from ovsskit.words.variants import make_variants

IMAGES = sample_images()[:1]
CANDIDATES = Candidates(({"dog": "a"}, {}, {}), ("water", "tree"))


def runs_of(recipe: str) -> tuple[Runs, list[None]]:
    words = make_vocabulary(["cat", "mushroom", "bird"], background_words=["sky", "grass"])
    plan = replace(load_recipe(recipe).plan, vocabulary=words)
    told: list[None] = []
    variants = make_variants(plan, CANDIDATES, IMAGES)
    return Runs(variants, "cpu", 4, lambda: told.append(None)), told


@pytest.mark.parametrize("recipe", ["clearclip_tiny", "quickstart"])
def test_every_variant_is_seen_as_it_is_alone(recipe: str) -> None:
    runs, told = runs_of(recipe)
    image = read_image(IMAGES[0])
    seen, variants = runs.see(image), runs.variants
    assert len(told) == len(variants.plans)
    alone = {id(plan): look(Pipeline(plan, device="cpu"), image) for plan in variants.plans}
    assert torch.equal(seen.plain.labels, alone[id(variants.plain)].labels)
    for one, plan in zip(seen.replaced, variants.replaced, strict=True):
        assert torch.equal(one.labels, alone[id(plan)].labels)
    assert seen.distracted is not None
    assert variants.distracted is not None
    words, other = seen.distracted.words, alone[id(variants.distracted)]
    assert words is not None
    assert (seen.together is None) == (recipe == "quickstart")
    for place, word in enumerate(CANDIDATES.distractors):
        if recipe == "quickstart":
            expected = other.labels == variants.distracted.vocabulary.labels.index(word)
        else:
            assert other.words is not None
            expected = other.words == variants.distracted.vocabulary.queries.index((0, word))
        assert torch.equal(words == place, expected)
    assert int(words.max()) < len(CANDIDATES.distractors)
    assert int(words.min()) == NONE


def test_networks_run_once_for_an_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[int] = []
    run = EncodeHidden.run_batch

    def count(self: EncodeHidden, image: Any, **others: Any) -> Any:
        calls.append(len(image))
        return run(self, image, **others)

    runs, _ = runs_of("clearclip_tiny")
    image = read_image(IMAGES[0])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(EncodeHidden, "run_batch", count)
    look(Pipeline(runs.variants.plain, device="cpu"), image)
    once = sum(calls)
    calls.clear()
    runs.see(image)
    assert sum(calls) == once
    assert not [*tmp_path.iterdir()]
