"""Say what makes two runs the same: stages and their parameters, models and their weights, classes.

Device, batch and which pictures are run do not belong to it: they may change while a run goes on in its folder.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ovsskit.backbones.base import Backbone
from ovsskit.registry import PACKAGE
from ovsskit.stage import Stage, Wrapper, use_of
from ovsskit.values import Vocabulary

WEIGHT_FILES = frozenset({".safetensors", ".json", ".txt", ".model", ".pth", ".pt", ".bin"})


def identify(stages: Sequence[Stage], models: Mapping[str, Backbone], vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the identity of a run as plain JSON values.

    Raises:
        MissingWeights: a model's weights are neither here nor to be had.
    """
    identity = {
        "stages": [_stage(stage) for stage in stages],
        "models": {name: _model(model) for name, model in models.items()},
        "classes": {
            "names": vocabulary.names,
            "ids": vocabulary.ids,
            "background": vocabulary.background,
            "synonyms": vocabulary.synonyms,
            "background_words": vocabulary.background_words,
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List in words what differs between two identities, by address."""
    before, now = dict(_flatten(old)), dict(_flatten(new))
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [f"{key}: {_show(before, key)} there, {_show(now, key)} now" for key in changed]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files of weights in a folder; the hub's cache knows that of large files."""
    if path.is_file():
        stored = path.resolve()
        if stored.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", stored.name):
            return stored.name
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.suffix in WEIGHT_FILES and file.is_file())
    lines = [f"{digest(file)}  {file.relative_to(path).as_posix()}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _stage(stage: Stage) -> dict[str, Any]:
    cls = type(stage)
    entry: dict[str, Any] = {"address": stage.address, "use": use_of(cls), "version": cls.version}
    entry |= stage.model_dump(mode="json", exclude={"name", "inner"})
    own = inspect.getsourcefile(cls)
    if own and not Path(own).is_relative_to(PACKAGE):
        entry["code"] = digest(Path(own))
    for name, info in cls.model_fields.items():
        file = Path(str(getattr(stage, name)))
        if "path of recipe" in info.metadata and file.is_file():
            entry[f"{name} (content)"] = digest(file)
    return entry | ({"inner": [_stage(inner) for inner in stage.inner]} if isinstance(stage, Wrapper) else {})


def _model(model: Backbone) -> dict[str, Any]:
    return {"use": use_of(type(model)), **model.model_dump(mode="json"), "digest": digest(model.need_weights())}


def _flatten(value: Any, address: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in ("stages", "models", "inner"):
                yield from _flatten(item, f"{address}.{key}" if address else key)
            elif isinstance(item, Mapping):
                yield from _flatten(item)
            else:
                yield from _stages(item, address)
    else:
        yield address, value


def _stages(entries: Sequence[Mapping[str, Any]], address: str) -> Iterator[tuple[str, Any]]:
    yield f"stages of {address or 'the recipe'}", [entry["address"] for entry in entries]
    for entry in entries:
        yield from _flatten({key: item for key, item in entry.items() if key != "address"}, entry["address"])


def _show(values: Mapping[str, Any], key: str) -> str:
    text = json.dumps(values[key], ensure_ascii=False) if key in values else "nothing"
    return text if len(text) <= 80 else f"{text[:79]}…"
