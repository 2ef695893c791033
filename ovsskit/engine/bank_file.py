"""What all banks share: a file of safetensors with notes, which is never taken at its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ovsskit.engine.model import Backbone
from ovsskit.errors import BadFile, Place

FIX = "Build one: ovsskit bank build RECIPE --images FOLDER"
NOTE = "ovsskit_bank"
PICKLED = (b"PK\x03\x04", b"\x80")
"""How files begin that Python's pickle or torch wrote."""
HEADER = b"{"
"""What safetensors have after the eight bytes of a length, which may look like a pickle's."""


def read_notes(path: Path) -> dict[str, Any]:
    """Return the notes of a bank, from its header alone.

    Raises:
        BadFile: there is no such file, or it is broken, or is no bank.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as opened:
            start = opened.read(9)
        if start.startswith(PICKLED) and start[8:] != HEADER:
            what = "The file is a pickle; it is not read, since reading a pickle can run code."
            raise bad_bank(path, what)
        with safe_open(path, "np") as file:
            notes = json.loads((file.metadata() or {})[NOTE])
        if not isinstance(notes, dict):
            raise TypeError(NOTE)
    except (OSError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise bad_bank(path, f"The bank cannot be read: {reason}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise bad_bank(path, "The file is not a bank: it lacks a bank's metadata.") from error
    return notes


def bad_bank(path: Path, what: str, there: str = "", fix: str = FIX) -> BadFile:
    """Return the error that says what is wrong with a bank."""
    return BadFile(what, there=there, fix=fix, where=Place(str(path)))


def refuse_other_weights(path: Path, digest: str, source: str, model: object) -> None:
    """Refuse a bank whose vectors are of another model than that of a recipe.

    `digest` and `source` are those of the model that it was built with. Models without weights are
    not compared.

    Raises:
        BadFile: the bank was built with other weights.
    """
    own = model.describe_content().get("digest") if isinstance(model, Backbone) else None
    if own and digest and own != digest:
        what = "The bank was built with other weights than those of the recipe's model."
        there = f"It was built with {source or digest[:12]}."
        raise bad_bank(path, what, there)


def note_model(model: Backbone) -> dict[str, Any]:
    """Return what a bank notes of a model that it was built with."""
    return {"source": model.source, "digest": str(model.describe_content().get("digest", ""))}
