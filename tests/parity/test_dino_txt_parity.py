"""dino.txt against what its authors' own modules compute (`dino_txt/README.md`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from dino_txt_twin import dino_shapes, draw, head_shapes, text_shapes
from recording import CaseFiles, having
from sets import choose, find

from ovsskit.backbones.dino.dino_txt import DinoTxt
from ovsskit.engine.values import Attention, TextFeatures
from ovsskit.stages.maps.text_similarity import TextSimilarity

SET = "dino_txt"
SHAPES = {"dino": dino_shapes, "vision_head": head_shapes, "text_encoder": text_shapes}

Tensor = torch.Tensor


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    choose(metafunc, SET, {"case": having("grid")})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> CaseFiles:
    return CaseFiles(find(parity_dir, SET))


@pytest.fixture(scope="module")
def dino_txt(recording: CaseFiles, tmp_path_factory: pytest.TempPathFactory) -> DinoTxt:
    """Draw the weights that were recorded, and see that they are these."""
    folder = tmp_path_factory.mktemp("dino_txt")
    for name, facts in recording.facts["weights"].items():
        tensors = draw(SHAPES[name](), facts["seed"])
        total = sum(float(one.double().abs().sum()) for one in tensors.values())
        assert total == pytest.approx(facts["sum"], rel=1e-9), f"{name}: other numbers were drawn"
        torch.save(tensors, folder / f"{name}.pth")
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": 2}))
    files: dict[str, Any] = {name: str(folder / f"{name}.pth") for name in SHAPES}
    return DinoTxt(weights=files.pop("dino"), **files)


def test_texts(recording: CaseFiles, dino_txt: DinoTxt) -> None:
    words, reader = recording.facts["words"], dino_txt.reader
    padded = [row + [0] * (reader.limit - len(row)) for row in reader.read_all(words)]
    assert padded == recording.tensors("texts")["ids"].tolist()
    recording.check(dino_txt.encode_text(words), "texts", "vectors", slice(32, None))


def test_patches_and_their_cosines(recording: CaseFiles, dino_txt: DinoTxt, case: str) -> None:
    image, words = recording.image(case), recording.facts["words"]
    [patches] = dino_txt.describe_patches([image])
    assert list(patches.grid) == recording.facts["cases"][case]["grid"]
    recording.check(patches.vectors, case, "patches")
    recording.check(patches.vectors.mean(0), case, "image", slice(32, None))
    texts = torch.nn.functional.normalize(dino_txt.encode_text(words))
    scores = TextSimilarity().run(patches, TextFeatures(texts, tuple(range(1, 1 + len(words)))))
    recording.check(scores.data, case, "scores")


def test_the_heads_blocks(recording: CaseFiles, dino_txt: DinoTxt, case: str) -> None:
    last = dino_txt.block_count
    [hidden] = dino_txt.hidden([recording.image(case)], [1, last])
    recording.check(hidden.entering(1), case, "entering")
    queries, keys, _ = dino_txt.project(hidden, last)
    weights = (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(-1)[None]
    attention = Attention(weights, (last,), hidden.grid)
    tokens = dino_txt.finish_tokens(hidden, attention, residual=True, feed_forward=True)
    recording.check(tokens[0], case, "class_token")
