"""Read a network of transformers from a folder in the format of the hub, as its library does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovsskit._lazy import transformers
from ovsskit.errors import BadWeights, Place


def read_hub_network(folder: Path, kind: str, dtype: Any, called: str, fix: str) -> Any:
    """Return the network of a folder; `kind` is its class, and `called` what people call it.

    Raises:
        BadWeights: it is no folder, it cannot be read, or tensors are missing; `fix` would fix it.
    """
    if not folder.is_dir():
        what = f"{called} is read from a folder with a config.json."
        raise BadWeights(what, fix=fix, where=Place(str(folder)))
    transformers.utils.logging.disable_progress_bar()
    try:
        network, found = getattr(transformers, kind).from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True, dtype=dtype
        )
    except Exception as error:  # readers of broken files raise whatever they stumble over
        reason = " ".join(str(error).split())[:300]
        what = f"These weights cannot be read as a {called}."
        raise BadWeights(what, there=reason, fix=fix, where=Place(str(folder))) from error
    if lacking := sorted(found["missing_keys"]):
        what = f"These weights of a {called} lack {len(lacking)} tensors: {lacking[0]}."
        raise BadWeights(what, fix=fix, where=Place(str(folder)))
    return network
