"""Say what makes two runs the same: stages and their parameters, models and their weights, classes.

Device, batch and which images are run do not belong to it: they may change while a run goes on in
its folder.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from ovsskit.engine.model import Backbone
from ovsskit.engine.plan import Plan
from ovsskit.engine.rendering import PLAIN, Rendering
from ovsskit.engine.stage import Stage, Wrapper, own_slot, paths_of, use_of
from ovsskit.files.digests import digest_path
from ovsskit.files.shipped import PACKAGE


def identify(plan: Plan) -> dict[str, Any]:
    """Return the identity of a run as plain JSON values.

    Raises:
        MissingWeights: a model's weights are neither local nor downloadable.
    """
    identity: dict[str, Any] = {
        "stages": [stage_identity(stage) for stage in plan.stages],
        "models": {name: model_identity(model) for name, model in plan.models.items()},
        "classes": {
            "names": plan.vocabulary.names,
            "ids": plan.vocabulary.ids,
            "background": plan.vocabulary.background,
            "synonyms": plan.vocabulary.synonyms,
            "background_words": plan.vocabulary.background_words,
        },
    }
    if plan.vocabulary.negatives:
        identity["classes"]["negatives"] = plan.vocabulary.negatives
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def identify_rendering(rendering: Rendering) -> dict[str, Any]:
    """Return what more makes two runs the same: how numbers become colours.

    The usual way of that is not named: folders of older versions go on.
    """
    return {} if rendering == PLAIN else {"reading": asdict(rendering)}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List in words what differs between two identities, by address."""
    before, now = dict(_flatten(old)), dict(_flatten(new))
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [f"{key}: {_show(before, key)} there, {_show(now, key)} now" for key in changed]


def stage_identity(stage: Stage) -> dict[str, Any]:
    """Return what a stage is and does, and the content of its code and of its files."""
    cls = type(stage)
    entry: dict[str, Any] = {"address": stage.address, "use": use_of(cls), "version": cls.version}
    is_renamed = stage.writes != own_slot(cls)
    left_out = {"name", "inner"} | ({"writes"} if not is_renamed else set())
    entry |= stage.model_dump(mode="json", exclude=left_out) | _code(cls)
    for name in paths_of(cls):
        path = Path(getattr(stage, name))
        if getattr(stage, name) and path.exists():
            entry[f"{name} (content)"] = digest_path(path) if path.is_file() else _inside(path)
    return entry | (
        {"inner": [stage_identity(inner) for inner in stage.inner]}
        if isinstance(stage, Wrapper)
        else {}
    )


def _inside(folder: Path) -> str:
    """Return one digest of all files in a folder and the folders in it."""
    from ovsskit.files.digests import digest_files

    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*")}
    return digest_files({name: file for name, file in files.items() if file.is_file()})


def model_identity(model: Backbone) -> dict[str, Any]:
    """Return what a model is, and the content of its weights if it has any.

    Raises:
        MissingWeights: they are neither local nor downloadable.
    """
    cls = type(model)
    return {
        "use": use_of(cls),
        **model.model_dump(mode="json"),
        **model.describe_content(),
        **_code(cls),
    }


def _code(cls: type) -> dict[str, str]:
    """Return what distinguishes versions of a third-party class."""
    source = _source(cls)
    return (
        {}
        if source.is_relative_to(PACKAGE)
        else {"code": digest_path(source) if source.is_file() else _unsaved(cls)}
    )


@cache
def _source(cls: type) -> Path:
    try:
        return Path(inspect.getsourcefile(cls) or "")
    except (OSError, TypeError):  # typed in by hand
        return Path()


@cache
def _unsaved(cls: type) -> str:
    """Return what only this class in this process has: no file tells whether it changed."""
    return uuid4().hex


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
        yield from _flatten(
            {key: item for key, item in entry.items() if key != "address"}, entry["address"]
        )


def _show(values: Mapping[str, Any], key: str) -> str:
    text = json.dumps(values[key], ensure_ascii=False) if key in values else "nothing"
    return text if len(text) <= 80 else f"{text[:79]}…"
