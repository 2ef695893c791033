from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from ovsskit.engine.identity import differences, identify
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.engine.plan import Plan
from ovsskit.engine.stage import PathOfRecipe, S, Stage, Wrapper, Wraps
from ovsskit.engine.values import Image, V
from ovsskit.files.digests import digest_path
from ovsskit.recipe.vocabulary import make_vocabulary

DOG = make_vocabulary(["dog"])


class ReadFile(Stage, writes="scores"):
    """Stand for a stage that reads a file."""

    file: PathOfRecipe = ""
    at: Annotated[float, Field(description="some number")] = 0.5

    def run(self, scores: S) -> S:
        return scores


class Around(Wrapper, writes="scores"):
    """Stand for a wrapper."""

    def run(self, image: Image) -> Wraps[V]:
        [out] = yield [{}]
        value: V = out["scores"]
        return value


class Model(PretrainedBackbone):
    """Stand for a model."""

    def load(self) -> Any:
        return torch.nn.Identity()


def test_inner_parameters_and_files_count(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    first = identify(Plan((Around(inner=(ReadFile(file=str(tmp_path / "a.txt")),)),), (), {}, DOG))
    (tmp_path / "a.txt").write_text("two")
    second = identify(
        Plan((Around(inner=(ReadFile(file=str(tmp_path / "a.txt"), at=0.25),)),), (), {}, DOG)
    )
    assert [line.split(":")[0] for line in differences(first, second)] == [
        "read_file.at",
        "read_file.file (content)",
    ]
    assert not differences(first, first)


def test_synonyms_and_words_of_the_background_count() -> None:
    words = make_vocabulary(["dog, hound"], background_words=["sky"])
    changed = differences(identify(Plan((), (), {}, DOG)), identify(Plan((), (), {}, words)))
    assert [line.split(":")[0] for line in changed] == [
        "classes.synonyms",
        "classes.background_words",
    ]


def test_added_and_removed_stages_are_named() -> None:
    old, new = (
        identify(Plan(tuple(stages), (), {}, DOG))
        for stages in ([ReadFile()], [ReadFile(), ReadFile(name="again")])
    )
    assert 'stages of the recipe: ["read_file"] there, ["read_file", "again"] now' in differences(
        old, new
    )


def test_other_weights_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    first = identify(Plan((), (), {"backbone": Model(weights=str(tmp_path))}, DOG))
    weights.write_bytes(b"two")
    [line] = differences(
        first, identify(Plan((), (), {"backbone": Model(weights=str(tmp_path))}, DOG))
    )
    assert line.startswith("backbone.digest: ")


def test_the_name_of_a_file_is_not_taken_for_its_content(tmp_path: Path) -> None:
    stored = tmp_path / "blobs" / ("0" * 64)
    stored.parent.mkdir()
    stored.write_bytes(b"weights")
    (tmp_path / "model.safetensors").symlink_to(stored)
    digest = hashlib.sha256(b"weights").hexdigest()
    assert digest_path(tmp_path / "model.safetensors") == digest
