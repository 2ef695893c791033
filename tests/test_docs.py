"""What the documentation says is so: recipes check, commands parse, and Python runs."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from ovsskit.cli.app import app
from ovsskit.errors import OvsskitError
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe import registry
from ovsskit.run.samples import sample_images
from ovsskit.study.spec.check_file import check_file

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PLUGINS = ("sharpen.py", "two_views.py", "regions.py", "guess.py")
FENCE = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A block of code on a page: its language, its title, and what stands in it."""

    page: str
    line: int
    language: str
    title: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    for page in [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]:
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        for found in FENCE.finditer(text):
            title = re.search(r'title="([^"]+)"', found[3])
            if found[2] in languages:
                line = text.count("\n", 0, found.start()) + 1
                yield Block(
                    page.relative_to(ROOT).as_posix(),
                    line,
                    found[2],
                    title[1] if title else "",
                    found[4],
                )


def name_of(block: Any) -> str:
    return f"{block.page}:{block.line}" if isinstance(block, Block) else str(block)


def whole_recipes() -> list[Block]:
    return [
        block for block in blocks("toml") if block.title and not block.title.startswith("broken")
    ]


def commands() -> list[tuple[str, list[str]]]:
    """Return every documented call of the program with the page it stands on."""
    found = []
    for block in blocks("sh", "console"):
        for line in block.text.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            starts = [index for index, word in enumerate(words) if Path(word).name == "ovsskit"]
            if starts and words[-1] != "...":
                rest = words[starts[0] + 1 :]
                end = next(
                    (index for index, word in enumerate(rest) if word in (">", "&&", "|", ";")),
                    len(rest),
                )
                found.append((f"{block.page}: {line.strip()}", rest[:end]))
    return found


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """Return a folder with the recipes and the code of the pages, under their titles."""
    for block in blocks("toml", "python"):
        if block.title:
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", list(blocks("toml")), ids=name_of)
def test_toml_is_valid(block: Block) -> None:
    assert tomllib.loads(block.text)


def test_titles_of_recipes_are_unique() -> None:
    titles = [block.title for block in blocks("toml") if block.title]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("block", whole_recipes(), ids=name_of)
def test_whole_recipes_pass_the_check(block: Block, recipes: Path) -> None:
    for plugin in PLUGINS:
        registry.load_plugin(recipes / plugin)
    (recipes / "present.json").write_text("{}")  # a recipe of the tutorial names it
    check_file(str(recipes / block.title))


@pytest.mark.parametrize(
    "block", [one for one in blocks("toml") if one.title.startswith("broken")], ids=name_of
)
def test_broken_recipes_give_the_messages_that_follow(
    block: Block, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = next(
        one for one in blocks("text") if one.page == block.page and one.line > block.line
    )
    monkeypatch.chdir(recipes)
    with pytest.raises(OvsskitError) as caught:
        check_file(block.title)
    assert f"{caught.value}\n" == following.text


@pytest.mark.parametrize(("where", "words"), commands(), ids=name_of)
def test_commands_parse(where: str, words: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    with group.make_context("ovsskit", list(words)) as context:
        name, command, rest = group.resolve_command(context, words)
        if command is not None and not {"-h", "--help"} & set(rest):
            command.make_context(name, rest, parent=context)


def test_documented_scripts_have_the_options_that_are_given() -> None:
    enter = "cd benchmarks && "
    lines = [
        line
        for block in blocks("sh")
        for line in block.text.splitlines()
        if line.removeprefix(enter).startswith("python ")
    ]
    assert lines
    for line in lines:
        words = shlex.split(line.removeprefix(enter))
        script = (ROOT / "benchmarks" if line.startswith(enter) else ROOT) / words[1]
        if words[1] == "-m":
            module = ROOT / "benchmarks" / words[2].replace(".", "/")
            script = module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
        text = script.read_text(encoding="utf-8")
        missing = [word for word in words if word.startswith("--") and f'"{word}"' not in text]
        if missing:  # options that the script makes of a table, which its help alone shows
            asked = [sys.executable, str(script), "--help"]
            told = subprocess.run(asked, cwd=script.parent, capture_output=True, text=True).stdout
            assert {*missing} <= {*told.replace(",", " ").split()}, words


@pytest.mark.parametrize("block", list(blocks("python")), ids=name_of)
def test_python_compiles(block: Block) -> None:
    compile(block.text, f"{block.page}:{block.line}", "exec")


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(sample_images()[0].read_bytes())
    names: dict[str, Any] = {}
    for block in blocks("python"):
        if block.title == "notebook":
            exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    assert names["result"].labels.ndim == 2


@pytest.mark.parametrize("page", ["docs/own_stage.md", "docs/own_backbone.md"])
def test_what_a_page_shows_of_own_code_runs_as_written(
    page: str, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recipes / "photos").mkdir()
    (recipes / "photos" / "photo.jpg").write_bytes(sample_images()[0].read_bytes())
    monkeypatch.chdir(recipes)
    lines = [line for one in blocks("sh") if one.page == page for line in one.text.splitlines()]
    assert lines
    for line in lines:
        [_, *words] = shlex.split(line)
        ended = CliRunner().invoke(app, words)
        assert ended.exit_code == 0, f"{line}: {ended.exception or ended.output}"
    ran = [words[1] for words in map(shlex.split, lines) if words[1] == "run"]
    assert len(list(recipes.glob("ovsskit-out/*/masks/photo.png"))) == len(ran) > 0


@pytest.mark.parametrize(
    "name", ["test_guess.py", *sorted(path.name for path in EXAMPLES.glob("test_*.py"))]
)
def test_the_examples_pass_their_own_tests(
    name: str, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(recipes)
    found = runpy.run_path(str(recipes / name))
    tests = [item for name, item in found.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


def test_every_stage_and_backbone_is_in_the_reference(hooks: ModuleType) -> None:
    pages = hooks.pages()
    for name, module in registry.stage_files().items():
        page = pages[f"reference/stages/{module.split('.')[2]}.md"]
        part = page.split(f"{{ #{name} }}\n")[1].split("\n## ")[0]
        cls: Any = registry.find_stage(name)
        assert all(
            f"| `{field}` |" in part
            for field in cls.model_fields
            if field not in ("name", "reads", "writes", "inner")
        )
        assert f"stages/{module.split('.')[2]}.md#{name}" in pages["reference/index.md"]
    for name in registry.backbone_files():
        backbone: Any = registry.find_backbone(name)
        page = pages[f"reference/backbones/{name}.md"]
        assert all(f"| `{field}` |" in page for field in backbone.model_fields)


def test_every_error_command_recipe_and_public_name_is_in_the_reference(hooks: ModuleType) -> None:
    import ovsskit

    pages = hooks.pages()
    codes = [cls.code for cls in hooks.error_classes()]
    assert len(codes) == len(set(codes)) > 20
    assert all(f'id="{code}"' in pages["reference/errors.md"] for code in codes)
    group: Any = typer.main.get_command(app)
    assert all(f"## {name} " in pages["reference/commands.md"] for name in group.commands)
    assert all(
        f"## {path.stem} " in pages["reference/recipes.md"]
        for path in recipe_folder().rglob("*.toml")
    )
    described = pages["reference/python.md"] + pages["reference/values.md"]
    assert all(f"{{ #{name} }}" in described for name in ovsskit.__all__ if name != "S")


def test_the_pages_name_only_stages_and_addresses_that_exist() -> None:
    known = {*registry.stage_names(), *registry.backbone_names()}
    fields = {
        name: set(found.model_fields)  # type: ignore[attr-defined]
        for name in known
        if (found := registry.find_stage(name) or registry.find_backbone(name))
    }
    for page in sorted(DOCS.rglob("*.md")):
        for stage, field in re.findall(
            r"`(\w+)\.(\w+)(?:`| = |=)", page.read_text(encoding="utf-8")
        ):
            if stage in fields:
                assert field in fields[stage], f"{page.name}: {stage}.{field}"
