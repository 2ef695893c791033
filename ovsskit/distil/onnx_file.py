"""Write a student as ONNX, for programs without torch."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import stored_names
from ovsskit.backbones._segmenter import DEVIATION, LEAST, MEAN, Segmenter
from ovsskit.backbones.deeplab.deeplab import Deeplab
from ovsskit.backbones.segformer.segformer import Segformer
from ovsskit.backbones.vit.vit_linear import VitLinear
from ovsskit.errors import BadFile, BadOutput, MissingExtra, Place
from ovsskit.files.own.kinds import DISTIL, is_record
from ovsskit.files.writing import make_folder, write_text, write_whole

STUDENT, NOTES = "student.onnx", "student.json"
OPSET = 18


def write_onnx(folder: Path, out: Path) -> Path:
    """Write `student.onnx` and `student.json` into a folder, and return the path of the first.

    The network takes normalised images, `image 3 height width`, of any size, and gives logits,
    `image class rows cols`. The notes say the classes, the size of images that it was taught
    on, and what is subtracted and divided by.

    Raises:
        BadFile: there is no student in the folder.
        BadOutput: there is a `student.onnx` already.
        MissingExtra: the packages of ONNX are not installed.
        MissingWeights, BadWeights: the student's files are missing or broken.
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    if not is_record(folder / DISTIL):
        what = "The folder holds no student."
        fix = "Name the folder that `ovsskit distil --out` wrote."
        raise BadFile(what, fix=fix, where=Place(str(folder)))
    if (out / STUDENT).exists():
        what = f"`{STUDENT}` already exists."
        fix = "Remove it, or name another folder with --out."
        raise BadOutput(what, fix=fix, where=Place(str(out)))
    backbone = _student_of(folder)
    model = _to_onnx(backbone)
    notes = {
        "classes": backbone.class_names,
        "shorter_side": backbone.configuration.image_size,
        "mean": MEAN,
        "deviation": DEVIATION,
    }
    make_folder(out)
    write_whole(out / STUDENT, lambda file: file.write(model))
    write_text(out / NOTES, json.dumps(notes, indent=1))
    return out / STUDENT


class _Logits(torch.nn.Module):
    """Give the logits alone."""

    def __init__(self, backbone: Segmenter) -> None:
        super().__init__()
        self.network, self.logits = backbone.network, backbone.logits

    def forward(self, pixels: Float[torch.Tensor, "image 3 h w"]) -> Any:
        return self.logits(self.network, pixels)


def _student_of(folder: Path) -> Segmenter:
    """Return the student of a folder, by what its tensors are called."""
    names = stored_names(folder)
    kinds = (Segformer, Deeplab, VitLinear)
    kind = next((one for one in kinds if one.recognise(names)), Segformer)
    return kind(weights=str(folder))


def _to_onnx(backbone: Segmenter) -> bytes:
    try:
        import onnxscript  # noqa: F401 - torch asks for it deep inside
    except ImportError as error:
        what = "ONNX needs a package that is not installed: onnxscript."
        raise MissingExtra(what, fix='pip install "ovsskit[onnx]"') from error
    side = {name: torch.export.Dim(name, min=LEAST, max=8192) for name in ("height", "width")}
    shapes = {"pixels": {0: torch.export.Dim("image"), 2: side["height"], 3: side["width"]}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and onnxscript about each other
        program = torch.onnx.export(
            _Logits(backbone).eval(),
            (torch.zeros(2, 3, 2 * LEAST, 3 * LEAST),),
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            verbose=False,
            dynamo=True,
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content
