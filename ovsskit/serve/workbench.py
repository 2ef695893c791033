"""Run recipes again and again on few images, while a person changes words and parameters.

What networks wrote, lattices of the CRF and models are kept, so that a change is answered by the
stages behind it alone.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from time import perf_counter
from typing import Any

from ovsskit._lazy import Int, numpy
from ovsskit.engine.driver import Watch
from ovsskit.engine.identity import model_identity
from ovsskit.engine.memo import Memo, remembering
from ovsskit.engine.model import Backbone
from ovsskit.engine.objections import check_classes
from ovsskit.engine.plan import Plan
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import BadValue, Place, all_at_once, did_you_mean
from ovsskit.recipe.addresses import parse_override, set_value
from ovsskit.recipe.build import build
from ovsskit.recipe.class_lists import parse_classes
from ovsskit.recipe.extends import find_recipe, read_extended
from ovsskit.recipe.vocabulary import replace_classes
from ovsskit.run.output.maps import MapCollector, Sheet
from ovsskit.run.pipeline import Pipeline
from ovsskit.study.spec.dimension import ALL
from ovsskit.study.spec.read_space import read_space
from ovsskit.study.spec.search import switch_off
from ovsskit.study.spec.space import present_value

MEMO_BYTES = 256 << 20
MOST_MODELS = 4
"""How many differently set models are kept: a parameter of a model makes another one."""


@dataclass(frozen=True)
class Answer:
    """Hold what a recipe found in an image: ids of classes, and the seconds that it took."""

    ids: Int[numpy.ndarray, "h w"]
    vocabulary: Vocabulary
    seconds: float
    sheets: tuple[Sheet, ...] = ()


class Workbench:
    """Hold one recipe, the parameters that may be moved, and all that is kept between answers."""

    def __init__(self, recipe: str, overrides: Sequence[str], device: str, batch: int) -> None:
        """Read the recipe and what a study would search in it.

        Raises:
            Problems: all that is wrong, with files and lines.
        """
        self.path = find_recipe(recipe)
        self.fixed = dict(map(parse_override, overrides))
        with all_at_once():
            self._tables = read_extended(self.path)
            for address, value in self.fixed.items():
                set_value(self._tables, address, value, Place(f"--set {address}"))
            plain = build(self._tables)
            space = self._tables.get("study", {}).get("space")
            found = read_space(space, plain) if space else ()
        self.title, self.own = plain.title, plain.plan.vocabulary
        self.space = tuple(one for one in found if one.of_class != ALL)
        self.start = {one.address: present_value(plain, one) for one in self.space}
        self.device, self.batch = device, batch
        self._store, self._memo, self._lock = Store(), Memo(MEMO_BYTES), Lock()
        self._models: OrderedDict[str, Backbone] = OrderedDict()

    def plan(self, values: Mapping[str, Any]) -> Plan:
        """Return the plan with these values at their addresses; `off` leaves a stage out.

        Raises:
            Problems: they do not fit together.
        """
        table = copy.deepcopy(self._tables)
        for address, value in values.items():
            if "." in address:
                set_value(table, address, value, Place(address))
            elif value == "off":
                switch_off(table, address)
        with all_at_once():
            return build(table).plan

    def segment(
        self, image: Image, classes: str, values: Mapping[str, Any], *, maps: bool = False
    ) -> Answer:
        """Run the recipe with these values at their addresses; with `maps` draw what stages wrote.

        Raises:
            BadValue: an address is not one of the parameters, or a value is outside its range.
            OvsskitError: the classes cannot be looked for, or the recipe cannot be run.
        """
        checked = self.check(values)
        with self._lock, remembering(self._memo):
            started = perf_counter()
            plan = self.plan(checked)
            vocabulary = replace_classes(
                parse_classes(classes, plan.vocabulary.background), plan.vocabulary
            )
            models = {name: self._shared(model) for name, model in plan.models.items()}
            plan = replace(plan, models=models, vocabulary=vocabulary)
            for model in plan.used.values():
                model.check_vocabulary(vocabulary)
            check_classes(plan.stages, vocabulary)
            pipeline = Pipeline(plan, device=self.device, batch=self.batch, store=self._store)
            collector = MapCollector() if maps else None
            watch: Watch | None = collector
            [state] = pipeline.run_many([image], vocabulary, watch)
            ids = state["labels"].ids.cpu().numpy().astype("int64")
            sheets = tuple(collector.sheets) if collector is not None else ()
            return Answer(ids, vocabulary, perf_counter() - started, sheets)

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values as the recipe takes them.

        Raises:
            BadValue: an address is not one of the parameters, or a value is outside its range.
        """
        return {address: self._checked(address, value) for address, value in values.items()}

    def _shared(self, model: Backbone) -> Backbone:
        """Return a model that is loaded already if there is an equal one."""
        key = repr(model_identity(model))
        if key not in self._models:
            self._models[key] = model.to(self.device)
            if len(self._models) > MOST_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return self._models[key]

    def _checked(self, address: str, value: Any) -> Any:
        known = {one.address: one for one in self.space}
        if address not in known:
            fix = did_you_mean(address, list(known))
            what = f"`{address}` is not a parameter that can be moved here."
            raise BadValue(what, fix=fix, where=Place(address))
        one = known[address]
        if value == self.start[address] or one.holds(value):
            return value
        choices = {str(choice): choice for choice in one.choices}
        if str(value) in choices:
            return choices[str(value)]
        raise BadValue(f"{value!r} is not among {one}.", where=Place(address))
