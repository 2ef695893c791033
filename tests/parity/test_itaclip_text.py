"""Text features and their mixing against a recording of ITACLIP's released code; every number comes from the recording."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from itaclip_set import Recording

from ovsskit.backbones.base import Backbone, EncodesText
from ovsskit.lazy import open_clip
from ovsskit.stages.text.expand_text import ExpandText, mix
from ovsskit.stages.text.text_features import TextFeatures
from ovsskit.texts.templates import ensemble, sentences
from ovsskit.values import TextFeatures as Features
from ovsskit.values import Vocabulary
from ovsskit.vocabulary import VocabularyTable

FEATURES = {"atol": 1e-6, "rtol": 0}
"""The mixing alone: one product and sum."""
TOWER = {"atol": 2e-5, "rtol": 0}


class SmallTower(Backbone, EncodesText):
    """Encode texts with open_clip's text tower and the recorded weights."""

    @cached_property
    def network(self) -> Any:
        recording = Recording(Path(self.weights))
        size = recording.facts["cases"]["text"]["tower"]
        tower = open_clip.transformer.TextTransformer(
            context_length=size["context_length"],
            vocab_size=size["vocab_size"],
            width=size["width"],
            heads=size["heads"],
            layers=size["layers"],
            output_dim=size["embed_dim"],
            act_layer=open_clip.transformer.QuickGELU,
        )
        stored = {key: value for key, value in recording.tensors("text").items() if key.startswith("weights.")}
        state = {key.removeprefix("weights."): value.float() for key, value in stored.items()}
        rows = torch.zeros(size["vocab_size"], size["width"])
        rows[stored["weights.token_ids"]] = state.pop("token_embedding_rows")
        del state["token_ids"]
        tower.load_state_dict({**state, "token_embedding.weight": rows})
        return tower.eval().requires_grad_(False)

    def load(self) -> Any:
        return self.network

    def encode_text(self, texts: Any) -> Any:
        return self.network(open_clip.tokenize(list(texts)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    facts = Recording(metafunc.config.getoption("--parity-dir") / "itaclip").facts["cases"]["text"]
    for name, key in (("mixing", "query_idx"), ("whole", "name_file_lines")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [one for one, case in facts.items() if isinstance(case, dict) and key in case])


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> Recording:
    return Recording(parity_dir / "itaclip")


@pytest.fixture(scope="module")
def tower(recording: Recording) -> SmallTower:
    return SmallTower(weights=str(recording.folder))


def words_of(case: dict[str, Any], folder: Path) -> Vocabulary:
    (folder / "names.txt").write_text("\n".join(case["name_file_lines"]), encoding="utf-8")
    vocabulary = VocabularyTable(file=str(folder / "names.txt"), first_is_background=case["background"]).make()
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
        tensors[f"{mixing}.original"], shift(case["query_idx"], case), aux, tuple(range(1, len(aux) + 1)), case["alpha"]
    )
    torch.testing.assert_close(found, tensors[f"{mixing}.query_features"], **FEATURES)


def test_whole_path(recording: Recording, tower: SmallTower, whole: str, tmp_path: Path) -> None:
    case, tensors = recording.facts["cases"]["text"][whole], recording.tensors("text")
    vocabulary = words_of(case, tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(case["definition_file_lines"]), encoding="utf-8")
    names = TextFeatures().run(vocabulary, tower)
    found = ExpandText(file=str(tmp_path / "texts.txt"), weight=case["alpha"]).run(names, vocabulary, tower)
    assert found.labels == shift(tensors[f"{whole}.query_idx"].tolist(), case)
    torch.testing.assert_close(found.data, tensors[f"{whole}.query_features"], **TOWER)


def test_tokens(recording: Recording, whole: str, tmp_path: Path) -> None:
    case, tensors = recording.facts["cases"]["text"][whole], recording.tensors("text")
    words = [word for _, word in words_of(case, tmp_path).queries]
    words += [line.split(">=")[1].strip() for line in case["definition_file_lines"]]
    chosen = sentences("imagenet_80")[:: case["token_template_step"]]
    tokens = torch.stack([open_clip.tokenize([one.replace("{}", word) for one in chosen]) for word in words]).int()
    stored = case["token_columns_stored"]
    torch.testing.assert_close(tokens[..., :stored], tensors[f"{whole}.tokens"], atol=0, rtol=0)
    assert not tokens[..., stored:].any()


def test_features_are_those_of_the_recorded_classes(recording: Recording) -> None:
    stored = recording.tensors("forward_feature")["text_voc"]
    assert Features(stored, tuple(recording.tensors("forward_feature")["query_idx_voc"].tolist())).data.shape == stored.shape
    torch.testing.assert_close(stored.norm(dim=-1), torch.ones(len(stored)), **FEATURES)
