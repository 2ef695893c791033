"""A bank: prototypes of words, and of which model and images they are, in a file of safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ovsskit._lazy import Float, torch
from ovsskit.engine.bank_file import NOTE, bad_bank, read_notes
from ovsskit.files.writing import write_whole

TENSOR = "prototypes"


@dataclass(frozen=True, eq=False)
class Bank:
    """Hold a prototype for every word, and notes on how they were made.

    `digest` is that of the model of whose patches they are.
    """

    words: tuple[str, ...]
    prototypes: Float[torch.Tensor, "word width"]
    digest: str
    notes: Mapping[str, Any] = field(default_factory=dict)


def write_bank(path: Path, bank: Bank) -> None:
    """Write a bank, whole or not at all.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written.
    """
    from safetensors.torch import save

    note = {**bank.notes, "words": bank.words, "digest": bank.digest}
    tensors = {TENSOR: bank.prototypes.float().contiguous()}
    content = save(tensors, {NOTE: json.dumps(note, ensure_ascii=False)})
    write_whole(path, partial(_write, content))


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def read_bank(path: Path) -> Bank:
    """Read a bank with its prototypes.

    Raises:
        BadFile: there is no such file, or it is broken, or is no bank.
    """
    from safetensors.torch import load

    words, note = read_words(path)
    found = load(path.read_bytes()).get(TENSOR)
    if found is None or found.dim() != 2 or len(found) != len(words):
        raise bad_bank(path, "The file holds no prototype for each of its words.")
    return Bank(words, found, str(note.get("digest", "")), note)


def read_words(path: Path) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the words and notes of a bank, from its header alone.

    Raises:
        BadFile: there is no such file, or it is broken, or is no bank.
    """
    notes = read_notes(path)
    if not isinstance(notes.get("words"), list):
        what = "This is not a bank of classes: it does not say which words it is for."
        raise bad_bank(path, what)
    return tuple(map(str, notes["words"])), notes
