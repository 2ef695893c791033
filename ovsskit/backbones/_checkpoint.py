"""Read a file of weights, or the names in it alone, without running its code, and write one."""

from __future__ import annotations

import argparse
import json
import pickletools
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ovsskit._lazy import torch
from ovsskit.errors import BadWeights, Place, first_of
from ovsskit.files.writing import see_same, write_whole

FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
HEADER = 100_000_000
"""The longest header, in bytes, that safetensors allows."""
MOST_LAYERS, MOST_ROWS = 200, 10_000_000
"""Layers of a network, and rows of its largest table: more than any that is published."""
ENVELOPES = ("model", "module", "state_dict_ema", "state_dict")
"""Keys under which a training's checkpoint holds the tensors of its model, or their mean over its
last steps."""


def weights_file(path: Path, fix: str) -> Path:
    """Return the file of weights at a path, which may be their folder.

    Raises:
        BadWeights: the folder holds none; `fix` is what it says of that.
    """
    if not path.is_dir():
        return path
    file = next((path / name for name in FOLDER_FILES if (path / name).is_file()), None)
    if file is None:
        what = f"The folder holds none of {', '.join(FOLDER_FILES)}."
        raise BadWeights(what, fix=fix, where=Place(str(path)))
    return file


def read_tensors(
    file: Path, fix: str, dtype: Any = None, *, shapes_only: bool = False
) -> dict[str, Any]:
    """Read the tensors of a model by name; with `shapes_only` they have no content.

    Floating ones are converted one by one, so that memory holds them once.

    Raises:
        BadWeights: the file is missing, broken, or holds something else; `fix` would fix it.
    """
    return read_checkpoint(file, fix, dtype, shapes_only=shapes_only)[0]


def read_checkpoint(
    file: Path, fix: str, dtype: Any = None, *, shapes_only: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what `read_tensors` does, and the settings of the training beside them, if any.

    Raises:
        BadWeights: the file is missing, broken, or holds something else; `fix` would fix it.
    """
    from safetensors import SafetensorError, safe_open

    def converted(tensor: Any) -> Any:
        return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor

    def empty(part: Any) -> Any:
        return torch.empty(part.get_shape(), device="meta")

    tensors: Any
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                names = list(opened.keys())
                if shapes_only:
                    return {name: empty(opened.get_slice(name)) for name in names}, {}
                return {name: converted(opened.get_tensor(name)) for name in names}, {}
        tensors = _unpickle(file, fix, "meta" if shapes_only else "cpu")
    except (OSError, SafetensorError, ValueError) as error:
        raise _broken(file, fix, error) from error
    settings = tensors.get("args") if isinstance(tensors, dict) else None
    for envelope in ENVELOPES:
        if isinstance(tensors, dict) and isinstance(tensors.get(envelope), dict):
            tensors = tensors[envelope]
    if not isinstance(tensors, dict):
        what = f"The file holds a {type(tensors).__name__}, not the tensors of a model by name."
        raise BadWeights(what, fix=fix, where=Place(str(file)))
    found = {str(name): one for name, one in tensors.items() if isinstance(one, torch.Tensor)}
    said = vars(settings) if isinstance(settings, argparse.Namespace) else {}
    return {name: converted(tensor) for name, tensor in found.items()}, said


def _unpickle(file: Path, fix: str, place: str) -> Any:
    """Return what a file of torch holds: tensors and plain values, which run nothing.

    Raises:
        BadWeights: it is missing or broken, or holds things that could run code.
    """
    try:
        # The settings of a training: it holds values, and runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location=place, weights_only=True)
    except Exception as error:  # in broken files torch stumbles over whatever there is
        if known := re.search(r"GLOBAL (\S+)", str(error)):
            what = (
                f"The file holds more than tensors ({known[1]}); it is not read, since reading such"
                " a file can run code."
            )
            there = "If you trust it, convert it to a file of tensors alone."
            raise BadWeights(what, there=there, fix=fix, where=Place(str(file))) from error
        raise _broken(file, fix, error) from error


def _broken(file: Path, fix: str, error: Exception) -> BadWeights:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    what = f"The file of weights is broken or incomplete: {reason}"
    return BadWeights(what, fix=fix, where=Place(str(file)))


def see_fit(
    state: Mapping[str, Any], needed: Mapping[str, Any], whose: str, path: Path, fix: str
) -> None:
    """See that tensors have the names and shapes of those that a network needs.

    Raises:
        BadWeights: some are missing or have another shape; `fix` would fix it.
    """
    there = needed.keys() & state.keys()
    wrong = {
        "lack": needed.keys() - state.keys(),
        "have in another shape": {one for one in there if needed[one].shape != state[one].shape},
    }
    parts = [f"{verb}: {first_of(sorted(names), most=3)}" for verb, names in wrong.items() if names]
    if parts:
        what = f"These weights of {whose} {'; they '.join(parts)}."
        raise BadWeights(what, fix=fix, where=Place(str(path)))


def see_exact(state: Mapping[str, Any], network: Any, whose: str, path: Path, fix: str) -> None:
    """See that tensors have the names and shapes of those of a network, and that no more are there.

    Raises:
        BadWeights: some are missing, too many, or have another shape; `fix` would fix it.
    """
    needed = network.state_dict()
    see_fit(state, needed, whose, path, fix)
    if more := sorted(state.keys() - needed.keys()):
        what = f"{whose} has tensors that are not read: {first_of(more, most=3)}."
        raise BadWeights(what, fix=fix, where=Place(str(path)))


def write_tensors(
    file: Path,
    tensors: Mapping[str, Any],
    beside: Iterable[Path],
    notes: dict[str, str] | None = None,
) -> None:
    """Write tensors and notes as safetensors, and copies of files beside them.

    Raises:
        BadOutput: another file stands where a copy is due.
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    from safetensors.torch import save

    copies = {file.parent / one.name: one for one in beside}
    contents = {to: one.read_bytes() for to, one in copies.items() if not see_same(one, to)}
    state = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    for to, content in {file: save(state, notes), **contents}.items():
        write_whole(to, partial(_write, content))


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def stored_names(path: Path) -> list[str]:
    """Return the names of tensors at a path, as `weights_file` takes it; none if not quickly.

    They stand in the header of safetensors, and in the pickle of a file that torch wrote; that is
    looked through, not run.
    """
    try:
        file = weights_file(path, "")
        return _names_in_header(file) if file.suffix == ".safetensors" else _names_in_pickle(file)
    except (BadWeights, OSError, ValueError, KeyError, zipfile.BadZipFile):
        return []


def _names_in_header(file: Path) -> list[str]:
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(min(size, HEADER)))
    return [name for name in header if name != "__metadata__"]


def _names_in_pickle(file: Path) -> list[str]:
    """Return all words in the pickle that may be names of tensors in a module."""
    with zipfile.ZipFile(file) as opened:
        inside = next((name for name in opened.namelist() if name.endswith("/data.pkl")), "")
        pickled = opened.read(inside)
    words = [word for _, word, _ in pickletools.genops(pickled) if isinstance(word, str)]
    return [word for word in words if _may_be_a_name(word)]


def _may_be_a_name(word: str) -> bool:
    return "." in word and " " not in word and not word.startswith("torch")


def count_of(names: Collection[str], pattern: str) -> int:
    """Return how many numbers a pattern finds in names, such as those of layers."""
    return len({found[1] for name in names if (found := re.match(pattern, name))})


def has_marks(names: Collection[str], marks: Sequence[str], none: Sequence[str] = ()) -> bool:
    """Return whether all these patterns are found in names, line by line, and none of the others.

    A `model.` that a training put before names does not count.
    """
    text = "\n".join(name.removeprefix("model.") for name in names)
    return all(re.search(one, text, re.M) for one in marks) and not any(
        re.search(one, text, re.M) for one in none
    )


def too_large(config: Mapping[str, Any]) -> str:
    """Say which size in a configuration no network has; millions of layers would take hours."""
    for key, value in config.items():
        if isinstance(value, Mapping) and (inside := too_large(value)):
            return inside
        most = MOST_LAYERS if "layers" in key or key == "depths" else MOST_ROWS
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int) and one > most:
                return f"{key} = {value}"
    return ""
