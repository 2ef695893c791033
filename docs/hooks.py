"""Make the reference pages from the code itself, so that they never go stale.

`mkdocs build` calls this file.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
MODEL_CARD = ROOT / "ovsskit" / "embedded" / "MODEL_CARD.md"
CARD_MARK, WORDS_MARK = "<!-- model card -->", "<!-- words -->"
FAMILIES = {
    "presence": "Which classes are there",
    "text": "Classes into texts",
    "network": "The network",
    "attention": "What patches look at",
    "maps": "Maps",
    "regions": "Regions",
    "graph": "Graphs of patches",
    "wrap": "Wrappers",
    "refine": "Refining by the image",
    "reward": "Rewards",
}
"""Titles of the families of stages in the order of a method; other families come last."""
VALUES = (
    "Image", "Vocabulary", "Present", "Captions", "CrossAttention", "TokenMaps", "Hidden",
    "Similarity", "Attention", "PatchAttention", "PatchAffinity", "PatchSimilarity",
    "PatchWeights", "Explanation", "Features", "PatchFeatures", "GuideFeatures", "Gathered",
    "TextFeatures", "ForegroundMap", "Groups", "Nodes", "Scores", "Saliency", "Logits",
    "Confidences", "Probabilities", "Prototypes", "WordTokens", "WordMasks", "Labels",
    "Reward",
)  # fmt: skip


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference to the navigation."""
    stages: list[Any] = [{title: name} for name, title in page_titles("reference/stages/").items()]
    backbones: list[Any] = [
        {title: name} for name, title in page_titles("reference/backbones/").items()
    ]
    first = [
        "reference/recipes.md",
        "reference/commands.md",
        "reference/errors.md",
        "reference/values.md",
        "reference/python.md",
    ]
    titles = page_titles("reference/")
    section = [
        "reference/index.md",
        {"Stages": stages},
        {"Backbones": backbones},
        *({titles[name]: name} for name in first),
    ]
    assert config.nav is not None
    config.nav.append({"Reference": section})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the words and the model card of the tiny models where a page asks for them."""
    made = {CARD_MARK: model_card, WORDS_MARK: words}
    for mark, make in made.items():
        markdown = markdown.replace(mark, make()) if mark in markdown else markdown
    return markdown


@cache
def pages() -> dict[str, str]:
    """Return every generated file by its name.

    These are Markdown pages, the JSON Schema, and copies of the shipped recipes.
    """
    from ovsskit.recipe.schema import recipe_schema

    found = {"reference/index.md": overview()}
    found |= {f"reference/stages/{family}.md": family_page(family) for family in families()}
    found |= {f"reference/backbones/{name}.md": backbone_page(name) for name in backbones()}
    found |= {
        "reference/recipes.md": recipes_page(),
        "reference/commands.md": commands_page(),
        "reference/errors.md": errors_page(),
        "reference/values.md": values_page(),
        "reference/python.md": python_page(),
        "reference/recipe.schema.json": json.dumps(recipe_schema(), indent=2) + "\n",
    }
    return found | {
        f"reference/recipes/{path.name}": path.read_text(encoding="utf-8") for path in shipped()
    }


def page_titles(folder: str) -> dict[str, str]:
    """Return the heading of every generated page under a folder."""
    found = {
        name: text
        for name, text in pages().items()
        if name.startswith(folder) and name.endswith(".md")
    }
    return {name: text.splitlines()[0].removeprefix("# ") for name, text in found.items()}


def families() -> dict[str, list[str]]:
    """Return the built-in stages by family, in the order of a method."""
    from ovsskit.recipe.registry import stage_files

    found: dict[str, list[str]] = {}
    for name, module in stage_files().items():
        found.setdefault(module.split(".")[2], []).append(name)
    order = list(FAMILIES)
    return dict(
        sorted(
            found.items(),
            key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0]),
        )
    )


def backbones() -> list[str]:
    """Return the built-in backbones."""
    from ovsskit.recipe.registry import backbone_files

    return list(backbone_files())


def shipped() -> list[Path]:
    """Return the recipes that come with the package."""
    from ovsskit.files.shipped import recipe_folder

    return sorted(recipe_folder().rglob("*.toml"))


def overview() -> str:
    """Return the page that lists every stage and backbone."""
    from ovsskit.engine.stage import own_slot
    from ovsskit.recipe.describe import summary
    from ovsskit.recipe.registry import find_backbone, find_stage

    lines = [
        "# Reference",
        "",
        "These pages are made from the code each time the documentation is built.",
        "",
    ]
    for family, names in families().items():
        lines += [
            f"## {FAMILIES.get(family, family)}",
            "",
            "| stage | reads | writes | what it does |",
            "|---|---|---|---|",
        ]
        for name in names:
            cls: Any = find_stage(name)
            reads = ", ".join(f"`{slot}`" for slot, _ in reads_of(cls))
            lines.append(
                f"| [`{name}`](stages/{family}.md#{name}) | {reads} | `{own_slot(cls)}` | "
                f"{cell(summary(cls))} |"
            )
        lines.append("")
    lines += ["## Backbones", "", "| backbone | what it does |", "|---|---|"]
    lines += [
        f"| [`{name}`](backbones/{name}.md) | {cell(summary(found_class(find_backbone(name))))} |"
        for name in backbones()
    ]
    more = {
        "Shipped recipes": "recipes.md",
        "Commands": "commands.md",
        "Errors": "errors.md",
        "Values": "values.md",
        "Python": "python.md",
        "JSON Schema of recipes": "recipe.schema.json",
    }
    return "\n".join(
        [*lines, "", "## More", "", *(f"- [{title}]({link})" for title, link in more.items()), ""]
    )


def family_page(family: str) -> str:
    """Return the page of a family of stages."""
    from ovsskit.recipe.registry import find_stage

    parts = [stage_part(name, found_class(find_stage(name))) for name in families()[family]]
    about = inspect.getdoc(importlib.import_module(f"ovsskit.stages.{family}")) or ""
    return "\n".join([f"# {FAMILIES.get(family, family)}", "", about, "", *parts])


def stage_part(name: str, cls: Any) -> str:
    """Return a stage's part: its docstring, slots, version and parameters."""
    from ovsskit.engine.stage import Rerun, Wrapper, wiring

    plan = wiring(cls)
    reads = ", ".join(f"`{slot}` ({kind})" for slot, kind in reads_of(cls))
    facts = [
        f"reads {reads}",
        f"writes `{plan.writes}` ({kind_link(plan.kind)})",
        f"version {cls.version}",
    ]
    facts += ["runs a network"] if cls.batches else []
    if issubclass(cls, Rerun):
        facts.append("runs the stages before it again")
    elif issubclass(cls, Wrapper):
        neutral = ", ".join(f"`{key} = {to_toml(value)}`" for key, value in cls.neutral.items())
        facts.append(
            f"is a wrapper: its `inner` stages write `{plan.writes}`; with {neutral} it equals them"
        )
    return "\n".join(
        [
            f"## {name} {{ #{name} }}",
            "",
            prose(inspect.getdoc(cls) or ""),
            "",
            *(f"- {fact}" for fact in facts),
            "",
            parameters(cls),
            "",
        ]
    )


def backbone_page(name: str) -> str:
    """Return the page of a backbone."""
    from ovsskit.engine.model import capabilities
    from ovsskit.recipe.registry import find_backbone

    cls = found_class(find_backbone(name))
    able = [
        f"- **{one.__name__}**: {prose(inspect.getdoc(one) or '')}" for one in capabilities(cls)
    ]
    return "\n".join(
        [f"# {name}", "", prose(inspect.getdoc(cls) or ""), "", *able, "", parameters(cls), ""]
    )


def recipes_page() -> str:
    """Return the page of the shipped recipes, with their text."""
    lines = ["# Shipped recipes", "", "Each is known by its name: `ovsskit plan pnp_blip`.", ""]
    for path in shipped():
        text = path.read_text(encoding="utf-8")
        about = tomllib.loads(text).get("about", "")
        lines += [
            f"## {path.stem} {{ #{path.stem} }}",
            "",
            f"{about}. [{path.name}](recipes/{path.name})",
            "",
        ]
        lines += ["```toml", text.rstrip(), "```", ""]
    return "\n".join(lines)


def commands_page() -> str:
    """Return the page of the commands, as their `--help` has it."""
    lines = [
        "# Commands",
        "",
        "The same as `ovsskit --help` and `ovsskit COMMAND --help`; what they do is told on",
        "",
    ]
    lines[-1] = "[the page of the command line](../command-line.md)."
    lines += ["", "## Before any command", "", options(command_line()), ""]
    for name, command in command_line().commands.items():
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        words = [one.name.upper() if one.required else f"[{one.name.upper()}]" for one in arguments]
        usage = " ".join(
            [
                "ovsskit",
                name,
                "[OPTIONS]",
                *(
                    f"{w}..." if one.nargs == -1 else w
                    for w, one in zip(words, arguments, strict=True)
                ),
            ]
        )
        lines += [
            f"## {name} {{ #{name} }}",
            "",
            prose(inspect.cleandoc(command.help or "")),
            "",
            "```text",
            usage,
            "```",
            "",
            options(command),
            "",
        ]
    return "\n".join(lines)


def options(command: Any) -> str:
    """Return a table of a command's arguments and options."""
    rows = ["| argument or option | meaning | default |", "|---|---|---|"]
    for one in command.params:
        if one.name in ("help", "install_completion", "show_completion"):
            continue
        if one.param_type_name == "argument":
            name = f"`{one.name.upper()}`"
        else:
            spelt = ", ".join(f"`{flag}`" for flag in one.opts)
            name = spelt if one.is_flag else f"{spelt} {one.metavar or 'VALUE'}"
        shown = (
            one.show_default if isinstance(getattr(one, "show_default", None), str) else one.default
        )
        default = "" if shown in (None, "", False) or shown == [] else f"`{shown}`"
        rows.append(f"| {name} | {cell(one.help or '')} | {default} |")
    return "\n".join(rows)


def command_line() -> Any:
    """Return the command group of the program."""
    import typer

    from ovsskit.cli.app import app

    return typer.main.get_command(app)


def errors_page() -> str:
    """Return the page of the errors, by code."""
    lines = [
        "# Errors",
        "",
        (
            "Every error says where it is, what is wrong, what there is, and what would fix it. "
            "The status is the"
        ),
        "",
    ]
    lines[-1] = (
        "exit status of a command that ends with it. All are classes of `ovsskit.errors`, so "
        "Python code can catch them."
    )
    lines += ["", "| code | title | meaning | status | class |", "|---|---|---|---|---|"]
    for cls in error_classes():
        meaning = cell((inspect.getdoc(cls) or "").replace("\n", " "))
        lines.append(
            f'| <span id="{cls.code}">{cls.code}</span> | {cls.title} | {meaning} | '
            f"{cls.status} | `{cls.__name__}` |"
        )
    return "\n".join([*lines, ""])


def error_classes() -> list[Any]:
    """Return every kind of error that a person can meet."""
    from ovsskit import errors

    own = [
        one
        for one in vars(errors).values()
        if inspect.isclass(one) and issubclass(one, errors.OvsskitError)
    ]
    return sorted((one for one in own if one is not errors.OvsskitError), key=lambda one: one.code)


def values_page() -> str:
    """Return the page of the kinds of values that slots hold."""
    from ovsskit.engine import values
    from ovsskit.recipe.describe import axes

    lines = ["# Values", "", prose(inspect.getdoc(values) or ""), ""]
    for name in VALUES:
        cls = getattr(values, name)
        parent = cls.__mro__[1]
        kind = (
            f"A kind of [{parent.__name__}](#{parent.__name__}). "
            if parent is not values.Value
            else ""
        )
        lines += [f"## {name} {{ #{name} }}", "", kind + prose(inspect.getdoc(cls) or ""), ""]
        held = ", ".join(f"`{field.name}`" for field in dataclasses.fields(cls))
        lines += [
            f"Fields: {held}." + (f" Axes of the tensors: `{axes(cls)}`." if axes(cls) else ""),
            "",
        ]
        lines += [*members(cls, 3), ""]
    return "\n".join(lines)


def python_page() -> str:
    """Return the page of the public names of the package and of its testing tools."""
    import ovsskit

    values = [name for name in ovsskit.__all__ if name in VALUES]
    named = [
        name
        for name in ovsskit.__all__
        if name not in VALUES and not is_type_variable(getattr(ovsskit, name))
    ]
    lines = ["# Python", "", prose(inspect.getdoc(ovsskit) or ""), ""]
    lines += [
        "Public names of `ovsskit`, besides the [values](values.md) "
        + ", ".join(f"`{name}`" for name in values)
        + ",",
        "",
    ]
    lines[-1] = (
        "and `S`, the type variable for `Scores` of any kind, which a stage that keeps the "
        "kind uses twice."
    )
    lines += ["", *api(ovsskit, named)]
    testing = importlib.import_module("ovsskit.testing")
    lines += ["## ovsskit.testing", "", prose((inspect.getdoc(testing) or "").split("\n\n")[0]), ""]
    lines += api(
        testing,
        [name for name in testing.__all__ if not inspect.isclass(getattr(testing, name))],
        3,
    )
    return "\n".join(lines)


def api(module: Any, names: Iterable[str], level: int = 2) -> list[str]:
    """Describe names of a module: signature, docstring, and of classes their own public members."""
    lines = []
    for name in names:
        item = getattr(module, name)
        lines += [f"{'#' * level} {name} {{ #{name} }}", ""]
        if get_origin(item):
            alias = re.sub(r"\b(?:\w+\.)+", "", str(item)).replace("~", "")
            lines += ["```python", f"{name} = {alias}", "```", ""]
            lines += [
                (
                    "What the `run` of a wrapper returns: `Wraps[S]` is a generator of requests "
                    "that ends with an `S`."
                ),
                "",
            ]
            continue
        has_signature = not inspect.isclass(item) or "__init__" in vars(item)
        lines += ["```python", signature(name, item), "```", ""] if has_signature else []
        lines += [prose(inspect.getdoc(item) or ""), ""]
        if inspect.isclass(item):
            lines += [*members(item, level + 1), ""]
    return lines


def members(cls: type, level: int) -> list[str]:
    """List the public methods and properties that a class defines itself."""
    lines = []
    for name, item in vars(cls).items():
        function = (
            item.fget
            if isinstance(item, property)
            else getattr(item, "func", None) or getattr(item, "__func__", item)
        )
        if (
            name == "model_post_init"
            or (name.startswith("_") and name != "__call__")
            or not inspect.isfunction(function)
        ):
            continue
        shown = (
            f"`.{name}`"
            if function is not item and not isinstance(item, classmethod | staticmethod)
            else f"`{signature(f'.{name}', function)}`"
        )
        text = prose(inspect.getdoc(function) or "").replace("\n", "\n    ")
        lines.append(f"- {shown.replace('.__call__', '')}: {text}")
    return lines


class Bare:
    """Stand for an annotation in a signature, without quotes, modules and jaxtyping's machinery."""

    def __init__(self, annotation: Any) -> None:
        self.text = (
            annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        )

    def __repr__(self) -> str:
        return re.sub(r"\b(?:\w+\.)+([A-Z]\w+)", r"\1", self.text).replace("Tensor,  ", "Tensor, ")


def signature(name: str, item: Callable[..., Any]) -> str:
    """Write how something is called, without `self`."""
    found = inspect.signature(item)
    kept = [
        one if one.annotation is one.empty else one.replace(annotation=Bare(one.annotation))
        for key, one in found.parameters.items()
        if key not in ("self", "cls")
    ]
    returns = (
        found.empty
        if found.return_annotation in (found.empty, "None", None)
        else Bare(found.return_annotation)
    )
    return name + str(found.replace(parameters=kept, return_annotation=returns))


def reads_of(cls: Any) -> Iterator[tuple[str, str]]:
    """Return a stage's slots with links to their kinds, and its models with their capabilities."""
    from ovsskit.engine.stage import wiring

    plan = wiring(cls)
    yield from (
        (slot, kind_link(kind) + (", if there is one" if slot in plan.optional else ""))
        for slot, kind in plan.reads.items()
    )
    yield from ((slot, f"a model that is `{kind.__name__}`") for slot, kind in plan.models.items())


def kind_link(kind: Any) -> str:
    """Return a link to the kind of a value.

    A type variable stands for any kind of its bound, which is kept.
    """
    if is_type_variable(kind):
        return (
            f"[{kind.__bound__.__name__}](../values.md#{kind.__bound__.__name__}) of any kind, "
            "which is kept"
        )
    name = (get_args(kind)[0] if get_origin(kind) else kind).__name__
    return f"[{name}](../values.md#{name})"


def is_type_variable(item: Any) -> bool:
    """Tell whether something is a type variable such as `S`."""
    return hasattr(item, "__bound__")


def parameters(cls: Any) -> str:
    """Return a table of the parameters of a stage or backbone."""
    from ovsskit.recipe.describe import field_rows

    rows = field_rows(cls)
    if not rows:
        return "It has no parameters."
    lines = ["| parameter | may be | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        default = f"`{row.default}`" if row.default else "none: must be given"
        lines.append(f"| `{row.name}` | {cell(row.range)} | {default} | {cell(row.meaning)} |")
    return "\n".join(lines)


def to_toml(value: Any) -> str:
    """Write a value as TOML does."""
    from ovsskit.recipe.describe import toml

    return toml(value)


def prose(text: str) -> str:
    """Turn a docstring into Markdown.

    `Source:` and `Raises:` begin paragraphs, `Example:` becomes a code block, and indented code
    stays code.
    """
    text = re.sub(r"\n(Source: )", r"\n\n\1", text)
    parts = []
    for part in text.split("\n\n"):
        head, _, rest = part.partition("\n")
        if head.strip() == "Raises:":
            raised = re.sub(r"\n\s{8,}", " ", rest)
            items = [line.strip().partition(": ") for line in raised.splitlines()]
            parts.append("Raises:\n\n" + "\n".join(f"- `{name}`: {why}" for name, _, why in items))
        elif head.strip() == "Example:":
            parts.append(f"```toml\n{textwrap.dedent(rest)}\n```")
        else:
            parts.append(part)
    return "\n\n".join(parts)


def cell(text: str) -> str:
    """Make text fit into a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def found_class(cls: type | None) -> type:
    """Return a class that must be there."""
    assert cls is not None
    return cls


def words() -> str:
    """Return the words that the tiny models know."""
    from ovsskit.embedded import NOUNS, STUFFS

    return f"- things: {', '.join(NOUNS)}\n- backgrounds: {', '.join(STUFFS)}"


def model_card() -> str:
    """Return the model card of the tiny models without its title, or a note if there is none.

    Its headings go one level down, and links to files of the checkout become their paths.
    """
    if not MODEL_CARD.exists():
        return (
            "The model card is written when the weights of this version are trained; it is not "
            "there yet."
        )
    lines, is_code = [], False
    text = re.sub(r"\A---\n.*?\n---\n", "", MODEL_CARD.read_text(encoding="utf-8"), flags=re.DOTALL)
    for line in text.splitlines():
        is_code ^= line.lstrip().startswith("```")
        if is_code or not line.startswith("# "):
            text = f"#{line}" if line.startswith("##") and not is_code else line
            lines.append(
                text
                if is_code
                else re.sub(r"!?\[([^]]*)\]\((?!https?:|#)([^)]*)\)", r"\1 (`\2`)", text)
            )
    return "\n".join(lines)
