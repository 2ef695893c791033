"""The folder that `ovsskit distil` writes, and that recipes then name as their weights.

recipe.toml         the recipe that runs the student, with its classes
model.safetensors   the student's weights, with the classes and the teacher in the file itself
config.json         its shape and its classes; of a SegFormer as transformers reads them
distil.json         who taught it, on what, how, at what cost; the loss of every step; the scores
teacher/            the teacher's run over the images
state.safetensors   while teaching goes on: what it needs to go on after it was stopped
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from ovsskit.backbones._inferred import CONFIG
from ovsskit.distil.students import Student
from ovsskit.engine.stage import use_of
from ovsskit.engine.values import Vocabulary
from ovsskit.files.own.kinds import DISTIL
from ovsskit.recipe.vocabulary import describe_words
from ovsskit.run.output.training import MODEL, STATE, TrainingFolder

RECIPE, TEACHER = "recipe.toml", "teacher"
STAGES = (
    {"use": "segment_classes"},
    {"use": "upsample", "align": "edges"},
    {"use": "softmax"},
    {"use": "label_map"},
)
"""What a student's recipe does."""

log = logging.getLogger(__name__)


class StudentFolder(TrainingFolder):
    """Hold a folder that is locked for one student, or raise BadOutput."""

    def __init__(self, path: Path, identity: dict[str, Any], recipe: dict[str, Any]) -> None:
        super().__init__(path, DISTIL, identity, recipe)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the background and the classes, in the order of the student's maps."""
        return tuple(self.identity["classes"])

    def begin(self) -> None:
        """Hold what a new folder holds."""
        super().begin()
        self.data = ""

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says."""
        super().restore(plain)
        self.data = str(plain.get("data", ""))

    def claim(self) -> None:
        """Write the record into a new folder, before anything else is put there.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        if not self.is_claimed:
            self.note()

    def is_done_on(self, data: str, *, verify: bool = False) -> bool:
        """Tell whether the student is there whole, and was taught on these data."""
        if self.files and self.data != data:
            log.warning("the images or labels have changed: the student is taught again")
            return False
        return self.is_done(verify=verify)

    def describe(self) -> dict[str, Any]:
        """Return what belongs into the record beside what every training has."""
        return {"data": self.data}

    def finish(
        self, student: Student, state: Mapping[str, Any], vocabulary: Vocabulary, data: str
    ) -> None:
        """Save the student that was taught on these data, and drop what was kept to go on.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        config = {
            **student.backbone.transformers,
            **student.shape.shape,
            "image_size": student.shape.image_size,
            "id2label": dict(enumerate(self.classes)),
            "label2id": {name: number for number, name in enumerate(self.classes)},
        }
        self.data = data
        self.files = {
            RECIPE: self.write_text(RECIPE, self._recipe(student, vocabulary), flush=True),
            CONFIG: self.write_text(CONFIG, json.dumps(config, indent=1), flush=True),
            MODEL: self.save_tensors(MODEL, state),
        }
        self.note()
        self.delete(STATE)

    def _recipe(self, student: Student, vocabulary: Vocabulary) -> str:
        """Return the recipe that runs the student."""
        teacher = self.recipe["name"]
        return tomlkit.dumps(
            {
                "name": f"student-of-{teacher}",
                "about": f"A small network that was taught what the recipe {teacher} finds",
                "backbone": {"use": use_of(student.backbone), "weights": str(self.path.resolve())},
                "vocabulary": describe_words(vocabulary),
                "stage": STAGES,
            }
        )
