"""What the package holds is what the wheel holds: code, and the data that running code reads."""

import ast
from pathlib import Path

import ovsskit
from ovsskit.datasets.facts import dataset_names

PACKAGE = Path(ovsskit.__file__).parent
BENCHMARKS = PACKAGE.parent / "benchmarks"

EMBEDDED = {
    *("__init__.py", "names.py", "MODEL_CARD.md"),
    *("blip_itm", "clip", "dino", "ofa", "ofa_tuned", "scenes", "student"),
}
DATA = {
    "py.typed",
    *(
        "gallery.html",
        "style.html",
        "study.html",
        "evaluation.html",
        "tables.html",
        "page.html",
        "comparison.html",
    ),
    *("definitions.toml", "definitions.txt", "synonyms.toml", "synonyms.txt", "distractors.txt"),
    *("gpt2_merges.txt.gz", "symbol_order.npy"),
}


def files(folder: Path) -> list[Path]:
    """List what a wheel takes from a folder: bytecode is left out."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if "__pycache__" not in path.parts)


def test_the_embedded_models_are_weights_scenes_and_names() -> None:
    held = {path.relative_to(PACKAGE / "embedded").parts[0] for path in files(PACKAGE / "embedded")}
    assert held == EMBEDDED
    suffixes = {path.suffix for path in files(PACKAGE / "embedded") if path.parent.name in EMBEDDED}
    assert suffixes == {".json", ".safetensors", ".txt"}
    scenes = {path.suffix for path in files(PACKAGE / "embedded" / "scenes")}
    assert scenes == {".jpg", ".json", ".png"}


def test_all_other_files_are_code_or_known_data() -> None:
    apart = {PACKAGE / "embedded", PACKAGE / "datasets" / "facts"}
    others = [path for path in files(PACKAGE) if not apart & {*path.parents}]
    assert {path.name for path in others if path.suffix != ".py"} == DATA


def test_the_facts_of_all_data_sets_are_there() -> None:
    held = {
        path.relative_to(PACKAGE / "datasets" / "facts").as_posix()
        for path in files(PACKAGE / "datasets" / "facts")
    }
    assert held == {f"{name}.toml" for name in dataset_names()}


def test_the_package_imports_no_benchmark() -> None:
    workshop = {path.stem for path in BENCHMARKS.iterdir()}
    assert "tiny_models" in workshop
    for path in files(PACKAGE):
        if path.suffix == ".py":
            assert not imported(path) & workshop, path


def imported(path: Path) -> set[str]:
    """Return the first part of each name that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}
