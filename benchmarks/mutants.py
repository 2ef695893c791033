"""Plant small faults in the code and in the recipes, one at a time, and see which tests find them.

    python benchmarks/mutants.py --count 200
    python benchmarks/mutants.py --count 40 --of recipes --seed 1
    python benchmarks/mutants.py --files ovsskit/engine/memo.py

Each mutant changes one operator, constant or keyword of a copy of the checkout and runs the tests
that mirror the file, then the wider ones. What no test finds survives and is listed. Text for
people (docstrings, messages, descriptions of fields) and annotations are left alone. Needs a system
that can fork.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from ovsskit.torchvision_names import declare_torchvision

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {
    "stages": "ovsskit/stages/[!w]*/[!_]*.py",
    "wrappers": "ovsskit/stages/wrap/[!_]*.py",
    "metrics": "ovsskit/ops/metrics.py",
    "output": "ovsskit/run/output/[!_]*.py",
    "recipes": "recipes/*.toml",
}
STAGES = (
    "tests/contract/test_surface.py",
    "tests/test_published_settings.py",
    "tests/contract/test_stages.py",
    "tests/parity/test_clip_family.py",
    "tests/parity/test_pnp_ovss.py",
    "tests/parity/test_itaclip_spatial.py",
)
WIDER = {
    "stages": STAGES,
    "wrappers": STAGES,
    "metrics": ("tests/study/test_true_masks.py", "tests/study/test_engine.py"),
    "output": (
        "tests/run/output",
        "tests/files",
        "tests/cli/test_resume.py",
        "tests/cli/test_run.py",
    ),
    "recipes": ("tests/test_published_settings.py", "tests/contract/test_recipes.py"),
    "others": (),
}
"""What runs where the tests that mirror a file find nothing."""
SECONDS = 900
"""A mutant that takes longer has been found: it does not end."""

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
LEFT_ALONE = {"description", "what", "fix", "there", "title", "doc"}
"""Keyword arguments that are text for people."""


@dataclass(frozen=True)
class Mutant:
    """Hold one planted fault: the file, its changed text, the line, and the change."""

    group: str
    path: str
    line: int
    change: str
    text: str


def other_expression(node: ast.AST) -> ast.expr | None:
    """Return an expression that differs from a node in one operator or constant, if any."""
    match node:
        case ast.Compare(left, [op, *more], values) if type(op) in COMPARISONS:
            return ast.Compare(left, [COMPARISONS[type(op)](), *more], values)
        case ast.BinOp(_, ast.Div(), ast.Constant(str())):
            return None  # a path
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            return ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.BoolOp(op, values):
            return ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert(), operand):
            return operand
        case ast.IfExp(test, body, orelse):
            return ast.IfExp(test, orelse, body)
        case ast.Constant(bool() as value):
            return ast.Constant(not value)
        case ast.Constant(int() as value):
            return ast.Constant(value + 1)
        case ast.Constant(float() as value):
            return ast.Constant(value * 1.25 or 0.1)
    return None


def left_alone(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a node that are not mutated, such as annotations and text for people."""
    match node:
        case ast.keyword(arg, value) if arg in LEFT_ALONE:
            return [value]
        case ast.keyword("strict", ast.Constant(True) as value):
            return [value]  # fails on faults alone that are elsewhere
        case ast.AnnAssign(ast.Name("version"), annotation, ast.Constant() as value):
            return [annotation, value]  # no number moves
        case ast.AnnAssign():
            return [node.annotation]
        case ast.FunctionDef():
            return [node.args, *filter(None, [node.returns])]
    return []


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Return a node and all below it, but for what is left alone."""
    yield node
    skipped = left_alone(node)
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from walk(child)


def mutants_of(group: str, path: Path) -> Iterator[Mutant]:
    """Return every mutant of a file."""
    source, name = path.read_text(), path.relative_to(ROOT).as_posix()
    plant = plant_in_recipe if path.suffix == ".toml" else plant_in_python
    for start, end, line, text in plant(source):
        old = source.encode()[start:end].decode()
        changed = source.encode()[:start] + text.encode() + source.encode()[end:]
        yield Mutant(group, name, line, f"{shorten(old)} -> {shorten(text)}", changed.decode())


def plant_in_python(source: str) -> list[tuple[int, int, int, str]]:
    """Return where faults can be planted in Python: start, end, line and replacement."""
    lines = [0, *accumulate(len(line) for line in source.encode().splitlines(keepends=True))]
    spans = []
    for node in walk(ast.parse(source)):
        other = other_expression(node)
        if other is not None and isinstance(node, ast.expr):
            start = lines[node.lineno - 1] + node.col_offset
            end = lines[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
            spans.append((start, end, node.lineno, f"({ast.unparse(other)})"))
    return spans


def plant_in_recipe(source: str) -> list[tuple[int, int, int, str]]:
    """Return where faults can be planted in a recipe.

    These are numbers and booleans of its settings, except those of `[study]`.
    """
    spans, offset, is_study = [], 0, False
    for number, line in enumerate(source.splitlines(keepends=True), 1):
        if line.startswith("["):
            is_study = line.startswith(("[study", "[[study"))
        key, equals, value = line.split("#")[0].partition("=")
        if equals and not is_study and '"' not in value:
            for match in re.finditer(r"\b(true|false)\b|-?\b\d+(\.\d+)?(e-?\d+)?\b", value):
                start = offset + len((key + equals + value[: match.start()]).encode())
                spans.append((start, start + len(match[0]), number, other_value(match[0])))
        offset += len(line.encode())
    return spans


def other_value(text: str) -> str:
    """Return another value of the same type as this one of a recipe."""
    if text in ("true", "false"):
        return "false" if text == "true" else "true"
    return repr(float(text) * 0.8 or 0.1) if {".", "e"} & set(text) else str(int(text) + 1)


def shorten(text: str) -> str:
    """Return a text on one line that is not too long to read."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def tests_for(mutant: Mutant) -> tuple[list[str], list[str]]:
    """Return the tests that mirror a file, and the wider ones."""
    stem = Path(mutant.path).stem
    if mutant.group == "recipes":
        name = "tests/test_published_settings.py::test_recipe_has_the_published_settings"
        return [f"{name}[{stem}]"], list(WIDER["recipes"])
    nearest = glob(f"tests/**/test_{stem}.py")
    return nearest, [one for one in WIDER[mutant.group] if one not in nearest]


def glob(pattern: str) -> list[str]:
    """Return the files of the checkout that match a pattern."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


def is_found(mutant: Mutant, folder: Path) -> bool:
    """Say whether a test fails on a mutant, which is written into a copy of the checkout."""
    target = folder / mutant.path
    kept = target.read_text()
    target.write_text(mutant.text)
    try:
        return any(tests and fails(tests, folder) for tests in tests_for(mutant))
    finally:
        target.write_text(kept)


def fails(tests: list[str], folder: Path) -> bool:
    """Say whether one of these tests fails in a copy of the checkout, or does not end."""
    child = os.fork()  # the libraries are read once, before
    if child == 0:
        status = 1
        try:
            status = run_tests(tests, folder)
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] != 0


def run_tests(tests: list[str], folder: Path) -> int:
    """Run tests in a copy of the checkout, quietly, and return pytest's exit status.

    This process is of no use then.
    """
    signal.alarm(SECONDS)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    for name in [one for one in sys.modules if one.split(".")[0] == "ovsskit"]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(one for one in sys.path if Path(one).resolve() != ROOT)]
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    # what was read before the fork cannot be rewritten, of which pytest warns
    warns = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *warns, *tests]))


def read_libraries() -> None:
    """Import the heavy libraries before this process forks, so that no run of the tests does."""
    declare_torchvision()
    for name in ("torch", "kornia", "transformers", "open_clip", "optuna"):
        import_module(name)


@contextmanager
def checkout() -> Iterator[Path]:
    """Make a copy of the checkout for the time being, and return its folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        files = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        yield folder


def see_baseline(mutants: list[Mutant]) -> None:
    """End the program if one of the tests fails without any mutant: it would find everything."""
    tests = sorted({test for mutant in mutants for group in tests_for(mutant) for test in group})
    with checkout() as folder:
        if tests and fails(tests, folder):
            broken = ", ".join(test for test in tests if fails([test], folder))
            sys.exit(f"These fail without a mutant, and would find every one: {broken}")


def judge(mutants: list[Mutant]) -> list[bool]:
    """Say of every mutant whether the tests find it, in this process's copy of the checkout."""
    with checkout() as folder:
        found = []
        for mutant in mutants:
            found.append(is_found(mutant, folder))
            state = "found" if found[-1] else "SURVIVES"
            print(f"{state:9}{mutant.path}:{mutant.line}  {mutant.change}", flush=True)
        return found


def files_by_group(groups: list[str], names: list[Path]) -> dict[str, list[Path]]:
    """Return the files to plant mutants in: all of these groups, or the named ones by their group.

    A file of none is in `others`.
    """
    of_groups = {group: sorted(ROOT.glob(pattern)) for group, pattern in GROUPS.items()}
    if not names:
        return {group: of_groups[group] for group in groups}
    files: dict[str, list[Path]] = defaultdict(list)
    for path in map(Path.resolve, names):
        group = next((group for group, paths in of_groups.items() if path in paths), "others")
        files[group].append(path)
    return files


def choose(count: int, files: dict[str, list[Path]], seed: int) -> list[Mutant]:
    """Return so many mutants, as many of each group as there are, drawn by the seed."""
    draw = random.Random(seed)
    chosen: list[Mutant] = []
    for index, (group, paths) in enumerate(files.items()):
        share = (count - len(chosen)) // (len(files) - index)
        every = [one for path in paths for one in mutants_of(group, path)]
        chosen += draw.sample(every, min(share, len(every)))
    return chosen


def main() -> None:
    """Plant mutants, and print which of them no test finds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="how many mutants")
    parser.add_argument("--of", choices=list(GROUPS), nargs="+", default=list(GROUPS))
    parser.add_argument("--files", type=Path, nargs="+", default=[], help="in these files alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes at work at once")
    options = parser.parse_args()
    read_libraries()
    files = files_by_group(options.of, options.files)
    mutants = choose(options.count, files, options.seed)
    see_baseline(mutants)
    shares = [mutants[start :: options.workers] for start in range(options.workers)]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("fork")) as pool:
        found = list(zip(shares, pool.map(judge, shares), strict=True))
    table = Table("of", "mutants", "found")
    results = [
        (mutant, hit) for share, hits in found for mutant, hit in zip(share, hits, strict=True)
    ]
    for group in [*files, "all"]:
        hits = [hit for mutant, hit in results if group in (mutant.group, "all")]
        table.add_row(group, str(len(hits)), f"{sum(hits) / max(len(hits), 1):.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
