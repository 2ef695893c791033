"""Find a backbone's weights: in the package, in a folder, in the hub's cache, or on the hub."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import filter as matching
from pathlib import Path
from typing import Literal

from ovsskit.errors import BadWeights, MissingWeights, OvsskitError, Place
from ovsskit.hub.download import expected_digest, fetch, find_snapshot, list_files
from ovsskit.hub.trouble import cause_of, explain

EMBEDDED = "embedded"
BESIDE = "embedded:"
"""With a name behind it: another folder of weights in the package than a backbone's first."""


@dataclass(frozen=True)
class HubFiles:
    """Name the files that a backbone reads; only these are fetched and identify it.

    All are patterns. `weights` are alternatives: the first that a file matches is read, without
    running the code that it may hold. `tokenizer` are sets of files: the first that is there whole
    is read. `config` must be there if it is named. `beside` are read where they are there.
    """

    weights: tuple[str, ...] = ("*.safetensors", "pytorch_model.bin")
    tokenizer: tuple[tuple[str, ...], ...] = ()
    config: str = ""
    beside: tuple[str, ...] = ()

    def choose(self, names: Collection[str]) -> list[str]:
        """Return which of these files are read."""
        weights = next((found for one in self.weights if (found := matching(names, one))), [])
        return sorted({*weights, *self.companions(names)})

    def companions(self, names: Collection[str]) -> list[str]:
        """Return which of these files are read beside the weights."""
        tokenizer = next((one for one in self.tokenizer if _are_there(one, names)), ())
        patterns = (*tokenizer, self.config, *self.beside)
        return sorted({name for pattern in patterns for name in matching(names, pattern)})

    def lacking(self, names: Collection[str]) -> str:
        """Say which of what must be there is not among these files; nothing if all is."""
        if not any(matching(names, one) for one in self.weights):
            return f"weights ({' or '.join(self.weights)})"
        if self.config and not matching(names, self.config):
            return f"configuration ({self.config})"
        if self.tokenizer and not any(_are_there(one, names) for one in self.tokenizer):
            return f"tokenizer ({' or '.join(' with '.join(one) for one in self.tokenizer)})"
        return ""


def _are_there(patterns: Iterable[str], names: Collection[str]) -> bool:
    return all(matching(names, pattern) for pattern in patterns)


ANY = HubFiles(beside=("*.json", "*.txt", "*.model"))
"""What is read of weights about which nothing else is known."""


@dataclass(frozen=True)
class Published:
    """Say where a checkpoint is published, what it is, its licence, and its size in fp32.

    `commit` is that of the hub repository by which others have pinned it, where one is known.
    """

    where: str
    holds: str
    licence: str
    remark: str
    network: int
    is_on_hub: bool = False
    commit: str = ""


@dataclass(frozen=True)
class WeightsInfo:
    """Say where weights are, whether they are local, and their size (bytes) and licence, if known.

    `published` is what is known beforehand of where they come from, `trouble` why the hub tells
    nothing more.
    """

    weights: str
    kind: Literal["embedded", "local", "hub", "elsewhere"]
    path: Path | None
    size: int | None
    licence: str | None
    published: Published | None = None
    trouble: str = ""


def describe_published(weights: str, known: Published) -> WeightsInfo:
    """Say what is known of a published file that is not here and that the hub does not have."""
    return WeightsInfo(weights, "elsewhere", None, None, known.licence, known)


def describe_part(name: str, path: Path, known: Published | None) -> WeightsInfo:
    """Say what is known of a file beside weights: whether it is here, its size and its licence."""
    licence = None if known is None else known.licence
    if not path.is_file():
        return WeightsInfo(name, "elsewhere", None, None, licence, known)
    return WeightsInfo(name, "local", path, path.stat().st_size, licence, known)


def refuse_to_fetch(
    weights: str, known: Published, field: str = "weights", *, with_tokenizer: bool = False
) -> MissingWeights:
    """Return the error that a published file has to be fetched by the person, who names it so."""
    there = (
        f"It is published at {known.where}: {known.holds}. Licence: {known.licence}, "
        f"{known.remark}."
    )
    beside = ", put its tokenizer beside it," if with_tokenizer else ""
    fix = f"Fetch it{beside} and name the file: --set backbone.{field}=PATH"
    return MissingWeights(
        f"`{weights}` is not on this machine, and the hub does not have it.", there=there, fix=fix
    )


def packaged(weights: str, embedded: Path) -> Path | None:
    """Return the folder in the package that weights name, or None if they name none."""
    if weights == EMBEDDED:
        return embedded
    return embedded.parent / weights.removeprefix(BESIDE) if weights.startswith(BESIDE) else None


def find_weights(weights: str, revision: str, embedded: Path, files: HubFiles = ANY) -> Path | None:
    """Return the folder or file of complete local weights, or None; never ask the network."""
    folder = packaged(weights, embedded)
    if folder is not None:
        return folder
    if Path(weights).expanduser().exists():
        return Path(weights).expanduser()
    snapshot = _snapshot(weights, revision)
    return None if snapshot is None or _lacking(snapshot, files) else snapshot


def need_weights(weights: str, revision: str, embedded: Path, files: HubFiles = ANY) -> Path:
    """Return the folder or file of weights, fetched from the hub if needed and checked against it.

    Raises:
        MissingWeights: they are neither local nor downloadable.
        BadWeights: a file in the hub's cache has another content than the hub's.
    """
    if weights == EMBEDDED and embedded == Path():
        raise MissingWeights(
            "The package holds no weights of this backbone.",
            fix="Name a hub repository, a folder or a file.",
        )
    found = find_weights(weights, revision, embedded, files)
    path = fetch_weights(weights, revision, files) if found is None else found
    if commit_of(path):
        check_content(read_files(path, files))
    return path


def fetch_weights(weights: str, revision: str, files: HubFiles = ANY) -> Path:
    """Fetch weights from the hub into its cache and return their folder.

    Raises:
        MissingWeights: they cannot be fetched; it says why.
    """
    try:
        listing = list_files(weights, revision)
        lacking = files.lacking(listing.files)
        if lacking:
            raise MissingWeights(
                f"The hub's repository `{weights}` has no {lacking}.",
                there=f"It holds: {', '.join(sorted(listing.files))[:300]}",
                fix="Name another repository or revision, or a folder that holds all of it.",
            )
        return fetch(listing, revision, files.choose(listing.files))
    except OvsskitError:
        raise
    except Exception as error:  # the hub's client passes on the errors of its HTTP library
        snapshot = _snapshot(weights, revision)
        there = "" if snapshot is None else f"The cache lacks its {_lacking(snapshot, files)}."
        raise explain(error, weights, revision, there) from error


def read_files(path: Path, files: HubFiles) -> dict[str, Path]:
    """Return the files that are read of weights at a path, by their names in its folder."""
    if not path.is_file():
        return {name: path / name for name in files.choose(_names_in(path))}
    if files == ANY:
        return {path.name: path}
    alone = replace(files, config="")  # a lone checkpoint is read without a configuration
    beside = alone.companions(_names_in(path.parent, deep=False))
    return {path.name: path} | {name: path.parent / name for name in beside}


def check_content(files: Mapping[str, Path]) -> int:
    """Compare files with the digests by which the hub's cache names them; return how many have one.

    Raises:
        BadWeights: a file's content is not what the hub has.
    """
    from ovsskit.files.digests import digest_path, git_digest

    expected = {path: digest for path in files.values() if (digest := expected_digest(path))}
    for path, digest in expected.items():
        found = digest_path(path) if len(digest) == 64 else git_digest(path)
        if found != digest:
            raise BadWeights(
                "The file's content is not what the hub has: it was damaged or changed.",
                there=f"Its digest is {found}, and the hub's {digest}.",
                fix=f"Delete {path.resolve()} and run the same command again: it is fetched anew.",
                where=Place(str(path)),
            )
    return len(expected)


def commit_of(path: Path) -> str:
    """Return the commit of a hub repository that a folder in the cache holds, or an empty text."""
    return path.name if path.parent.name == "snapshots" else ""


def describe_weights(
    weights: str, revision: str, embedded: Path, files: HubFiles = ANY, *, ask_hub: bool = True
) -> WeightsInfo:
    """Say what is known of weights here and, with `ask_hub` if it answers, of those on the hub."""
    path = find_weights(weights, revision, embedded, files)
    folder = packaged(weights, embedded)
    if folder is not None:
        return WeightsInfo(weights, "embedded", path, _size(folder, files), "Apache-2.0")
    if path is not None and Path(weights).expanduser().exists():
        return WeightsInfo(weights, "local", path, _size(path, files), None)
    here = None if path is None else _size(path, files)
    if not ask_hub:
        return WeightsInfo(weights, "hub", path, here, None)
    try:
        listing = list_files(weights, revision, patient=False)
    except Exception as error:  # what the hub would say is a courtesy
        trouble = cause_of(error, weights, revision).what
        return WeightsInfo(weights, "hub", path, here, None, trouble=trouble)
    size = sum(listing.files[name].size for name in files.choose(listing.files))
    return WeightsInfo(weights, "hub", path, here or size, listing.licence)


def _snapshot(weights: str, revision: str) -> Path | None:
    from huggingface_hub.errors import HFValidationError

    try:
        return find_snapshot(weights, revision)
    except HFValidationError:
        return None


def _lacking(snapshot: Path, files: HubFiles) -> str:
    """Say which files a folder lacks; an index beside shards of weights lists them."""
    names = _names_in(snapshot)
    gone = [
        path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if not path.exists()
    ]
    for name in gone:  # a link to content that was deleted
        if name in files.choose([*names, *gone]):
            return name
    for index in matching(files.choose(names), "*.safetensors.index.json"):
        try:
            shards = set(
                json.loads((snapshot / index).read_text(encoding="utf-8"))["weight_map"].values()
            )
        except (OSError, ValueError, KeyError, AttributeError):
            return f"index of weights ({index})"
        missing = sorted(shards - set(names))
        if missing:
            return f"weights ({missing[0]})"
    return files.lacking(names)


def _names_in(folder: Path, *, deep: bool = True) -> list[str]:
    found = folder.rglob("*") if deep else folder.iterdir()
    return [file.relative_to(folder).as_posix() for file in found if file.is_file()]


def _size(path: Path, files: HubFiles) -> int:
    return sum(file.stat().st_size for file in read_files(path, files).values())
