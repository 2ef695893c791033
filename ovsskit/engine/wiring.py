"""Wire a list of stages before it runs: does every stage find what it reads, of its kind?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ovsskit.engine.model import capabilities
from ovsskit.engine.stage import Capability, Rerun, Stage, Wiring, Wrapper, own_slot, wiring
from ovsskit.engine.values import Image, Spatial, Value, Vocabulary
from ovsskit.errors import (
    BadInner,
    BadValue,
    DuplicateAddress,
    MissingCapability,
    OvsskitError,
    Place,
    UnfilledSlot,
    UnknownKey,
    WrongKind,
    did_you_mean,
    first_of,
    report,
)

log = logging.getLogger(__name__)
ROOTS: dict[str, Any] = {"image": Image, "vocabulary": Vocabulary}
"""The slots that are filled before the first stage runs."""
NONE_GIVEN: Mapping[str, type[Value]] = {}

NOWHERE = Place("")


@dataclass(frozen=True)
class Catalogue:
    """Say which stages and backbones there are, so that a problem can name those that fix it."""

    stages: Callable[[], Mapping[str, type[Stage]]] = dict
    backbones: Callable[[], Mapping[str, type]] = dict


NOTHING = Catalogue()


@dataclass(frozen=True)
class Node:
    """Stand for a stage of a recipe, built or not; `cls` is None where there is no such stage."""

    cls: type[Stage] | None
    address: str
    reads: dict[str, str] = field(default_factory=dict)
    inner: tuple[Node, ...] = ()
    where: Place = NOWHERE
    writes: str = ""

    @classmethod
    def of(cls, stage: Stage) -> Node:
        """Make the node of a stage that was built in Python."""
        inner = (
            tuple(map(cls.of, stage.inner))
            if isinstance(stage, Wrapper) and not isinstance(stage, Rerun)
            else ()
        )
        where = Place(stage.address)
        return cls(type(stage), stage.address, stage.reads, inner, where, stage.writes)


@dataclass(frozen=True)
class Link:
    """Say what one stage really reads and writes once wired: slot, kind, and who wrote it."""

    node: Node
    reads: dict[str, tuple[str, str, str]]
    models: dict[str, str]
    writes: tuple[str, str]
    inner: tuple[Link, ...] = ()


Part = TypeVar("Part", Node, Link)


@dataclass
class Written:
    """Remember the kind of a slot and the address of the stage that wrote it."""

    kind: Any
    by: str


def wire(
    nodes: Sequence[Node],
    models: Mapping[str, type],
    catalogue: Catalogue = NOTHING,
    given: Mapping[str, type[Value]] = NONE_GIVEN,
) -> list[Link]:
    """Walk a chain once and return how it is linked; every problem found on the way is reported.

    `given` are the kinds of slots that whoever runs the chain fills beside the image and the words.
    """
    report(*_duplicates(nodes))
    slots = {name: Written(kind, "the recipe") for name, kind in {**ROOTS, **given}.items()}
    links = _Wirer(models, catalogue).chain(nodes, slots)
    report(*_unread(links, _usual_slots(nodes, catalogue)))
    _note_lost(links)
    return links


def flatten(chain: Sequence[Part]) -> Iterator[Part]:
    """Yield the links, or nodes, of a chain and of the chains inside it, outer before inner."""
    for part in chain:
        yield part
        yield from flatten(part.inner)


@dataclass
class _Wirer:
    """Link the stages of one recipe."""

    models: Mapping[str, type]
    catalogue: Catalogue

    def chain(self, nodes: Sequence[Node], slots: dict[str, Written]) -> list[Link]:
        """Link a chain; `slots` are those before it, and become those after it."""
        links = []
        for node in nodes:
            if node.cls is None:  # it may write any slot, of any kind
                slots.update({slot: Written(None, node.address) for slot in (*slots, "*")})
            else:
                links.append(self.one(node, node.cls, slots))
        return links

    def one(self, node: Node, cls: type[Stage], slots: dict[str, Written]) -> Link:
        """Link one stage, and what is inside it."""
        plan = wiring(cls)
        report(*_unknown_reads(node, [*plan.reads, *plan.models]))
        reads, bound = self._reads(node, plan, slots)
        chosen = {name: self._model(node, name, need) for name, need in plan.models.items()}
        inner: list[Link] = []
        kind = bound.get(plan.kind, plan.kind)
        if issubclass(cls, Wrapper):
            outside = _inside(node, plan, slots)
            inside = dict(outside)
            reruns = issubclass(cls, Rerun)
            if reruns and node.inner:
                what = f"{node.address} runs the stages before it again, and takes no inner stages."
                report(BadInner(what, fix="Leave `inner` out.", where=node.where))
            inner = self.chain(node.inner, inside)
            report(*_uncut(node, cls, plan, outside))
            kind = plan.kind
            if not reruns:
                kind = self._merged(node, plan.writes, plan.kind, outside, inside)
                for slot, seen in cls.sees.items():
                    self._merged(node, slot, seen, outside, inside)
        kind = None if isinstance(kind, TypeVar) else kind
        slot = self._slot(node, plan.writes, kind)
        slots[slot] = Written(kind, node.address)
        return Link(node, reads, chosen, (slot, _kind_name(kind)), tuple(inner))

    def _slot(self, node: Node, own: str, kind: Any) -> str:
        """Return the slot that a stage writes, its own where it cannot write the one it names."""
        slot = node.writes or own
        if slot == own:
            return own
        writes = f"{node.address} writes `{slot}`"
        filled = slot in ROOTS
        if filled or not slot.isidentifier():
            why = "is already filled before the first stage" if filled else "is not a valid name"
            fix = "Choose another name, made of letters, digits and underscores."
            report(BadValue(f"{writes}, which {why}.", fix=fix, where=node.where))
            return own
        usual = {
            name: wiring(cls).kind
            for name, cls in self.catalogue.stages().items()
            if own_slot(cls) == slot
        }
        if kind is not None and usual and not any(_shares(one, kind) for one in usual.values()):
            other, hint = next(iter(usual.items()))
            what = f"{writes} as {_kind_name(kind)}; {other} writes {_kind_name(hint)} there."
            report(WrongKind(what, fix="Choose another name for it.", where=node.where))
        return slot

    def _reads(
        self, node: Node, plan: Wiring, slots: dict[str, Written]
    ) -> tuple[dict[str, tuple[str, str, str]], dict[Any, Any]]:
        """Return slot, kind and writer of what a stage reads, and what type variables stand for."""
        bound: dict[Any, Any] = {}
        reads = {}
        for parameter, hint in plan.reads.items():
            slot = node.reads.get(parameter, parameter)
            if slot not in slots:
                if "*" not in slots and parameter not in plan.optional:
                    report(self._unfilled(node, parameter, slot, hint, slots))
                continue
            written = slots[slot]
            reads[parameter] = (slot, _kind_name(written.kind), written.by)
            if written.kind is not None and not _accepts(hint, written.kind):
                report(self._wrong_kind(node, slot, hint, written))
            elif isinstance(hint, TypeVar):
                bound[hint] = written.kind
        return reads, bound

    def _merged(
        self,
        node: Node,
        slot: str,
        wanted: Any,
        outside: dict[str, Written],
        inside: dict[str, Written],
    ) -> Any:
        """Return the kind of what a wrapper receives of its inner chain in a slot."""
        written = inside.get(slot)
        merges = f"{node.address} merges `{slot}`"
        if written is None or written is outside.get(slot):
            if "*" not in inside:
                what = f"{merges} ({_kind_name(wanted)}), but its inner chain does not write it."
                fix = self._writers(slot, wanted)
                report(BadInner(what, fix=fix, where=node.where))
            return wanted
        if written.kind is not None and not _accepts(wanted, written.kind):
            kinds = f"as {_kind_name(wanted)}, but {written.by} writes {_kind_name(written.kind)}"
            fix = self._writers(slot, wanted)
            report(BadInner(f"{merges} {kinds}.", fix=fix, where=node.where))
        return written.kind

    def _model(self, node: Node, name: str, need: type[Capability]) -> str:
        """Return which model a stage reads for a capability."""
        slot, models = node.reads.get(name, name), self.models
        able = [model for model, cls in models.items() if issubclass(cls, need)]
        if slot in able or (slot in models and models[slot] is object):
            return slot
        if len(able) == 1 and name not in node.reads:
            return able[0]
        what = f"{node.address} reads `{slot}` ({need.__name__}), "
        if len(able) > 1:
            what += f"and several models can: {', '.join(able)}."
            fix = f'Say which: reads = {{ {name} = "{able[0]}" }}'
        else:
            there = "; ".join(f"`{model}` is {_abilities(cls)}" for model, cls in models.items())
            what += f"but {there or 'the recipe has no model'}."
            fix = self._backbones(slot, need)
        report(MissingCapability(what, fix=fix, where=node.where))
        return slot

    def _backbones(self, slot: str, need: type[Capability]) -> str:
        able = [name for name, cls in self.catalogue.backbones().items() if issubclass(cls, need)]
        fix = f"Backbones that can: {first_of(able)}"
        if slot not in self.models and slot != "backbone" and able:
            fix += f'. Add one: [models.{slot}] with use = "{able[0]}"'
        return fix

    def _unfilled(
        self, node: Node, parameter: str, slot: str, hint: Any, slots: dict[str, Written]
    ) -> OvsskitError:
        return UnfilledSlot(
            f"{node.address} reads `{slot}` ({_kind_name(hint)}); nothing above writes it.",
            there=f"Written so far: {', '.join(slots)}",
            fix=self._writers(parameter, hint),
            where=node.where,
        )

    def _wrong_kind(self, node: Node, slot: str, hint: Any, written: Written) -> OvsskitError:
        is_now = f"it is {_kind_name(written.kind)}, written by {written.by}"
        return WrongKind(
            f"{node.address} reads `{slot}` as {_kind_name(hint)}, but {is_now}.",
            fix=self._writers(slot, hint, but=node.cls),
            where=node.where,
        )

    def _writers(self, slot: str, hint: Any, but: type[Stage] | None = None) -> str:
        found = []
        for name, cls in self.catalogue.stages().items():
            if cls is not but and _writes(cls, slot, hint):
                found.append(name)
        return f"Stages that write it: {first_of(found, 'ovsskit stages', most=4)}"


def _inside(node: Node, plan: Wiring, slots: dict[str, Written]) -> dict[str, Written]:
    """Return what an inner chain starts from: all slots, the wrapper's by its own names."""
    unknown = Written(None, node.address)  # the wrapper's own problem, not one of each stage inside
    names = {parameter: node.reads.get(parameter, parameter) for parameter in plan.reads}
    handed = {
        parameter: slots.get(slot, unknown)
        for parameter, slot in names.items()
        if slot in slots or parameter not in plan.optional
    }
    return {**{slot: one for slot, one in slots.items() if slot not in names}, **handed}


def _uncut(
    node: Node, cls: type[Wrapper], plan: Wiring, outside: Mapping[str, Written]
) -> Iterator[OvsskitError]:
    """Refuse what lies over the image, and does not follow where a wrapper moves its places."""
    if cls.places == "kept":
        return
    for slot in sorted(_read_inside(node)):
        kind = outside[slot].kind if slot in outside else None
        if not isinstance(kind, type) or not issubclass(kind, Spatial):
            continue
        which = f"its inner chain reads `{slot}` ({_kind_name(kind)})"
        if cls.places == "cut" and kind.crop is Spatial.crop:
            what = f"{node.address} looks through windows, but {which}, which cannot be cut."
        elif cls.places == "moved" and slot not in plan.reads:
            what = f"{node.address} moves things in the image, but {which} from before."
        else:
            continue
        by = outside[slot].by
        yield BadInner(what, fix=f"Put {by}, which writes it, inside.", where=node.where)


def _read_inside(node: Node) -> set[str]:
    """Return the slots that an inner chain reads from outside, by their names inside."""
    slots, written = set[str](), set[str]()
    for inner in node.inner:
        if inner.cls is not None:
            plan = wiring(inner.cls)
            own = {inner.reads.get(name, name) for name in plan.reads}
            slots |= (own | (_read_inside(inner) - plan.reads.keys())) - written
            written.add(inner.writes or plan.writes)
    return slots


def _unknown_reads(node: Node, known: Sequence[str]) -> Iterator[OvsskitError]:
    for key in node.reads:
        if key not in known:
            what = f"`{node.address}` reads nothing called `{key}`."
            there = f"It reads: {', '.join(known)}"
            yield UnknownKey(what, there=there, fix=did_you_mean(key, known), where=node.where)


def _abilities(cls: type) -> str:
    return ", ".join(sorted(one.__name__ for one in capabilities(cls))) or "of no known capability"


def _usual_slots(nodes: Sequence[Node], catalogue: Catalogue) -> set[str]:
    """Return the slots that stages write unless they are told another."""
    there = [node.cls for node in flatten(nodes) if node.cls is not None]
    return {own_slot(cls) for cls in (*there, *catalogue.stages().values())}


def _unread(links: Sequence[Link], usual: set[str]) -> Iterator[OvsskitError]:
    """Yield slots with a name of their own that no stage reads."""
    read = {(slot, by) for link in flatten(links) for slot, _, by in link.reads.values()}
    for link in flatten(links):
        slot, address = link.writes[0], link.node.address
        if slot not in usual and (slot, address) not in read:
            names = sorted({name for name, _ in read})
            what = f"{address} writes `{slot}`, and no stage reads it."
            fix = did_you_mean(slot, names) or f'Read it: reads = {{ ... = "{slot}" }}'
            yield UnfilledSlot(what, fix=fix, where=link.node.where)


def _note_lost(links: Sequence[Link]) -> None:
    """Note classes that are found for nothing, in a chain that ends with labels."""
    if not links or links[-1].writes[0] != "labels":
        return
    read = {(slot, by) for link in flatten(links) for slot, _, by in link.reads.values()}
    for link in links:
        if link.writes[0] == "present" and ("present", link.node.address) not in read:
            text = "%s says which classes are present, but the labels ignore it: add keep_present"
            log.warning(text, link.node.address)


def _duplicates(nodes: Sequence[Node]) -> Iterable[OvsskitError]:
    seen: dict[str, Node] = {}
    for node in flatten(nodes):
        first = seen.setdefault(node.address, node)
        if first is not node:
            yield DuplicateAddress(
                f"Two stages have the address `{node.address}`; the first is at {first.where}.",
                fix=f'Give one of them another: name = "{node.address}_2"',
                where=node.where,
            )


def _writes(cls: type[Stage], slot: str, hint: Any) -> bool:
    plan = wiring(cls)
    return plan.writes == slot and not isinstance(plan.kind, TypeVar) and _accepts(hint, plan.kind)


def _accepts(hint: Any, kind: Any) -> bool:
    wanted: Any = hint.__bound__ if isinstance(hint, TypeVar) else hint
    return isinstance(kind, type) and issubclass(kind, wanted)


def _shares(hint: Any, kind: Any) -> bool:
    """Tell whether a value of a kind may be in a slot that holds what a hint says."""
    return _accepts(hint, kind) or _accepts(kind, hint)


def _kind_name(hint: Any) -> str:
    if hint is None:
        return "unknown"
    wanted = hint.__bound__ if isinstance(hint, TypeVar) else hint
    return str(getattr(wanted, "__name__", wanted))
