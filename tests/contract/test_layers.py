"""Imports run downwards only, from the command line to the engine, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ovsskit

PACKAGE = Path(ovsskit.__file__).parent
ORDER = (
    ("__init__", "_version", "errors", "torchvision_names"),
    ("_lazy",),
    ("files",),
    ("hub",),
    ("embedded",),
    ("engine",),
    ("ops",),
    ("datasets",),
    ("recipe",),
    ("texts",),
    ("backbones",),
    ("stages",),
    ("run",),
    ("bank", "compare", "eval", "export", "fit", "sentences", "words", "study.spec"),
    ("distil", "reproduce", "report"),
    ("serve",),
    ("study.search",),
    ("study.report",),
    ("study",),
    ("testing",),
    ("cli",),
    ("__main__",),
)
"""The rooms of the package from the lowest up; a module imports what is in its own room or below.
"""
HEIGHTS = {room: height for height, rooms in enumerate(ORDER) for room in rooms}
MAY_LOOK_UP = {"__init__"}
"""The public names are of every room; they are imported when they are first asked for."""


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name in it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        is_package = parts[-1] == "__init__" and len(parts) > 1
        found[".".join(parts[:-1] if is_package else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.append(inner if _inside(inner) in known else node.module or "")
        for name in names:
            if name.split(".")[0] == "ovsskit":
                yield _inside(name)


def _inside(name: str) -> str:
    return name.removeprefix("ovsskit").removeprefix(".") or "__init__"


def height(module: str) -> int:
    """Return how high the room of a module is; a room inside another counts before it."""
    rooms = [one for one in HEIGHTS if module == one or module.startswith(f"{one}.")]
    assert rooms, f"{module} is in no room; give it one in ORDER"
    return HEIGHTS[max(rooms, key=len)]


GRAPH = {name: sorted({*imports(path, modules())}) for name, path in modules().items()}


@pytest.mark.parametrize("name", [name for name in GRAPH if name not in MAY_LOOK_UP])
def test_imports_run_downwards(name: str) -> None:
    upward = [one for one in GRAPH[name] if height(one) > height(name)]
    assert not upward, f"{name} imports from above"


def test_imports_go_in_no_circle() -> None:
    found = {name: ones for name, ones in GRAPH.items() if name not in MAY_LOOK_UP}
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_engine_knows_no_recipe_and_no_shipped_stage() -> None:
    for name, ones in GRAPH.items():
        if name.split(".")[0] == "engine":
            assert not {one.split(".")[0] for one in ones} & {
                "recipe",
                "stages",
                "backbones",
                "cli",
            }
