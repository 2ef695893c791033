"""The folder that tuning writes, and that recipes then name as their weights.

model.safetensors   the tuned weights, with the classes and the recipe in the file itself
dict.txt            the dictionary, where it is not the published one
fit.json            what was tuned, from what, how, at what cost; the loss of every step
state.safetensors   while tuning goes on: what it needs to go on after it was stopped
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovsskit.files.own.kinds import FIT
from ovsskit.fit.tuning import Tuner
from ovsskit.run.output.training import MODEL, STATE, TrainingFolder


class TunedFolder(TrainingFolder):
    """Hold a folder that is locked for one tuning, or raise BadOutput."""

    def __init__(self, path: Path, identity: dict[str, Any], recipe: dict[str, Any]) -> None:
        super().__init__(path, FIT, identity, recipe)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes that the weights are tuned for."""
        return tuple(self.identity["classes"])

    def finish(self, tuner: Tuner, dictionary: Path) -> None:
        """Save the tuned weights, and drop what was kept to go on.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        files = {}
        if dictionary.is_file():
            text = dictionary.read_text(encoding="utf-8")
            files[dictionary.name] = self.write_text(dictionary.name, text, flush=True)
        tensors = {
            key: one
            for key, one in tuner.network.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        tensors["encoder.seg_embed_tokens.weight"] = tuner.words
        files[MODEL] = self.save_tensors(MODEL, tensors)
        self.files = files
        self.note()
        self.delete(STATE)
