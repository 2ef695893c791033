"""Show a plan as a tree of stages, with what each reads and writes."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel
from rich.markup import escape
from rich.tree import Tree

from ovsskit.engine.plan import Plan
from ovsskit.engine.stage import Stage, use_of, wiring
from ovsskit.engine.wiring import Link
from ovsskit.recipe.describe import COMMON, axes, toml


def plan_tree(plan: Plan, title: str = "pipeline", about: str = "") -> Tree:
    """Return stages, parameters, what they read, who wrote it, and what they write."""
    tree = Tree(f"[bold]{escape(title)}[/]  {escape(about)}".rstrip())
    for name, model in plan.models.items():
        use, parameters = use_of(type(model)), escape(_parameters(model))
        tree.add(f"[magenta]{escape(name)}[/] = {use}  [dim]{parameters}[/]")
    _grow(tree, plan.stages, plan.links)
    return tree


def _grow(tree: Tree, stages: Sequence[Stage], links: Sequence[Link]) -> None:
    for stage, link in zip(stages, links, strict=True):
        reads = [f"{escape(slot)} [dim]from {escape(by)}[/]" for slot, _, by in link.reads.values()]
        models = [f"[magenta]{escape(model)}[/]" for model in link.models.values()]
        slot, kind = link.writes
        named = axes(wiring(type(stage)).kind)
        network = " [yellow](network)[/]" if stage.batches else ""
        branch = tree.add(f"[bold cyan]{escape(link.node.address)}[/]{network}")
        parameters = _parameters(stage)
        if parameters:
            branch.add(f"[dim]{escape(parameters)}[/]")
        branch.add(f"reads {', '.join([*reads, *models])}")
        branch.add(f"writes [green]{slot}[/]: {kind}{escape(f' [{named}]' if named else '')}")
        if link.inner:
            _grow(branch.add("inner"), stage.inner, link.inner)  # type: ignore[attr-defined]


def _parameters(model: BaseModel) -> str:
    fields = type(model).model_fields
    return ", ".join(
        f"{name} = {toml(getattr(model, name))}" for name in fields if name not in COMMON
    )
