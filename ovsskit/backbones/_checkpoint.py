"""Read files of weights, say whose they are, and fill a network with them or say what they lack."""

from __future__ import annotations

import json
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel

from ovsskit._lazy import torch, transformers
from ovsskit.errors import BadWeights, Place
from ovsskit.files import reading
from ovsskit.files.writing import see_same, write_whole

FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
HEADER = 100_000_000
"""The longest header, in bytes, that safetensors allows."""
BESIDE = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "config.json",
    "config_bert.json",
)
"""What may lie beside weights: the tokenizer, and what shapes do not tell."""
WORDPIECES = (("tokenizer.json",), ("vocab.txt",))
BYTE_PAIRS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Files of which a tokenizer is read, the first that are there."""
MOST_LAYERS, MOST_ROWS = 200, 10_000_000
"""Layers of a network, and rows of its largest table: more than any that is published."""
ENVELOPES = ("model", "module", "state_dict")
"""Keys under which a training's checkpoint holds the tensors of its model."""


@dataclass(frozen=True)
class Family:
    """Name a model as people know it, its matching head as its checkpoints do, and what to give instead of a misfit.

    `official` turns the name of a tensor in any checkpoint into the one that is read, empty for what matching does not need.
    `in_file` turns the name of a tensor in the network into that in a file which holds such names as are given beside it.
    """

    name: str
    head: str
    fix: str
    official: Callable[[str], str]
    in_file: Callable[[str, Collection[str]], str]

    def unfit(self, path: Path, what: str, there: str = "") -> BadWeights:
        """Return the error that the weights at a path do not fit."""
        return BadWeights(what, there=there, fix=self.fix, where=Place(str(path)))

    def lacks(
        self, path: Path, missing: Collection[str], misshapen: Collection[str] = (), there: str = ""
    ) -> BadWeights:
        """Return the error that a file lacks some of the network's tensors, or has them in another shape."""
        stored = stored_names(path)
        parts = [
            f"{verb}: {_listed([self.in_file(name, stored) for name in names])}"
            for verb, names in (("lack", missing), ("have in another shape", misshapen))
            if names
        ]
        return self.unfit(path, f"These weights of {self.name} {'; they '.join(parts)}.", there)

    def check_looks(self, path: Path, names: Collection[str]) -> None:
        """Refuse the weights of another model, and of this one without its matching head.

        Raises:
            BadWeights: they are.
        """
        looks = looks_like(names)
        if looks != self.name:
            there = (
                f"They look like {looks}'s."
                if looks
                else f"They begin with {', '.join(sorted(names)[:3])}."
            )
            raise self.unfit(
                path,
                f"The recipe asks for {self.name}, and these weights are another model's.",
                there,
            )
        if not any(name.removeprefix("model.").startswith(self.head) for name in names):
            what = f"These weights of {self.name} have no head for image-text matching: no name begins with `{self.head}`."
            raise self.unfit(path, what, "A head of random weights would make every map random.")


def looks_like(names: Collection[str]) -> str:
    """Return the model whose weights have such names, or an empty string."""
    text = "\n".join(names)
    if "cross_modal_text_layers." in text:
        return "BridgeTower"
    if "fusion_encoder." in text:
        return "mPLUG"
    if "crossattention." in text and re.search(
        r"^(model\.)?(visual_encoder\.blocks|vision_model\.encoder)\.", text, re.M
    ):
        return "BLIP" if ".layer.0.crossattention." in text else "ALBEF"
    if re.search(r"^(visual\.transformer\.resblocks|vision_model\.encoder)\.", text, re.M):
        return "CLIP"
    return ""


def stored_names(path: Path) -> list[str]:
    """Return the names of tensors in a file of weights, or in that of a folder; none if they cannot be read quickly.

    They stand in the header of safetensors, and in the pickle of a file that torch wrote; that is looked through, not run.
    """
    file = (
        next((path / name for name in FOLDER_FILES if (path / name).is_file()), None)
        if path.is_dir()
        else path
    )
    if file is None or not file.is_file():
        return []
    try:
        return _names_in_header(file) if file.suffix == ".safetensors" else _names_in_pickle(file)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return []


def _names_in_header(file: Path) -> list[str]:
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        return [
            name for name in json.loads(opened.read(min(size, HEADER))) if name != "__metadata__"
        ]


def _names_in_pickle(file: Path) -> list[str]:
    """Return all words in the pickle that may be names of tensors in a module."""
    with zipfile.ZipFile(file) as opened:
        pickled = opened.read(
            next((name for name in opened.namelist() if name.endswith("/data.pkl")), "")
        )
    words = [word for _, word, _ in pickletools.genops(pickled) if isinstance(word, str)]
    return [
        word for word in words if "." in word and " " not in word and not word.startswith("torch")
    ]


def file_of(path: Path, family: Family) -> Path:
    """Return the file of weights at a path, which may be their folder.

    Raises:
        BadWeights: the folder holds none.
    """
    if not path.is_dir():
        return path
    file = next((path / name for name in FOLDER_FILES if (path / name).is_file()), None)
    if file is None:
        raise family.unfit(path, f"The folder holds none of {', '.join(FOLDER_FILES)}.")
    return file


def read_tensors(
    file: Path, family: Family, dtype: Any = None, *, shapes_only: bool = False
) -> dict[str, Any]:
    """Read the tensors of a model by name; floating ones are converted one by one, so that memory holds them once.

    With `shapes_only` the tensors have shapes and no content.

    Raises:
        BadWeights: the file is missing, broken, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    tensors: Any
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                keys = list(opened.keys())
                if shapes_only:
                    tensors = {
                        key: torch.empty(opened.get_slice(key).get_shape(), device="meta")
                        for key in keys
                    }
                else:
                    tensors = {key: _converted(opened.get_tensor(key), dtype) for key in keys}
        else:
            tensors = torch.load(
                file, map_location="meta" if shapes_only else "cpu", weights_only=True
            )
    except (
        OSError,
        SafetensorError,
        RuntimeError,
        EOFError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        if known := re.search(r"GLOBAL (\S+)", str(error)):
            what = f"The file holds more than tensors ({known[1]}); it is not read, since reading such things can run code."
            raise family.unfit(
                file, what, "A file of tensors alone can be made of it where it can be trusted."
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise family.unfit(
            file, f"The file of weights is broken or incomplete: {reason}"
        ) from error
    for envelope in ENVELOPES:
        tensors = (
            tensors[envelope]
            if isinstance(tensors, dict) and isinstance(tensors.get(envelope), dict)
            else tensors
        )
    if not isinstance(tensors, dict):
        raise family.unfit(
            file, f"The file holds a {type(tensors).__name__}, not the tensors of a model by name."
        )
    found = {str(key): value for key, value in tensors.items() if isinstance(value, torch.Tensor)}
    return (
        found
        if file.suffix == ".safetensors"
        else {key: _converted(value, dtype) for key, value in found.items()}
    )


def read_official(
    path: Path, family: Family, dtype: Any = None, *, shapes_only: bool = False
) -> dict[str, Any]:
    """Read what matching needs of the weights at a path, by official names.

    Raises:
        BadWeights: they are missing, broken, another model's, or without a matching head.
    """
    tensors = read_tensors(file_of(path, family), family, dtype, shapes_only=shapes_only)
    family.check_looks(path, tensors)
    return {
        official: tensor for name, tensor in tensors.items() if (official := family.official(name))
    }


def convert(path: Path, family: Family, file: Path) -> None:
    """Write what matching needs of a checkpoint as safetensors, with the tokenizer and configuration that lie beside it.

    Raises:
        BadWeights: the weights do not fit.
        BadOutput: another tokenizer or configuration stands beside the file.
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    from safetensors.torch import save

    folder = path if path.is_dir() else path.parent
    beside = [folder / name for name in BESIDE if (folder / name).is_file()]
    missing = [one for one in beside if not see_same(one, file.parent / one.name)]
    state = {
        name: tensor.contiguous().clone() for name, tensor in read_official(path, family).items()
    }
    write_whole(file, partial(_write, save(state)))
    for one in missing:
        write_whole(file.parent / one.name, partial(_write, one.read_bytes()))


class Configuration(BaseModel, extra="allow"):
    """Give the shape of a `config.json` of the hub, as far as it is read here."""

    model_type: str = ""
    architectures: list[str] | None = None
    text_config: dict[str, Any] = {}
    vision_config: dict[str, Any] = {}


def read_json(file: Path, family: Family) -> dict[str, Any]:
    """Read a model's configuration.

    Raises:
        BadWeights: it cannot be read, or is of another shape.
    """
    try:
        found: Configuration = reading.read_json(file, Configuration)
    except reading.Unreadable as error:
        raise family.unfit(file, f"The model's configuration cannot be read: {error}.") from error
    return found.model_dump()


def make_config(cls: Any, config: Mapping[str, Any], family: Family, path: Path) -> Any:
    """Return a configuration of a class of transformers.

    Raises:
        BadWeights: a value is of another type than it must be, or so large that no network has it.
    """
    if large := too_large(config):
        raise family.unfit(path, f"The model's configuration has {large}.")
    with _describing(family, path):
        return cls.from_dict(dict(config))


@contextmanager
def _describing(family: Family, path: Path) -> Iterator[None]:
    """Say of a configuration that no network can be built by it."""
    from huggingface_hub.errors import StrictDataclassError

    kinds = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
    try:
        yield
    except (*kinds, AssertionError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())[:200]
        what = f"The model's configuration describes no network: {reason}"
        raise family.unfit(path, what) from error


def too_large(config: Mapping[str, Any]) -> str:
    """Say which size in a configuration no network has; building one of millions of layers would take hours."""
    for key, value in config.items():
        if isinstance(value, Mapping) and (inside := too_large(value)):
            return inside
        most = MOST_LAYERS if "layers" in key else MOST_ROWS
        if isinstance(value, int) and value > most:
            return f"{key} = {value}"
    return ""


def read_sizes(file: Path) -> dict[str, Any]:
    """Return what a configuration beside an original checkpoint says, its tables in one; nothing if there is none.

    Raises:
        BadWeights: it cannot be read.
    """
    for name in ("config_bert.json", "config.json"):
        if (file.parent / name).is_file():
            try:
                found = reading.read_json(file.parent / name, dict[str, Any])
            except reading.Unreadable as error:
                what = f"The model's configuration cannot be read: {error}."
                raise BadWeights(what, where=Place(str(file.parent / name))) from error
            tables = [found, *(value for value in found.values() if isinstance(value, dict))]
            return {key: value for table in tables for key, value in table.items()}
    return {}


def rename(name: str, renames: Sequence[tuple[str, str]]) -> str:
    """Return a name after all replacements of one of its parts, one after the other."""
    for old, new in renames:
        name = name.replace(old, new)
    return name


def rename_back(name: str, renames: Sequence[tuple[str, str]]) -> str:
    """Return the name that became this one by `rename`."""
    return rename(name, [(new, old) for old, new in reversed(renames)])


def count_of(names: Collection[str], pattern: str) -> int:
    """Return how many numbers a pattern finds in names, such as those of layers."""
    return len({found[1] for name in names if (found := re.match(pattern, name))})


def check_fit(
    family: Family, path: Path, cls: type, config: Any, state: Mapping[str, Any], there: str = ""
) -> None:
    """Compare names and shapes with what a network needs, without reading the tensors.

    Raises:
        BadWeights: something is missing, or has another shape.
    """
    with torch.device("meta"), _describing(family, path):
        needed = cls(config).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in needed.items()}
    missing = sorted(set(shapes) - set(state))
    misshapen = sorted(
        name for name in set(shapes) & set(state) if tuple(state[name].shape) != shapes[name]
    )
    if missing or misshapen:
        raise family.lacks(path, missing, misshapen, there)


def fill(cls: Any, config: Any, state: Mapping[str, Any], dtype: Any) -> Any:
    """Return a network of a class of transformers, in evaluation mode, with these weights; names it lacks are passed over."""
    with _quiet():
        return cls.from_pretrained(None, config=config, state_dict=dict(state), dtype=dtype)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def _converted(tensor: Any, dtype: Any) -> Any:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from reporting what is reported here."""
    chatter = transformers.utils.logging
    verbosity, has_bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(verbosity)
        if has_bars:
            chatter.enable_progress_bar()
