"""A plan: a checked, linked and settled chain of stages, with its models and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ovsskit.engine.model import Backbone
from ovsskit.engine.stage import Rerun, Stage, Wrapper, own_slot
from ovsskit.engine.values import Vocabulary
from ovsskit.engine.wiring import NOTHING, Catalogue, Link, Node, flatten, wire
from ovsskit.errors import all_at_once

NO_WORDS = Vocabulary((), (0,), ((0, 0, 0),))
"""A vocabulary without classes: whoever runs the plan names them."""


@dataclass(frozen=True)
class Plan:
    """Hold what runs: settled stages, their links, their models by name, and classes, if any."""

    stages: tuple[Stage, ...]
    links: tuple[Link, ...]
    models: Mapping[str, Backbone]
    vocabulary: Vocabulary = NO_WORDS

    @classmethod
    def of(
        cls,
        stages: Sequence[Stage],
        models: Mapping[str, Backbone] | None = None,
        vocabulary: Vocabulary = NO_WORDS,
        catalogue: Catalogue = NOTHING,
    ) -> Plan:
        """Check, link and settle stages that were put together in Python.

        Raises:
            Problems: they do not fit together; what would fix it is looked for in the catalogue.
        """
        classes = {name: type(model) for name, model in (models or {}).items()}
        with all_at_once():
            links = wire([Node.of(stage) for stage in stages], classes, catalogue)
        return cls(settle(stages), tuple(links), dict(models or {}), vocabulary)

    @cached_property
    def models_of(self) -> dict[str, dict[str, str]]:
        """Return the models that each stage reads: by address, the model's name by parameter."""
        return {link.node.address: link.models for link in flatten(self.links)}

    @property
    def used(self) -> dict[str, Backbone]:
        """Return the models that a stage reads."""
        names = {name for chosen in self.models_of.values() for name in chosen.values()}
        return {name: model for name, model in self.models.items() if name in names}

    def on(self, device: str) -> Plan:
        """Return the plan with its models on a device."""
        return replace(self, models={name: model.to(device) for name, model in self.models.items()})


def settle(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Fill in what stages leave to the stages after or before them, inside wrappers too."""
    settled: list[Stage] = []
    for index, stage in enumerate(stages):
        if isinstance(stage, Wrapper):
            own = own_slot(type(stage))
            before = tuple(one for one in settled if one.writes != own)
            inner = before if isinstance(stage, Rerun) else settle(stage.inner)
            stage = stage.model_copy(update={"inner": inner})
        settled.append(stage.settle(stages[index + 1 :]))
    return tuple(settled)
