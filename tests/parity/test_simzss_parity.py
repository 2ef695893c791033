"""SimZSS against what its authors' own modules compute (`simzss/README.md`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from dino_txt_twin import draw
from floor import Twice, check
from recording import CaseFiles
from sets import Facts, choose, find
from simzss_twin import simzss_shapes

from ovsskit.backbones.simzss.simzss import Simzss
from ovsskit.engine.values import TextFeatures
from ovsskit.stages.maps.text_similarity import TextSimilarity

SET = "simzss"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    def having(what: str) -> Callable[[Facts], Sequence[str]]:
        return lambda facts: [name for name, case in facts["cases"].items() if what in case]

    choose(metafunc, SET, {"case": having("grid")})


@pytest.fixture(scope="module")
def recording(parity_dir: Path) -> CaseFiles:
    return CaseFiles(find(parity_dir, SET))


@pytest.fixture(scope="module")
def file(recording: CaseFiles, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Draw the weights that were recorded, and see that they are these."""
    drawn, facts = draw(simzss_shapes(), recording.facts["weights"]["seed"]), recording.facts
    total = sum(float(one.double().abs().sum()) for one in drawn.values())
    assert total == pytest.approx(facts["weights"]["sum"], rel=1e-9), "other numbers were drawn"
    found = tmp_path_factory.mktemp("simzss") / "simzss.pt"
    torch.save(drawn, found)
    return str(found)


@pytest.fixture(scope="module")
def simzss(file: str) -> Twice:
    """Return the model in single and in double precision."""

    def read() -> Simzss:
        backbone = Simzss(weights=file)
        backbone.prepare()
        return backbone

    return Twice.of(read)


def test_texts(recording: CaseFiles, simzss: Twice) -> None:
    words, reader = recording.facts["words"], simzss.single.reader
    padded = [row + [0] * (reader.limit - len(row)) for row in reader.read_all(words)]
    theirs = recording.tensors("texts")
    assert padded == theirs["ids"].tolist()
    check(simzss.map(lambda model: model.encode_text(words)), theirs["vectors"])


def test_patches_and_their_cosines(recording: CaseFiles, simzss: Twice, case: str) -> None:
    words, theirs = recording.facts["words"], recording.tensors(case)

    def compare(model: Simzss) -> torch.Tensor:
        [patches] = model.describe_patches([recording.image(case)])
        texts = torch.nn.functional.normalize(model.encode_text(words))
        labels = tuple(range(1, 1 + len(words)))
        return TextSimilarity().run(patches, TextFeatures(texts, labels)).data

    [patches] = simzss.single.describe_patches([recording.image(case)])
    assert list(patches.grid) == recording.facts["cases"][case]["grid"]
    found = simzss.map(lambda model: model.describe_patches([recording.image(case)])[0].vectors)
    check(found, theirs["patches"], "patches")
    check(simzss.map(compare), theirs["scores"], "scores")


def test_what_enters_the_denoiser(recording: CaseFiles, simzss: Twice, case: str) -> None:
    found = simzss.map(lambda model: model.hidden([recording.image(case)], [1])[0].entering(1))
    check(found, recording.tensors(case)["entering"])
