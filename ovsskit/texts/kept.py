"""Keep the vectors of words in the user's cache: no run encodes what an earlier one did.

They are known by everything that they follow from: the model with the digest of its files, the
words and sentences, the code, the libraries, and the kind of processor, since each may change the
last bits.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.identity import model_identity
from ovsskit.engine.model import EncodesText, PretrainedBackbone
from ovsskit.engine.notices import Silent, hearing
from ovsskit.engine.store import Store
from ovsskit.engine.values import TextFeatures
from ovsskit.errors import OvsskitError
from ovsskit.files.cache import cache_folder
from ovsskit.files.digests import digest_texts
from ovsskit.files.shipped import PACKAGE

MEMORY_BYTES, DISK_BYTES = 1 << 26, 1 << 28
LIBRARIES = ("torch", "open_clip_torch", "transformers", "tokenizers")

log = logging.getLogger(__name__)


def recall(
    backbone: EncodesText,
    words: Sequence[str],
    templates: Sequence[str],
    encode: Callable[[], Float[torch.Tensor, "text width"]],
) -> Float[torch.Tensor, "text width"]:
    """Return the vectors of words, one a row, from the cache or as `encode` computes them."""
    store = _store(cache_folder())
    if store is None or not isinstance(backbone, PretrainedBackbone):
        return encode()
    if backbone.find_weights() is None:
        return encode()
    model = {**model_identity(backbone), "weights": "", "revision": ""}  # not by name
    parts = [model, _code(), _machine(backbone.device), list(words), list(templates)]
    key = digest_texts([json.dumps(part) for part in parts])
    found = store.find(key, backbone.device)
    if isinstance(found, TextFeatures):
        return found.data
    with hearing(Silent()) as notices:
        vectors = encode()
    if (
        not notices.seen
    ):  # what there is to say of a text, such as that it was cut, is said in every run
        store.keep(key, TextFeatures(vectors, tuple(range(len(words)))))
    return vectors


@cache
def _store(folder: Path) -> Store | None:
    """Return what is kept in a folder, or None if it cannot be written."""
    try:
        return Store(folder / "texts", MEMORY_BYTES, DISK_BYTES)
    except OvsskitError as error:
        log.debug("vectors of words are not kept: %s", error.what)
        return None


@cache
def _code() -> str:
    """Return a digest of this package's code."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _machine(device: str) -> list[Any]:
    """Return what the last bits depend on beside the model and its input."""
    chip: Any = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    if device.startswith("cuda"):
        chip = torch.cuda.get_device_name(device)
    return [device.partition(":")[0], chip, [version(library) for library in LIBRARIES]]
