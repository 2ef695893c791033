"""The folder that tuning writes, and that recipes then name as their weights.

model.safetensors   the tuned weights, with the classes and the recipe in the file itself
dict.txt            the dictionary, where it is not the published one
fit.json            what was tuned, from what, how, at what cost; the loss of every step
state.safetensors   while tuning goes on: what it needs to go on after it was stopped
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ovsskit._lazy import torch
from ovsskit._version import __version__
from ovsskit.files.own import FIT, Files, Written, read_files
from ovsskit.fit.tuning import Tuner
from ovsskit.run.output.recorded import RecordedFolder, versions

MODEL, STATE = "model.safetensors", "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Say how far tuning has come: the loss of every step, seconds, and peak memory in bytes."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory: int | None = None
    peak_device_memory: int | None = None


_READ_PROGRESS = TypeAdapter(Progress).validate_python


class TunedFolder(RecordedFolder):
    """Hold a folder that is locked for one tuning, or raise BadOutput."""

    def __init__(self, path: Path, identity: dict[str, Any], recipe: dict[str, Any]) -> None:
        super().__init__(path, FIT, identity)
        self.recipe = recipe

    def begin(self) -> None:
        """Hold what a new folder holds."""
        self.progress = Progress()
        self.files: Files = {}

    def restore(self, plain: dict[str, Any]) -> None:
        """Hold what a record says."""
        self.progress = _READ_PROGRESS(plain["progress"])
        self.files = read_files(plain.get("files", {}))

    @property
    def holds_work(self) -> bool:
        """Tell whether tuned weights, or what is needed to go on, were saved."""
        return bool(self.files) or (self.path / STATE).exists()

    def is_done(self, *, verify: bool = False) -> bool:
        """Tell whether the tuned weights are there in size, and with `verify` in content."""
        whole = [self.holds(name, one, verify=verify) for name, one in self.files.items()]
        if not all(whole):
            log.warning("the tuned weights are missing or changed: they are tuned again")
        return bool(whole) and all(whole)

    def resume(self, tuner: Tuner) -> int:
        """Give a tuner back what it had when its state was saved, and return its next step.

        A state that cannot be read is passed over, and said: then tuning begins at the first step.
        """
        self.begin()
        file = self.path / STATE
        if not file.is_file():
            return 0
        try:
            with safe_open(file, "pt") as opened:
                notes = opened.metadata()
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            progress = _READ_PROGRESS(json.loads(notes["progress"]))
            tuned = tuner.tuned()
            moments = {
                name: {key: tensors[f"{key} of {name}"] for key in MOMENTS} for name in tuned
            }
            if any(
                one.shape != parameter.shape
                for name, parameter in tuned.items()
                for one in (tensors[name], *moments[name].values())
            ):
                raise ValueError("it is of another shape")
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s): tuning begins again", file, error)
            return 0
        step = len(progress.losses)
        for name, parameter in tuned.items():
            parameter.data.copy_(tensors[name])
            there = {key: one.to(parameter.device) for key, one in moments[name].items()}
            tuner.optimiser.state[parameter] = {"step": torch.tensor(float(step)), **there}
        self.progress = progress
        return step

    def save_state(self, tuner: Tuner) -> None:
        """Save what tuning needs to go on.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        tensors = {}
        for name, parameter in tuner.tuned().items():
            tensors[name] = parameter.detach()
            tensors |= {
                f"{key} of {name}": tuner.optimiser.state[parameter][key] for key in MOMENTS
            }
        self._save(STATE, tensors)

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
        files[MODEL] = self._save(MODEL, tensors)
        self.files = files
        self.note()
        self.delete(STATE)

    def note(self) -> None:
        """Write `fit.json`.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self.write_record(
            identity=self.identity,
            recipe=self.recipe,
            progress=asdict(self.progress),
            versions=versions(),
            files=self.files,
        )

    def _save(self, name: str, tensors: dict[str, Any]) -> Written:
        notes = {
            "format": "pt",
            "ovsskit": __version__,
            "classes": json.dumps(self.identity["classes"]),
            "recipe": json.dumps(self.recipe),
            "progress": json.dumps(asdict(self.progress)),
        }
        whole = save({key: one.contiguous().cpu() for key, one in tensors.items()}, notes)
        return self.write(name, lambda file: file.write(whole), flush=True)
