"""Find classes by name.

A built-in stage or backbone is found by its file name: no table, no decorator.
`ovsskit/stages/<family>/<name>.py` holds the one public stage `<Name>`;
`ovsskit/backbones/<family>/<name>.py` the one backbone.
Others come from installed entry points (`ovsskit.stages`, `ovsskit.backbones`) and from files that
the person names with `--plugin`. Recipes never load code.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Stage, use_of
from ovsskit.engine.wiring import Catalogue
from ovsskit.errors import BadPlugin, Place
from ovsskit.files.shipped import PACKAGE

PLUGINS: dict[str, type] = {}
"""What `load_plugin` has brought in, by name."""
PLUGIN_FILES: list[Path] = []
"""The files that it was brought in from, for other processes."""


@cache
def stage_files() -> dict[str, str]:
    """Return the module of every built-in stage by name, without importing any."""
    return _public_files("stages")


@cache
def backbone_files() -> dict[str, str]:
    """Return the module of every built-in backbone by name, without importing any."""
    return _public_files("backbones")


def _public_files(room: str) -> dict[str, str]:
    found = sorted((PACKAGE / room).glob("*/[!_]*.py"), key=lambda path: path.stem)
    return {path.stem: f"ovsskit.{room}.{path.parent.name}.{path.stem}" for path in found}


def stage_names() -> list[str]:
    """List every stage that a recipe may use."""
    return _names("ovsskit.stages", stage_files(), Stage)


def backbone_names() -> list[str]:
    """List every backbone that a recipe may use."""
    return _names("ovsskit.backbones", backbone_files(), Backbone)


def find_stage(name: str) -> type[Stage] | None:
    """Return the stage class of a name, or None."""
    return _find(name, "ovsskit.stages", stage_files(), Stage)


def find_backbone(name: str) -> type | None:
    """Return the backbone class of a name, or None."""
    return _find(name, "ovsskit.backbones", backbone_files(), Backbone)


def _every_stage() -> dict[str, type[Stage]]:
    found = {name: find_stage(name) for name in stage_names()}
    return {name: cls for name, cls in found.items() if cls is not None}


def _every_backbone() -> dict[str, type]:
    found = {name: find_backbone(name) for name in backbone_names()}
    return {name: cls for name, cls in found.items() if cls is not None}


CATALOGUE = Catalogue(_every_stage, _every_backbone)
"""What a recipe may use; nothing is imported until it is used."""


def load_plugin(path: Path) -> list[str]:
    """Import a Python file that a person named; return the names of its stages and backbones.

    Raises:
        BadPlugin: the file is missing, cannot be imported, or defines neither.
    """
    module_name, where = f"ovsskit_plugin_{path.stem}", Place(str(path))
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not path.is_file():
        what, fix = "There is no such Python file.", "Give the path of a .py file."
        raise BadPlugin(what, fix=fix, where=where)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        what = f"The file cannot be imported: {type(error).__name__}: {error}"
        raise BadPlugin(what, where=where) from error
    found = {use_of(cls): cls for cls in _own_classes(module) if issubclass(cls, Stage | Backbone)}
    if not found:
        fix = "Define a class that inherits `ovsskit.Stage` or `ovsskit.Backbone`."
        raise BadPlugin("The file defines neither a stage nor a backbone.", fix=fix, where=where)
    PLUGINS.update(found)
    if path.absolute() not in PLUGIN_FILES:
        PLUGIN_FILES.append(path.absolute())
    return list(found)


def _own_classes(module: ModuleType) -> list[type]:
    classes = [item for item in vars(module).values() if isinstance(item, type)]
    return [cls for cls in classes if cls.__module__ == module.__name__]


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    """Return what other packages offer; reading this from disk takes longer than a whole check."""
    return {point.name: point for point in entry_points(group=group)}


def _names(group: str, files: dict[str, str], base: type) -> list[str]:
    plugins = [name for name, cls in PLUGINS.items() if issubclass(cls, base)]
    return sorted({*files, *plugins, *_installed(group)})


def _find(name: str, group: str, files: dict[str, str], base: type) -> type | None:
    if name in PLUGINS and issubclass(PLUGINS[name], base):
        return PLUGINS[name]
    if name in files:
        own = {use_of(cls): cls for cls in _own_classes(import_module(files[name]))}
        return own[name]
    point = _installed(group).get(name)
    if point is None:
        return None
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:
        raise BadPlugin(
            f"The installed `{name}` cannot be imported: {error}", where=Place(point.value)
        ) from error
    return cls if isinstance(cls, type) and issubclass(cls, base) else None
