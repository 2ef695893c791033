"""Find the weights of a backbone: in the package, in a folder, in the hub's cache, or on the hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from ovsskit.errors import MissingWeights

EMBEDDED = "embedded"
BESIDE = "embedded:"
"""With a name behind it: another folder of weights in the package than a backbone's first."""
PATTERNS = ("*.json", "*.txt", "*.model")
"""What is fetched of a hub repository beside its weights: configuration and tokenizer."""


@contextmanager
def naming(recipe: str) -> Iterator[None]:
    """Let errors about missing weights say how to fetch those of this recipe."""
    try:
        yield
    except MissingWeights as error:
        error.fix = error.fix.replace("RECIPE", recipe)
        raise


@dataclass(frozen=True)
class HubFiles:
    """Name the weights in a hub repository: files that hold no code, and the file that older ones have instead.

    The latter is read without running the code that it may hold.
    """

    safe: str = "*.safetensors"
    pickled: str = "pytorch_model.bin"


ANY = HubFiles()


@dataclass(frozen=True)
class Published:
    """Say where a checkpoint is published, what it is, its licence and whose that is, and what the network takes in fp32.

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
    """Say where weights are, whether they are here, and what they weigh (bytes) and allow (licence), where known.

    `published` is what is known beforehand of where they come from.
    """

    weights: str
    kind: Literal["embedded", "local", "hub", "elsewhere"]
    path: Path | None
    size: int | None
    licence: str | None
    published: Published | None = None


def describe_published(weights: str, known: Published) -> WeightsInfo:
    """Say what is known of a published file that is not here and that the hub does not have."""
    return WeightsInfo(weights, "elsewhere", None, None, known.licence, known)


def refuse_to_fetch(weights: str, known: Published) -> MissingWeights:
    """Return the error that a published file has to be fetched by the person."""
    there = f"It is published at {known.where}: {known.holds}. Licence: {known.licence}, {known.remark}."
    fix = "Fetch it, put its tokenizer beside it, and name the file: --set backbone.weights=PATH"
    return MissingWeights(
        f"`{weights}` is not on this machine, and the hub does not have it.", there=there, fix=fix
    )


def packaged(weights: str, embedded: Path) -> Path | None:
    """Return the folder in the package that weights name, or None if they name none."""
    if weights == EMBEDDED:
        return embedded
    return embedded.parent / weights.removeprefix(BESIDE) if weights.startswith(BESIDE) else None


def find_weights(weights: str, revision: str, embedded: Path, files: HubFiles = ANY) -> Path | None:
    """Return the folder or file of weights that are on this machine, or None; the network is not asked."""
    folder = packaged(weights, embedded)
    if folder is not None:
        return folder
    if Path(weights).expanduser().exists():
        return Path(weights).expanduser()
    return _cached(weights, revision, files)


def need_weights(weights: str, revision: str, embedded: Path, files: HubFiles = ANY) -> Path:
    """Return the folder or file of weights, fetched from the hub if they are not here.

    Raises:
        MissingWeights: they are neither here nor to be had.
    """
    if weights == EMBEDDED and embedded == Path():
        raise MissingWeights(
            "The package holds no weights of this backbone.",
            fix="Name a hub repository, a folder or a file.",
        )
    return find_weights(weights, revision, embedded, files) or fetch_weights(
        weights, revision, files
    )


def fetch_weights(weights: str, revision: str, files: HubFiles = ANY) -> Path:
    """Fetch weights from the hub into its cache and return their folder.

    Raises:
        MissingWeights: the hub cannot be reached, or has no such repository or revision.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    fix = "With a network: `ovsskit models RECIPE --fetch`; or name a local folder as `weights`."
    try:
        HfApi().model_info(
            weights, revision=revision, timeout=10
        )  # a download would try six times to find a hub that is not there
        path = Path(
            snapshot_download(weights, revision=revision, allow_patterns=[*PATTERNS, files.safe])
        )
        if not any(path.glob(files.safe)):
            path = Path(
                snapshot_download(
                    weights, revision=revision, allow_patterns=[*PATTERNS, files.pickled]
                )
            )
        return path
    except HFValidationError as error:
        raise MissingWeights(
            f"`{weights}` is neither a file or folder here nor the name of a hub repository.",
            fix=fix,
        ) from error
    except RepositoryNotFoundError as error:
        raise MissingWeights(
            f"The hub has no repository `{weights}`, or it is closed to you.", fix=fix
        ) from error
    except RevisionNotFoundError as error:
        raise MissingWeights(
            f"The hub's repository `{weights}` has no revision `{revision}`.", fix=fix
        ) from error
    except Exception as error:  # the hub client passes on errors of whichever HTTP library it uses
        raise MissingWeights(
            f"The weights `{weights}` are not on this machine, and the hub cannot be reached.",
            fix=fix,
        ) from error


def describe_weights(
    weights: str, revision: str, embedded: Path, files: HubFiles = ANY
) -> WeightsInfo:
    """Say what is known of weights here and, if the hub answers, of weights that are not here."""
    path = find_weights(weights, revision, embedded, files)
    folder = packaged(weights, embedded)
    if folder is not None:
        return WeightsInfo(weights, "embedded", path, _size(folder), "Apache-2.0")
    if Path(weights).expanduser().exists():
        return WeightsInfo(weights, "local", path, _size(Path(weights).expanduser()), None)
    size, licence = _ask_hub(weights, revision, files)
    return WeightsInfo(weights, "hub", path, _size(path) if path else size, licence)


def _cached(weights: str, revision: str, files: HubFiles) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        wanted = [*PATTERNS, files.safe]
        path = Path(
            snapshot_download(
                weights, revision=revision, allow_patterns=wanted, local_files_only=True
            )
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return path if any(path.glob(files.safe)) or (path / files.pickled).is_file() else None


def _ask_hub(weights: str, revision: str, files: HubFiles) -> tuple[int | None, str | None]:
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(weights, revision=revision, files_metadata=True, timeout=5)
    except (
        Exception
    ):  # what the hub would say is a courtesy, and its client passes on errors of its HTTP library
        return None, None
    there = {file.rfilename: file.size or 0 for file in info.siblings or []}
    safe = sum(size for name, size in there.items() if fnmatch(name, files.safe))
    return safe or there.get(files.pickled), info.card_data.get(
        "license"
    ) if info.card_data else None


def _size(path: Path) -> int:
    files: Sequence[Path] = (
        [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    )
    return sum(file.stat().st_size for file in files)
