"""The folder that tuning writes, and that recipes then name as their weights.

model.safetensors   the tuned weights, with the classes and the recipe in the file itself
dict.txt            the dictionary, where it is not the published one
fit.json            what was tuned, from what, with which settings, at what cost; the loss of every step
state.safetensors   while tuning goes on: what it needs to go on after it was stopped, however that happened
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ovsskit import __version__
from ovsskit.errors import BadOutput, Place
from ovsskit.fit.tuning import Tuner
from ovsskit.identity import differences
from ovsskit.lazy import torch
from ovsskit.output.files import PART, make_folder, write_text, write_whole
from ovsskit.output.folder import versions

MODEL, STATE, RECORD, LOCK = "model.safetensors", "state.safetensors", "fit.json", ".lock"
MOMENTS = ("exp_avg", "exp_avg_sq")
FIX = "Name another folder with --out, or remove this one."


@dataclass
class Progress:
    """Say how far tuning has come: the loss of every step done, the seconds that they took, and peak memory in bytes."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory: int | None = None
    peak_device_memory: int | None = None


class TunedFolder:
    """Hold a folder that is locked for one tuning."""

    def __init__(self, path: Path, identity: dict[str, Any], recipe: dict[str, Any]) -> None:
        """Make, lock and read the folder.

        Raises:
            BadOutput: it cannot be written, another tuning is writing into it, or it holds other files or another tuning.
        """
        self.path, self.recipe = path, recipe
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self.progress = Progress()
        self._refuse_strange_files()
        make_folder(path)
        self._lock = FileLock(path / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            what, fix = (
                "Another tuning is writing into this folder.",
                "Wait until it ends, or name another with --out.",
            )
            raise BadOutput(what, fix=fix, where=Place(str(path))) from error
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        for part in path.glob(f".*{PART}"):
            part.unlink()

    def close(self) -> None:
        """Let others use the folder."""
        self._lock.release()

    @property
    def is_done(self) -> bool:
        """Tell whether the tuned weights are there."""
        return (self.path / MODEL).is_file()

    def resume(self, tuner: Tuner) -> int:
        """Give a tuner back what it had when its state was saved, and return the number of its next step.

        Raises:
            BadOutput: the state is broken.
        """
        file = self.path / STATE
        if not file.is_file():
            return 0
        try:
            with safe_open(file, "pt") as opened:
                notes = opened.metadata()
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            self.progress = Progress(**json.loads(notes["progress"]))
            step = len(self.progress.losses)
            for name, parameter in tuner.tuned().items():
                parameter.data.copy_(tensors[name])
                moments = {key: tensors[f"{key} of {name}"].to(parameter.device) for key in MOMENTS}
                tuner.optimiser.state[parameter] = {"step": torch.tensor(float(step)), **moments}
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise BadOutput(
                "What the tuning needs to go on is broken.", fix=FIX, where=Place(str(file))
            ) from error
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
        if dictionary.is_file():
            write_text(self.path / dictionary.name, dictionary.read_text(encoding="utf-8"))
        tensors = {
            key: one
            for key, one in tuner.network.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        self._save(MODEL, {**tensors, "encoder.seg_embed_tokens.weight": tuner.words})
        self.write_record()
        (self.path / STATE).unlink(missing_ok=True)

    def write_record(self) -> None:
        """Write `fit.json`.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        plain = {
            "ovsskit": __version__,
            "identity": self.identity,
            "recipe": self.recipe,
            "progress": asdict(self.progress),
            "versions": versions(),
        }
        write_text(self.path / RECORD, json.dumps(plain, indent=1))

    def _save(self, name: str, tensors: dict[str, Any]) -> None:
        notes = {
            "format": "pt",
            "ovsskit": __version__,
            "classes": json.dumps(self.identity["classes"]),
            "recipe": json.dumps(self.recipe),
            "progress": json.dumps(asdict(self.progress)),
        }
        whole = save({key: one.contiguous().cpu() for key, one in tensors.items()}, notes)
        write_whole(self.path / name, lambda file: file.write(whole))

    def _read(self) -> None:
        path = self.path / RECORD
        if not path.exists():
            return
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            changed = differences(plain["identity"], self.identity)
            self.progress = Progress(**plain["progress"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadOutput(
                "The record of the tuning in this folder is broken.",
                fix=FIX,
                where=Place(str(path)),
            ) from error
        if changed:
            raise BadOutput(
                "The folder holds another tuning.",
                there="; ".join(changed[:4]),
                fix=FIX,
                where=Place(str(self.path)),
            )

    def _refuse_strange_files(self) -> None:
        if self.path.is_dir() and not (self.path / RECORD).exists():
            strange = next(
                (
                    one.name
                    for one in self.path.iterdir()
                    if one.name != LOCK and not one.name.endswith(PART)
                ),
                None,
            )
            if strange is not None:
                what, there = (
                    "The folder holds files that are of no tuning.",
                    f"There is `{strange}`, and no `{RECORD}`.",
                )
                raise BadOutput(
                    what,
                    there=there,
                    fix="Name another folder with --out.",
                    where=Place(str(self.path)),
                )
