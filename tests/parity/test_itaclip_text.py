"""Text features and their mixing against a recording of ITACLIP's released code; every number comes from the recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from itaclip_set import Recording

from ovsskit.backbones.clip import Clip
from ovsskit.stages.text.expand_text import ExpandText, mix
from ovsskit.stages.text.text_features import TextFeatures
from ovsskit.texts.templates import ensemble, sentences
from ovsskit.values import Vocabulary
from ovsskit.vocabulary import VocabularyTable

FEATURES = {"atol": 1e-6, "rtol": 0}
"""The mixing alone: one product and sum."""
TOWER = {"atol": 2e-5, "rtol": 0}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    facts = Recording(metafunc.config.getoption("--parity-dir") / "itaclip").facts["cases"]["text"]
    for name, key in (("mixing", "query_idx"), ("whole", "name_file_lines")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(
                name, [one for one, case in facts.items() if isinstance(case, dict) and key in case]
            )


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "itaclip")


@pytest.fixture(scope="module")
def backbone(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return recording.backbone(tmp_path_factory.mktemp("model"))


def words_of(case: dict[str, Any], folder: Path) -> Vocabulary:
    (folder / "names.txt").write_text("\n".join(case["name_file_lines"]), encoding="utf-8")
    vocabulary = VocabularyTable(
        file=str(folder / "names.txt"), first_is_background=case["background"]
    ).make()
    assert vocabulary is not None
    return vocabulary


def shift(labels: list[int], case: dict[str, Any]) -> tuple[int, ...]:
    """Return our labels for classes counted from 0: without a background, classes still count from 1."""
    return tuple(label + (not case["background"]) for label in labels)


def test_prompt_ensemble(recording: Recording) -> None:
    tensors = recording.tensors("text")
    vectors = tensors["ensemble.prompt_embeddings"]
    assert vectors.shape[1] == len(sentences("imagenet_80"))
    torch.testing.assert_close(ensemble(vectors), tensors["ensemble.features"], **FEATURES)


def test_mixing(recording: Recording, mixing: str) -> None:
    case, tensors = recording.facts["cases"]["text"][mixing], recording.tensors("text")
    assert tensors[f"{mixing}.query_idx"].tolist() == case["query_idx"]
    aux = tensors[f"{mixing}.aux"]
    found = mix(
        tensors[f"{mixing}.original"],
        shift(case["query_idx"], case),
        aux,
        tuple(range(1, len(aux) + 1)),
        case["alpha"],
    )
    torch.testing.assert_close(found, tensors[f"{mixing}.query_features"], **FEATURES)


def test_whole_path(recording: Recording, backbone: Clip, whole: str, tmp_path: Path) -> None:
    case, tensors = recording.facts["cases"]["text"][whole], recording.tensors("text")
    vocabulary = words_of(case, tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(case["definition_file_lines"]), encoding="utf-8")
    names = TextFeatures().run(vocabulary, backbone)
    found = ExpandText(file=str(tmp_path / "texts.txt"), weight=case["alpha"]).run(
        names, vocabulary, backbone
    )
    assert found.labels == shift(tensors[f"{whole}.query_idx"].tolist(), case)
    torch.testing.assert_close(found.data, tensors[f"{whole}.query_features"], **TOWER)


def test_tokens(recording: Recording, backbone: Clip, whole: str, tmp_path: Path) -> None:
    case, tensors = recording.facts["cases"]["text"][whole], recording.tensors("text")
    words = [word for _, word in words_of(case, tmp_path).queries]
    words += [line.split(">=")[1].strip() for line in case["definition_file_lines"]]
    chosen = sentences("imagenet_80")[:: case["token_template_step"]]
    stored = case["token_columns_stored"]
    rows = [backbone.reader.read_all([one.replace("{}", word) for one in chosen]) for word in words]
    padded = [[[*row, *[0] * (stored - len(row))] for row in of_word] for of_word in rows]
    assert torch.equal(torch.tensor(padded, dtype=torch.int32), tensors[f"{whole}.tokens"])
