"""A student as ONNX says what it says as a recipe, at any size."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from segformer_twin import write_segformer
from vit_twin import write_vit

from ovsskit.backbones._segmenter import DEVIATION, MEAN
from ovsskit.distil.onnx_file import _student_of, write_onnx
from ovsskit.errors import BadFile, BadOutput

CLASSES = ("background", "dog", "sky")


@pytest.mark.parametrize("write", [write_segformer, write_vit])
def test_onnx_gives_the_logits_of_the_network_at_any_size(
    tmp_path: Path, write: Callable[[Path, Sequence[str]], Any]
) -> None:
    folder = tmp_path / "student"
    network = write(folder, CLASSES)
    backbone = _student_of(folder)
    (folder / "distil.json").write_text('{"ovsskit": "1"}')
    file = write_onnx(folder, tmp_path / "out")
    notes = json.loads((tmp_path / "out" / "student.json").read_text())
    assert notes == {
        "classes": list(CLASSES),
        "shorter_side": 512,
        "mean": list(MEAN),
        "deviation": list(DEVIATION),
    }
    session = onnxruntime.InferenceSession(file)
    for shape in ((1, 3, 64, 96), (2, 3, 100, 72), (1, 3, 33, 47)):
        pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = backbone.logits(network, pixels).numpy()
        [found] = session.run(None, {"pixels": pixels.numpy()})
        np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-3)
    with pytest.raises(BadOutput, match="`student.onnx` already exists"):
        write_onnx(folder, tmp_path / "out")


def test_a_folder_without_a_student_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="holds no student"):
        write_onnx(tmp_path, tmp_path / "out")
