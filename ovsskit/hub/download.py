"""Ask the model hub what a repository holds, and fetch files of it into the hub's cache.

Large files are fetched here: an interrupted one resumes where it stopped, and it is compared with
the hub's SHA-256 before it enters the cache. The hub's client does the rest. What it raises passes
through; `ovsskit.hub.trouble` puts it into words.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from filelock import FileLock

from ovsskit.errors import MissingWeights
from ovsskit.files.writing import PART
from ovsskit.hub.trouble import may_pass

WAITS = (1.0, 3.0)
"""Seconds to wait before the hub is asked again what a repository holds."""
TIMEOUT = 10.0
"""Seconds in which the hub has to answer that."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteFile:
    """Hold the size of a repository's file, and its SHA-256 if the file is large."""

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Listing:
    """Hold what the hub says of a repository at a commit."""

    repository: str
    commit: str
    licence: str | None
    files: dict[str, RemoteFile]


def list_files(repository: str, revision: str, *, patient: bool = True) -> Listing:
    """Ask the hub what a repository holds; the patient ask again where trouble may pass.

    Raises:
        Exception: whatever the hub's client raises.
    """
    from huggingface_hub import HfApi

    for wait in WAITS if patient else ():
        try:
            return list_files(repository, revision, patient=False)
        except Exception as error:  # the client passes on the errors of its HTTP library
            if not may_pass(error):
                raise
            log.debug("%s: asking again in %g s: %s", repository, wait, error)
            time.sleep(wait)
    info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=TIMEOUT)
    files = {}
    for one in info.siblings or []:
        sha256 = one.lfs.sha256 if one.lfs else ""
        files[one.rfilename] = RemoteFile(one.rfilename, one.size or 0, sha256)
    licence = info.card_data.get("license") if info.card_data else None
    return Listing(repository, str(info.sha), licence, files)


def find_snapshot(repository: str, revision: str) -> Path | None:
    """Return the folder of a repository's revision in the cache, which may lack files; or None.

    Raises:
        HFValidationError: this cannot be the name of a repository.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=[], local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        return None


def fetch(listing: Listing, revision: str, names: Sequence[str]) -> Path:
    """Fetch files of a repository into the cache, and return the folder that holds them.

    Raises:
        MissingWeights: a file arrived damaged.
        Exception: whatever the hub's client raises.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.file_download import are_symlinks_supported
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Hidden(tqdm):
        """Show no bar: what comes this way is small."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            options["disable"] = True
            super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]

    here = find_snapshot(listing.repository, listing.commit)
    lacking = [name for name in names if not (here / name).is_file()] if here else names
    missing = [listing.files[name] for name in lacking]
    if missing:
        log.warning(
            "fetching %d files (%s) of %s at %.7s into %s",
            len(missing),
            in_words(sum(file.size for file in missing)),
            listing.repository,
            listing.commit,
            constants.HF_HUB_CACHE,
        )
    large = [file for file in missing if file.sha256]
    for file in large if are_symlinks_supported() else ():  # else it would lie there twice
        _fetch_large(listing, file)
    folder = Path(
        snapshot_download(
            listing.repository,
            revision=revision,
            allow_patterns=[escape(name) for name in names],
            tqdm_class=Hidden,
        )
    )
    # A branch may have moved in the meantime.
    for file in large if folder.name == listing.commit else ():
        if not (folder / file.name).is_symlink():  # links are compared whenever they are read
            _compare(listing, file, folder / file.name)
    return folder


def in_words(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def expected_digest(file: Path) -> str:
    """Return the digest by which the hub's cache names a file; empty if it does not name it.

    It is the SHA-256 (64 digits) of a large file, and git's digest (40 digits) of another.
    """
    if not file.is_symlink():
        return ""
    blob = file.readlink()
    return blob.name if blob.parent.name == "blobs" else ""


def _fetch_large(listing: Listing, file: RemoteFile) -> None:
    """Fetch one file into the cache, in this thread, so that Ctrl-C ends it at once."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get, repo_folder_name
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    cache = Path(constants.HF_HUB_CACHE)
    folder = repo_folder_name(repo_id=listing.repository, repo_type="model")
    blob = cache / folder / "blobs" / file.sha256
    part = blob.with_name(f"{blob.name}.ovsskit{PART}")
    lock = cache / ".locks" / folder / f"{file.sha256}.lock"  # the one that the hub's client takes
    for parent in (blob.parent, lock.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if blob.exists():
            return
        with part.open("ab") as opened:
            if opened.tell() > file.size:
                opened.truncate(0)
            http_get(
                hf_hub_url(listing.repository, file.name, revision=listing.commit),
                opened,
                resume_size=part.stat().st_size,
                expected_size=file.size,
                headers=build_hf_headers(),
                displayed_filename=file.name,
            )
        _compare(listing, file, part)
        part.replace(blob)


def _compare(listing: Listing, file: RemoteFile, path: Path) -> None:
    """Compare a file that was fetched just now with the hub's; remove it if it differs."""
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.sha256:
        path.unlink()
        raise MissingWeights(
            f"`{file.name}` of `{listing.repository}` was damaged in transit.",
            there=f"Its SHA-256 is {found}, and the hub's {file.sha256}.",
            fix="Run the same command again: the file is fetched anew.",
        )
