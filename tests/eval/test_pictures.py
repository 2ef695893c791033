"""The worst and the best images are drawn, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest
import torch

from ovsskit.datasets.dataset import Facts
from ovsskit.engine.values import Image
from ovsskit.eval.folder import EvalFolder
from ovsskit.eval.pictures import KEPT, Pictures, draw_comparison
from ovsskit.run.output.record import Costs

FACTS = Facts("two", "Two", ("background", "dog"), ((0, 0, 0), (250, 10, 10)), background=0)
TRUTH = numpy.zeros((30, 40), int)


@pytest.fixture
def folder(tmp_path: Path) -> EvalFolder:
    opened = EvalFolder(tmp_path / "out", {})
    opened.save(Costs(), {})
    return opened


def drawn(folder: EvalFolder) -> set[int]:
    return {int(path.stem) for path in (folder.path / "pictures").iterdir()}


def offer(pictures: Pictures, scores: list[float]) -> None:
    image = Image(torch.rand(3, 30, 40), "x")
    for index, score in enumerate(scores):
        pictures.offer(score, index, image, TRUTH, TRUTH)


def test_the_worst_and_the_best_are_kept(folder: EvalFolder) -> None:
    scores = [((7 * index) % 50) / 50 for index in range(50)]
    offer(Pictures(folder, FACTS), scores)
    order = sorted(range(50), key=scores.__getitem__)
    assert drawn(folder) == {*order[:KEPT], *order[-KEPT:]}
    folder.close()


def test_images_that_are_equally_good_are_not_drawn_again_and_again(
    folder: EvalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    plain = folder.write
    monkeypatch.setattr(
        folder, "write", lambda name, write: (written.append(name), plain(name, write))
    )
    offer(Pictures(folder, FACTS), [1.0] * 100)
    assert len(written) == KEPT
    assert drawn(folder) == {*range(KEPT)}
    folder.close()


def test_pictures_of_an_earlier_session_count(folder: EvalFolder) -> None:
    first = Pictures(folder, FACTS)
    offer(first, [0.1] * KEPT)
    later = Pictures(folder, FACTS)
    for index in range(KEPT):
        later.remember(0.1, index)
    later.offer(0.9, 99, Image(torch.rand(3, 30, 40), "x"), TRUTH, TRUTH)
    assert drawn(folder) == {*range(KEPT), 99}
    folder.close()


def test_wrong_pixels_are_red_and_what_is_not_known_is_blue(folder: EvalFolder) -> None:
    truth, found = TRUTH.copy(), TRUTH.copy()
    truth[:, 20:30], found[:10] = -1, 1
    pictures = Pictures(folder, FACTS)
    image = Image(torch.full((3, 30, 40), 0.5), "x")
    sheet = draw_comparison(image, truth, found, pictures.vocabulary, FACTS.background)
    assert isinstance(sheet, PIL.Image.Image)
    errors = numpy.asarray(sheet.convert("RGB")).astype(int)[:, 3 * 330 : 3 * 330 + 320]
    wrong, unknown, right = errors[40, 80], errors[160, 200], errors[160, 80]
    assert wrong[0] > max(wrong[1:]) + 80
    assert unknown[2] > unknown[0] + 40
    assert right.max() - right.min() < 10
    folder.close()
