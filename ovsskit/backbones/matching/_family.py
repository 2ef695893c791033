"""Read, check and convert the checkpoints of matching models; a `Family` says what differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from ovsskit._lazy import torch, transformers
from ovsskit.backbones._checkpoint import (
    FOLDER_FILES,
    has_marks,
    read_tensors,
    too_large,
    weights_file,
    write_tensors,
)
from ovsskit.backbones.matching._tokenizer import WORDPIECES
from ovsskit.errors import BadWeights, Place, first_of
from ovsskit.files import reading
from ovsskit.hub.weights import HubFiles, Published
from ovsskit.recipe.registry import CATALOGUE

Renames = tuple[tuple[str, str], ...]
"""Parts of names and what replaces them, one after the other; `^` is the start of a name.

What becomes nothing is an addition of some checkpoints; no message puts it back.
"""
NOTHING: Mapping[str, Any] = MappingProxyType({})
SIZES_FILES = ("config_bert.json", "config.json")
"""Where the authors' code keeps the sizes that no shape shows, beside a checkpoint."""
AUTHORS_FILES = HubFiles(FOLDER_FILES, WORDPIECES.choices, beside=SIZES_FILES)
"""What is read of models that are published in the authors' format alone."""


class Configuration(BaseModel, extra="allow"):
    """Give the shape of a `config.json` of the hub, as far as it is read here."""

    model_type: str = ""
    architectures: list[str] | None = None
    text_config: dict[str, Any] = {}
    vision_config: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Family:
    """Say what is particular about the checkpoints of one matching model.

    `fix` is what to give instead of a misfit; `published` are its checkpoints, by what recipes call
    them. A checkpoint is one of this model if all patterns in `marks` are found in its names and
    none in `no_marks`; `head` begins the names of its matching head, and `layers`, after renaming,
    those of a layer with cross-attention, of which published models have `published_layers`.

    `network` returns the class of the network, of transformers' kind; its module `embeddings`
    embeds patches and their positions. `dialects` bring the names of other programs to those of its
    tensors. `configure` returns its configuration, from tensors by these names and from what is
    said beside them: by the hub's `config.json` of a folder if there is a `model_type`, else by the
    authors' configuration, if any. It raises KeyError for a tensor that it misses, and takes away
    those that it makes part of others.
    """

    name: str
    fix: str
    head: str
    marks: tuple[str, ...]
    no_marks: tuple[str, ...] = ()
    layers: str
    published_layers: int
    network: Callable[[], Any]
    embeddings: str
    configure: Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]]
    dialects: tuple[Renames, ...] = ()
    model_type: str = ""
    published: Mapping[str, Published]

    def read_network(self, path: Path, dtype: Any, given: Mapping[str, Any] = NOTHING) -> Any:
        """Return the network of a checkpoint or its folder, in evaluation mode; `given` overrides.

        Raises:
            BadWeights: a file is missing or broken, or belongs to another architecture.
        """
        config, state, _ = self._read(path, dtype, given)
        with _quiet():
            return self.network().from_pretrained(
                None, config=config, state_dict=state, dtype=dtype
            )

    def check(self, path: Path) -> int:
        """Refuse weights by the names and shapes of tensors; return the rows of word embeddings.

        Raises:
            BadWeights: they do not fit.
        """
        config, _, _ = self._read(path, shapes_only=True)
        return int(config.text_config.vocab_size)

    def convert(self, path: Path, file: Path, beside: Sequence[Path]) -> None:
        """Write what is read of a checkpoint as safetensors, and copies of what lies beside it.

        Raises:
            BadWeights: the weights do not fit.
            BadOutput: another tokenizer or configuration stands beside the file.
            CannotWrite: the disk is full, or the folder cannot be written.
        """
        _, _, taken = self._read(path)
        write_tensors(file, taken, beside)

    def recognise(self, names: Collection[str]) -> str:
        """Return the model's name if tensors of such names are one of it, else an empty text."""
        return self.name if has_marks(names, self.marks, self.no_marks) else ""

    def rename(self, name: str) -> str:
        """Return the name in the network of a tensor in a checkpoint."""
        name = name.removeprefix("model.")
        for renames in self.dialects:
            name = _replace(name, renames)
        return name

    def name_in(self, stored: Collection[str], name: str) -> str:
        """Return the name that a tensor of the network has in a file with such names."""
        for renames in reversed(self.dialects):
            if any(_replace(one, renames) != one for one in stored):
                name = _replace(name, [(new, old) for old, new in reversed(renames) if new])
        return name

    def _read(
        self,
        path: Path,
        dtype: Any = None,
        given: Mapping[str, Any] = NOTHING,
        *,
        shapes_only: bool = False,
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Return the configuration, the network's tensors, and those of the file, by its names."""
        said, there = self._read_config(path) if self.model_type else (read_sizes(path), "")
        file = weights_file(path, self.fix)
        tensors = read_tensors(file, self.fix, dtype, shapes_only=shapes_only)
        self._check_names(path, tensors)
        names = {name: self.rename(name) for name in tensors}
        state = {names[name]: tensor for name, tensor in tensors.items()}
        network = self.network()
        with self._describing(path):
            try:
                values = self.configure(state, {**said, **given})
            except KeyError as error:
                raise self._lacks(path, tensors, {"lack": error.args}) from error
            if large := too_large(values):
                raise self._unfit(path, f"The model's configuration has {large}.")
            config = network.config_class.from_dict(values)
            with torch.device("meta"):
                needed = network(config).state_dict()
        missing = sorted(needed.keys() - state.keys())
        common = needed.keys() & state.keys()
        misshapen = sorted(one for one in common if needed[one].shape != state[one].shape)
        if missing or misshapen:
            wrong = {"lack": missing, "have in another shape": misshapen}
            raise self._lacks(path, tensors, wrong, there)
        folded = set(names.values()) - state.keys()
        read = needed.keys() | folded
        taken = {old: tensors[old] for old, new in names.items() if new in read}
        return config, {name: state[name] for name in needed}, taken

    def _read_config(self, path: Path) -> tuple[dict[str, Any], str]:
        """Return the hub's configuration in a folder, none of a lone file, and what it says."""
        if not path.is_dir():
            return {}, ""
        found: Configuration = _read_json(path / "config.json", Configuration, self.fix)
        classes = ", ".join(found.architectures or ["no class"])
        there = f"Its config.json says: {classes} (model_type {found.model_type})."
        if found.model_type != self.model_type:
            what = f"These are the weights of another architecture than {self.name}."
            raise self._unfit(path, what, there)
        return found.model_dump(), there

    def _check_names(self, path: Path, names: Collection[str]) -> None:
        """Refuse the weights of another model, and of this one without its matching head."""
        if not self.recognise(names):
            backbones: Mapping[str, Any] = CATALOGUE.backbones()
            other = next(filter(None, (cls.recognise(names) for cls in backbones.values())), "")
            there = f"They begin with {', '.join(sorted(names)[:3])}."
            what = f"The recipe asks for {self.name}, but these weights are another model's."
            raise self._unfit(path, what, f"They look like {other}." if other else there)
        if not any(self.rename(name).startswith(self.head) for name in names):
            what = (
                f"These weights of {self.name} have no head for image-text matching: no name begins"
                f" with `{self.head}`."
            )
            raise self._unfit(path, what, "A head of random weights would make every map random.")

    def _lacks(
        self,
        path: Path,
        stored: Collection[str],
        wrong: Mapping[str, Sequence[str]],
        there: str = "",
    ) -> BadWeights:
        """Return the error that a file lacks tensors of the network, or has them otherwise."""
        parts = [
            f"{verb}: {first_of([self.name_in(stored, name) for name in names], most=3)}"
            for verb, names in wrong.items()
            if names
        ]
        return self._unfit(path, f"These weights of {self.name} {'; they '.join(parts)}.", there)

    def _unfit(self, path: Path, what: str, there: str = "") -> BadWeights:
        return BadWeights(what, there=there, fix=self.fix, where=Place(str(path)))

    @contextmanager
    def _describing(self, path: Path) -> Iterator[None]:
        """Say of a configuration that no network can be built by it."""
        from huggingface_hub.errors import StrictDataclassError

        kinds = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
        try:
            yield
        except (*kinds, AssertionError, StrictDataclassError) as error:
            reason = " ".join(str(error).split())[:200]
            what = f"The model's configuration describes no network: {reason}"
            raise self._unfit(path, what) from error


def read_sizes(path: Path) -> dict[str, Any]:
    """Return what a configuration beside a checkpoint says, its tables in one; nothing without.

    Raises:
        BadWeights: it cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    file = next((folder / name for name in SIZES_FILES if (folder / name).is_file()), None)
    if file is None:
        return {}
    found = _read_json(file, dict[str, Any])
    tables = [found, *(value for value in found.values() if isinstance(value, dict))]
    return {key: value for table in tables for key, value in table.items()}


def _read_json(file: Path, kind: Any, fix: str = "") -> Any:
    try:
        return reading.read_json(file, kind)
    except reading.Unreadable as error:
        what = f"The model's configuration cannot be read: {error}."
        raise BadWeights(what, fix=fix, where=Place(str(file))) from error


def _replace(name: str, renames: Sequence[tuple[str, str]]) -> str:
    name = f"^{name}"
    for old, new in renames:
        name = name.replace(old, new)
    return name.removeprefix("^")


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
