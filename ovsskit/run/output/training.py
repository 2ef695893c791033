"""A folder that a training writes: its record, the weights, and what it needs to go on."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ovsskit._lazy import torch
from ovsskit._version import __version__
from ovsskit.files.own.written import Files, Written, read_files
from ovsskit.run.output.recorded import RecordedFolder, versions

MODEL, STATE = "model.safetensors", "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")
"""What Adam and SGD keep of every parameter."""

log = logging.getLogger(__name__)


@runtime_checkable
class Training(Protocol):
    """Say what of a training is saved to go on from: parameters, moments, and buffers."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """Return what keeps moments of every tuned parameter: AdamW or SGD."""

    def tuned(self) -> Mapping[str, torch.nn.Parameter]:
        """Return the parameters that are tuned, by name."""

    def buffers(self) -> Mapping[str, torch.Tensor]:
        """Return what changes beside parameters, by name."""


@dataclass
class Progress:
    """Say how far a training has come: the loss of every step, seconds, and peak memory in bytes.

    `scores` are what the trained network was found to be worth.
    """

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory: int | None = None
    peak_device_memory: int | None = None
    scores: dict[str, float] = field(default_factory=dict)


_READ_PROGRESS = TypeAdapter(Progress).validate_python


class TrainingFolder(RecordedFolder):
    """Hold a folder that is locked for one training, or raise BadOutput."""

    def __init__(
        self, path: Path, record: str, identity: dict[str, Any], recipe: dict[str, Any]
    ) -> None:
        super().__init__(path, record, identity)
        self.recipe = recipe

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Return the classes of the weights, which stand in their file."""

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
        """Tell whether trained weights, or what is needed to go on, were saved."""
        return bool(self.files) or (self.path / STATE).exists()

    def is_done(self, *, verify: bool = False) -> bool:
        """Tell whether the trained weights are there in size, and with `verify` in content."""
        whole = [self.holds(name, one, verify=verify) for name, one in self.files.items()]
        if not all(whole):
            log.warning("the weights are missing or changed: they are trained again")
        return bool(whole) and all(whole)

    def resume(self, training: Training, data: str = "") -> int:
        """Give a training back what it had when its state was saved, and return its next step.

        A state that cannot be read, or that is of other `data`, is passed over, and said: then
        training begins at the first step.
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
            if notes.get("data", "") != data:
                log.warning("the images or labels have changed: training starts over")
                return 0
            self._give_back(training, tensors, len(progress.losses))
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s): training starts over", file, error)
            return 0
        self.progress = progress
        return len(progress.losses)

    def _give_back(self, training: Training, tensors: dict[str, Any], step: int) -> None:
        tuned, buffers = training.tuned(), training.buffers()
        kept = MOMENTS[:2] if isinstance(training.optimiser, torch.optim.AdamW) else MOMENTS[2:]
        moments = {name: {key: tensors[f"{key} of {name}"] for key in kept} for name in tuned}
        wanted = {**tuned, **buffers}
        for name, mine in wanted.items():
            given = [tensors[name], *moments.get(name, {}).values()]
            if any(one.shape != mine.shape for one in given):
                raise ValueError("it is of another shape")
        for name, mine in wanted.items():
            mine.data.copy_(tensors[name])
        for name, parameter in tuned.items():
            there = {key: one.to(parameter.device) for key, one in moments[name].items()}
            training.optimiser.state[parameter] = {"step": torch.tensor(float(step)), **there}

    def save_state(self, training: Training, data: str = "") -> None:
        """Save what training needs to go on with the same data.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        tensors = dict(training.buffers())
        for name, parameter in training.tuned().items():
            tensors[name] = parameter.detach()
            kept = training.optimiser.state[parameter]
            tensors |= {f"{key} of {name}": kept[key] for key in MOMENTS if key in kept}
        self.save_tensors(STATE, tensors, {"data": data})

    def describe(self) -> dict[str, Any]:
        """Return what belongs into the record beside what every training has."""
        return {}

    def note(self) -> None:
        """Write the record.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        self.write_record(
            identity=self.identity,
            recipe=self.recipe,
            progress=asdict(self.progress),
            versions=versions(),
            files=self.files,
            **self.describe(),
        )

    def save_tensors(
        self, name: str, tensors: Mapping[str, Any], more: Mapping[str, str] | None = None
    ) -> Written:
        """Write tensors, with the classes, the recipe and the progress in the file itself.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        notes = {
            "format": "pt",
            "ovsskit": __version__,
            "classes": json.dumps(self.classes),
            "recipe": json.dumps(self.recipe),
            "progress": json.dumps(asdict(self.progress)),
            **(more or {}),
        }
        whole = save({key: one.contiguous().cpu() for key, one in tensors.items()}, notes)
        return self.write(name, lambda file: file.write(whole), flush=True)
