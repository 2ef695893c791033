"""`ovsskit recipes`: list the shipped recipes by method, and what each needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ovsskit.cli.stages import LOOK

if TYPE_CHECKING:
    from rich.table import Table

    from ovsskit.engine.model import PretrainedBackbone
    from ovsskit.recipe.build import Recipe


def recipes(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the shipped recipes by method: model, weights and whether they are here, data set.

    It also shows their published numbers. It does not use the network.
    """
    from ovsskit.recipe.methods import shipped_methods

    methods = [[_plain(recipe) for recipe in method.recipes] for method in shipped_methods()]
    if as_json:
        _print_json(methods)
    else:
        _show(methods)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """Return what is said of a recipe, as JSON has it."""
    from ovsskit.recipe.extends import base_of
    from ovsskit.run.weights import models_of

    base = base_of(recipe.path)
    return {
        "name": recipe.path.stem,
        "about": recipe.header.about,
        "source": recipe.header.source,
        "extends": base.stem if base is not None else "",
        "dataset": recipe.plan.vocabulary.dataset,
        "models": [line for model in models_of([recipe]) for line in _files(model)],
        "published": [number.model_dump(mode="json") for number in recipe.published],
    }


def _files(model: PretrainedBackbone) -> list[dict[str, Any]]:
    """Return what is said of a model's weights, and of the files beside them."""
    from ovsskit.cli.models import here
    from ovsskit.engine.stage import use_of

    info = model.describe_weights(ask_hub=False)
    return [
        {
            "use": use_of(type(model)),
            "weights": one.weights,
            "revision": model.pinned if one.kind == "hub" else "",
            "here": here(one),
            "licence": one.licence or "",
        }
        for one in (info, *model.describe_parts())
    ]


def _print_json(methods: list[list[dict[str, Any]]]) -> None:
    import json

    plain = [{"name": ours[0]["name"], "recipes": ours} for ours in methods]
    print(json.dumps(plain, ensure_ascii=False, indent=1))


def _show(methods: list[list[dict[str, Any]]]) -> None:
    from rich.markup import escape

    from ovsskit.cli.console import console, show

    for ours in methods:
        first = ours[0]
        console.print(f"[bold]{escape(first['about'])}[/]", highlight=False)
        console.print(escape(first["source"]), highlight=False)
        show(_table(ours))
        console.print()


def _table(ours: list[dict[str, Any]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    columns = ("recipe", "data set", "model", "weights", "here", "licence", "published")
    table = Table(*columns, **LOOK)
    for one in ours:
        models = [
            "\n".join(model[key] or "unknown" for model in one["models"])
            for key in ("use", "weights", "here", "licence")
        ]
        cells = (one["dataset"], *models, _numbers(one["published"]))
        table.add_row(f"[cyan]{escape(one['name'])}[/]", *map(escape, cells))
    return table


def _numbers(published: list[dict[str, Any]]) -> str:
    """Return the published numbers, those of each metric and data set on a line."""
    from ovsskit.cli.eval_report import METRICS

    lines: dict[str, list[str]] = {}
    for number in published:
        what = f"{METRICS[number['metric']]} on {number['dataset']}"
        lines.setdefault(what, []).append(f"{number['value']:g}")
    return "\n".join(f"{', '.join(values)} {what}" for what, values in lines.items())
