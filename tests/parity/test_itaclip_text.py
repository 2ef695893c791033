"""Text features and their mixing against a recording of ITACLIP's released code; every number comes
from the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from floor import Twice, check
from itaclip_set import Recording
from sets import Facts, choose, find

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import TextFeatures as Features
from ovsskit.engine.values import Vocabulary
from ovsskit.recipe.vocabulary import VocabularyTable
from ovsskit.stages.text.encode_text import EncodeText
from ovsskit.stages.text.expand_text import ExpandText, mix
from ovsskit.texts.templates import ensemble, sentences


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choices = {
        "mixing": lambda facts: cases(facts, "query_idx"),
        "whole": lambda facts: cases(facts, "name_file_lines"),
    }
    choose(metafunc, "itaclip", choices)


def cases(facts: Facts, key: str) -> list[str]:
    texts = facts["cases"]["text"]
    return [name for name, one in texts.items() if isinstance(one, dict) and key in one]


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(find(parity_dir, "itaclip"))


@pytest.fixture(scope="module")
def make(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Clip]:
    scratch = tmp_path_factory.mktemp("model")
    return lambda: recording.backbone(scratch)


def words_of(case: dict[str, Any], folder: Path) -> Vocabulary:
    (folder / "names.txt").write_text("\n".join(case["name_file_lines"]), encoding="utf-8")
    vocabulary = VocabularyTable(
        file=str(folder / "names.txt"), first_is_background=case["background"]
    ).make()
    return vocabulary


def shift(labels: list[int], case: dict[str, Any]) -> tuple[int, ...]:
    """Return our labels for classes counted from 0: without a background, classes still count from
    1.
    """
    return tuple(label + (not case["background"]) for label in labels)


def test_prompt_ensemble(recording: Recording) -> None:
    tensors = recording.tensors("text")
    vectors = tensors["ensemble.prompt_embeddings"]
    assert vectors.shape[1] == len(sentences("imagenet_80"))
    check(
        Twice.of(lambda: ensemble(vectors.to(torch.get_default_dtype()))),
        tensors["ensemble.features"],
    )


def test_mixing(recording: Recording, mixing: str) -> None:
    case, tensors = recording.facts["cases"]["text"][mixing], recording.tensors("text")
    assert tensors[f"{mixing}.query_idx"].tolist() == case["query_idx"]

    def mixed() -> torch.Tensor:
        original, aux = (
            tensors[f"{mixing}.{name}"].to(torch.get_default_dtype())
            for name in ("original", "aux")
        )
        labels = tuple(range(1, len(aux) + 1))
        return mix(original, shift(case["query_idx"], case), aux, labels, case["alpha"])

    check(Twice.of(mixed), tensors[f"{mixing}.query_features"])


def test_whole_path(
    recording: Recording, make: Callable[[], Clip], whole: str, tmp_path: Path
) -> None:
    case, tensors = recording.facts["cases"]["text"][whole], recording.tensors("text")
    vocabulary = words_of(case, tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(case["definition_file_lines"]), encoding="utf-8")
    expand = ExpandText(file=str(tmp_path / "texts.txt"), weight=case["alpha"])

    def features() -> Features:
        backbone = make()
        return expand.run(EncodeText().run(vocabulary, backbone), vocabulary, backbone)

    found = Twice.of(features)
    assert found.single.labels == shift(tensors[f"{whole}.query_idx"].tolist(), case)
    check(found.map(lambda one: one.data), tensors[f"{whole}.query_features"])


def test_tokens(recording: Recording, make: Callable[[], Clip], whole: str, tmp_path: Path) -> None:
    case, tensors = recording.facts["cases"]["text"][whole], recording.tensors("text")
    words = [word for _, word in words_of(case, tmp_path).queries]
    words += [line.split(">=")[1].strip() for line in case["definition_file_lines"]]
    chosen = sentences("imagenet_80")[:: case["token_template_step"]]
    stored = case["token_columns_stored"]
    backbone = make()
    rows = [backbone.reader.read_all([one.replace("{}", word) for one in chosen]) for word in words]
    padded = [[[*row, *[0] * (stored - len(row))] for row in of_word] for of_word in rows]
    assert torch.equal(torch.tensor(padded, dtype=torch.int32), tensors[f"{whole}.tokens"])
