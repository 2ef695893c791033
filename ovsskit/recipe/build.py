"""From a TOML file to a checked plan: extend, override, build, wire, with all problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

from ovsskit.engine.model import Backbone, PretrainedBackbone
from ovsskit.engine.objections import find_objections
from ovsskit.engine.plan import NO_WORDS, Plan, settle
from ovsskit.engine.stage import Stage, Wrapper
from ovsskit.engine.values import Value, Vocabulary
from ovsskit.engine.wiring import NONE_GIVEN, Node, wire
from ovsskit.errors import (
    BadClasses,
    BadPlugin,
    MissingKey,
    OvsskitError,
    Place,
    UnknownBackbone,
    UnknownKey,
    UnknownStage,
    all_at_once,
    collecting,
    did_you_mean,
    first_of,
    report,
)
from ovsskit.files.names import FileName, safe_name
from ovsskit.recipe.addresses import SECTIONS, address_of, all_stages, parse_override, set_value
from ovsskit.recipe.extends import EXTENDING_KEYS, read_extended
from ovsskit.recipe.published import PublishedNumber, read_published
from ovsskit.recipe.registry import (
    CATALOGUE,
    backbone_names,
    find_backbone,
    find_stage,
    stage_names,
)
from ovsskit.recipe.tables import settings_tables
from ovsskit.recipe.toml_lines import Table
from ovsskit.recipe.validate import validate
from ovsskit.recipe.vocabulary import NAMING, NotOfDataset, VocabularyTable

T = TypeVar("T", bound=BaseModel)


class Header(BaseModel, frozen=True, extra="forbid", strict=True):
    """Say what a recipe is and where it comes from."""

    name: Annotated[FileName, Field(description="the recipe's name")] = ""
    about: Annotated[str, Field(description="one sentence on what it does")] = ""
    source: Annotated[str, Field(description="the paper or code that it follows")] = ""


class InputTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """Name the images that a recipe runs on when the command line names none."""

    images: Annotated[
        tuple[str, ...], Field(description="files, folders or globs, relative to the recipe")
    ] = ()


HOMES: dict[str, type[BaseModel]] = {
    "vocabulary": VocabularyTable,
    "input": InputTable,
    "backbone": PretrainedBackbone,
}
"""Where keys belong that stand at the top of a recipe by mistake; the first section that has
one."""


@dataclass(frozen=True)
class Recipe:
    """Hold a checked recipe: its plan, and the tables that it was made from.

    `images_at` is where its images are named. Published numbers stand apart from the tables, since
    they change nothing that a recipe does.
    """

    header: Header
    plan: Plan
    vocabulary: VocabularyTable
    input: InputTable
    settings: dict[type[BaseModel], BaseModel]
    path: Path
    images_at: Place
    tables: dict[str, Any] = field(default_factory=dict)
    published: tuple[PublishedNumber, ...] = ()

    def settings_of(self, cls: type[T]) -> T:
        """Return the settings of the command whose table this is the model of."""
        found = self.settings[cls]
        assert isinstance(found, cls)
        return found

    @property
    def title(self) -> str:
        """Return the recipe's name, or that of its file, as one safe part of a path."""
        return self.header.name or safe_name(self.path.stem) or "recipe"


def load_recipe(name: str | Path, overrides: str | Sequence[str] = ()) -> Recipe:
    """Read and check a recipe given by path or shipped name; overrides are `address=value`.

    Raises:
        Problems: the recipe has any; all are in it, with file and line.
        MissingRecipe, BrokenToml, ExtendsCycle: it cannot be read at all.
    """
    with all_at_once():
        table = read_extended(name)
        for text in [overrides] if isinstance(overrides, str) else overrides:
            set_value(table, *parse_override(text), where=Place(f"--set {text}"))
        return build(table)


def build(table: Table, given: Mapping[str, type[Value]] = NONE_GIVEN) -> Recipe:
    """Build and wire what a recipe's tables describe; what cannot be built is reported.

    `given` are the kinds of slots that whoever runs the recipe fills beside image and words.
    """
    with collecting() as broken:
        models, model_classes = _build_models(table)
        nodes, stages = _build_stages(table.get("stage", []))
    report(*broken)
    header = _build_header(table)
    words = _section(VocabularyTable, "vocabulary", table)
    vocabulary = _vocabulary(words, table)
    inputs = _section(InputTable, "input", table)
    settings = {cls: _section(cls, name, table) for name, cls in settings_tables().items()}
    if not nodes:
        what, fix = "The recipe has no stage.", 'Add [[stage]] with use = "...".'
        report(MissingKey(what, fix=fix, where=table.place))
    links = wire(nodes, model_classes, CATALOGUE, given)
    plan = Plan(settle(stages), tuple(links), models, vocabulary)
    if not broken:  # a stage that is missing would be blamed on its neighbours
        report(*_objections(plan, table))
    is_written = bool(table.get("vocabulary", table).place_of("dataset").line)
    dataset = vocabulary.dataset if is_written else ""  # that of an option may be another
    published = read_published(table.get("published", []), dataset)
    path, tables = Path(table.place.file), _plain(_without(table, "published"))
    images_at = table.get("input", table).place_of("images")
    return Recipe(header, plan, words, inputs, settings, path, images_at, tables, published)


def _objections(plan: Plan, table: Table) -> Iterator[OvsskitError]:
    entries = {address_of(entry): entry for _, _, entry in all_stages(table)}
    for address, parameter, problem in find_objections(plan.stages, plan.models, plan.models_of):
        problem.where = entries[address].place_of(parameter)
        yield problem


def _build_header(table: Table) -> Header:
    sections = (*SECTIONS, "models", "stage", "study", "published", *EXTENDING_KEYS)
    fields = Header.model_fields
    for key in table:
        if key not in sections and key not in fields:
            there = f"Available: {', '.join(sorted((*sections, *fields)))}"
            fix = _where_it_goes(key, table) or did_you_mean(key, (*sections, *fields))
            what = f"`recipe` has no key `{key}`."
            report(UnknownKey(what, there=there, fix=fix, where=table.place_of(key)))
    head = Table({k: v for k, v in table.items() if k in fields}, table.place, table.places)
    return validate(Header, head, "recipe") or Header()


def _where_it_goes(key: str, table: Table) -> str:
    """Say how to write what stands at the top of a recipe and belongs elsewhere, if it is known."""
    if key in {address_of(entry) for _, _, entry in all_stages(table)}:
        return (
            "Put a stage's parameters into its own [[stage]] or, in a recipe that extends another, "
            f'under [set]: "{key}.parameter" = value.'
        )
    if key in stage_names():
        return f'Write a stage as [[stage]] with use = "{key}".'
    if key in backbone_names():
        return f'Write a model as [backbone] with use = "{key}".'
    if key in ("classes", "labels", "names"):
        return 'Write classes as [vocabulary] with names = ["dog", "cat"].'
    for section, cls in {**HOMES, **settings_tables()}.items():
        if key in cls.model_fields:
            return f"It belongs under [{section}]."
    return ""


def _build_models(table: Table) -> tuple[dict[str, Backbone], dict[str, type]]:
    tables = dict(table.get("models", {}))
    if "backbone" in table:
        tables["backbone"] = table["backbone"]
    built: dict[str, Backbone] = {}
    classes: dict[str, type] = {}
    for name, entry in tables.items():
        cls = _backbone_class(entry)
        classes[name] = cls or object
        if cls is not None:
            model = validate(cls, _without(entry, "use"), name)
            built |= {name: model} if model is not None else {}
    return built, classes


def _backbone_class(entry: Table) -> type[Backbone] | None:
    known, use = backbone_names(), entry.get("use")
    there = f"Available: {first_of(known, 'ovsskit stages')}"
    if use is None:
        what, fix = "A backbone has no `use`.", 'Add use = "...".'
        report(MissingKey(what, there=there, fix=fix, where=entry.place))
        return None
    if use not in known:
        fix = did_you_mean(use, known) or "Load one of your own with --plugin FILE."
        what = f"There is no backbone `{use}`."
        report(UnknownBackbone(what, there=there, fix=fix, where=entry.place_of("use")))
        return None
    cls = find_backbone(use)
    lacks = sorted(getattr(cls, "__abstractmethods__", ()))
    if lacks:
        what = f"The backbone `{use}` lacks methods: {', '.join(lacks)}."
        report(BadPlugin(what, fix="Define them in its class.", where=entry.place_of("use")))
        return None
    return cls


def _build_stages(entries: Sequence[Table]) -> tuple[list[Node], list[Stage]]:
    nodes, stages = [], []
    for entry in entries:
        cls = find_stage(entry["use"])
        if cls is None:
            report(_unknown_stage(entry))
        inner_nodes, inner = _build_stages(entry.get("inner", []))
        node = Node(
            cls,
            address_of(entry),
            entry.get("reads", {}),
            tuple(inner_nodes),
            entry.place,
            entry.get("writes", ""),
        )
        nodes.append(node)
        if cls is not None:
            own = _without(entry, "use", *(["inner"] if issubclass(cls, Wrapper) else []))
            stage = validate(cls, own, address_of(entry))
            if isinstance(stage, Wrapper):
                stage = stage.model_copy(update={"inner": tuple(inner)})
            stages += [stage] if stage is not None else []
    return nodes, stages


def _unknown_stage(entry: Table) -> UnknownStage:
    use, known = entry["use"], stage_names()
    fix = did_you_mean(use, known) or "Load one of your own with --plugin FILE."
    return UnknownStage(
        f"There is no stage `{use}`.",
        fix=f"{fix} `ovsskit stages` lists all.",
        where=entry.place_of("use"),
    )


def _section(cls: type[Any], key: str, table: Table) -> Any:
    entry = table.get(key, Table({}, table.place, {}))
    return validate(cls, entry, key) or cls()


def _vocabulary(words: VocabularyTable, table: Table) -> Vocabulary:
    try:
        return words.make()
    except BadClasses as error:
        if error.where is None or not error.where.line:
            section = table["vocabulary"]
            misfit = isinstance(error, NotOfDataset)
            key = "dataset" if misfit else next(way for way in NAMING if way in section)
            error.where = section.place_of(key)
        report(error)
        return NO_WORDS


def _without(table: Table, *keys: str) -> Table:
    return Table({k: v for k, v in table.items() if k not in keys}, table.place, table.places)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key not in EXTENDING_KEYS}
    return [_plain(item) for item in value] if isinstance(value, list) else value
