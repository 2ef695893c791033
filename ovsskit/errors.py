"""Every error that a person can meet: where it is, what is wrong, what there is, what would fix it.

Each class is one kind of error. Its docstring explains it (the reference page of errors is made
from these), its code can be searched for, and its status is the exit status of a command that ends
with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from pydantic_core import PydanticCustomError

LONGEST = 2000
"""Characters of a line of a message; what a person wrote may be longer."""
MOST_SHOWN = 50
"""Problems of one file that are shown."""


@dataclass(frozen=True, order=True)
class Place:
    """Name a line of a file, or an option of the command line (then without a line)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class OvsskitError(Exception):
    """Tell a person what went wrong and what would fix it."""

    code: ClassVar[str] = "OV000"
    title: ClassVar[str] = "error"
    status: ClassVar[int] = 1
    may_follow: ClassVar[bool] = False
    """Whether another problem may be the cause, such as a misspelt stage of an unfilled slot."""

    def __init__(
        self, what: str, *, there: str = "", fix: str = "", where: Place | None = None
    ) -> None:
        super().__init__(what)
        self.what, self.there, self.fix, self.where = what, there, fix, where

    def __str__(self) -> str:
        return "\n".join(line for lines in self.paragraphs() for line in lines)

    def paragraphs(self) -> list[list[str]]:
        """Return the lines that a person reads: of every problem a head, and indented sentences."""
        head = "  ".join(part for part in (str(self.where or ""), self.code, self.title) if part)
        lines = (self.what, self.there, self.fix)
        return [[shorten(head, LONGEST), *(f"  {shorten(one, LONGEST)}" for one in lines if one)]]

    @property
    def reason(self) -> str:
        """Return in one line why something failed."""
        return " ".join(part for part in (self.what, self.there, self.fix) if part)


class ProgramError(OvsskitError):
    """Something unforeseen went wrong in the program or in a plugin."""

    code, title = "OV001", "program error"


class Problems(OvsskitError):
    """Carry every problem of a recipe: by file and line, what may follow from another last."""

    code, title, status = "OV100", "the recipe has problems", 2

    def __init__(self, problems: Iterable[OvsskitError]) -> None:
        self.problems = sorted(problems, key=lambda one: (one.may_follow, one.where or Place("")))
        super().__init__(f"{len(self.problems)} problem{'s' * (len(self.problems) > 1)}")

    def paragraphs(self) -> list[list[str]]:
        """Return the paragraphs of the first problems, and how many more there are."""
        lines = [part for one in self.problems[:MOST_SHOWN] for part in one.paragraphs()]
        more = len(self.problems) - len(lines)
        return [*lines, *([[f"and {more} more problems"]] if more else [])]

    @property
    def reason(self) -> str:
        """Return in one line why something failed."""
        return " ".join(one.reason for one in self.problems)


class BrokenToml(OvsskitError):
    """The text is not valid TOML."""

    code, title, status = "OV101", "not valid TOML", 2


class MissingRecipe(OvsskitError):
    """A recipe, or the recipe that it extends, does not exist."""

    code, title, status = "OV102", "no such recipe", 2


class ExtendsCycle(OvsskitError):
    """Recipes extend each other in a circle."""

    code, title, status = "OV103", "recipes extend each other in a circle", 2


class UnknownStage(OvsskitError):
    """A recipe names a stage that is neither built in, installed, nor given by --plugin."""

    code, title, status = "OV110", "unknown stage", 2


class UnknownBackbone(OvsskitError):
    """A recipe names a backbone that does not exist."""

    code, title, status = "OV111", "unknown backbone", 2


class UnknownKey(OvsskitError):
    """A table has a key that its stage, backbone or section does not know."""

    code, title, status = "OV112", "unknown key", 2


class BadValue(OvsskitError):
    """A value has the wrong type or lies outside its range."""

    code, title, status = "OV113", "bad value", 2


class MissingKey(OvsskitError):
    """A table lacks a key that it must have."""

    code, title, status = "OV114", "missing key", 2


class DuplicateAddress(OvsskitError):
    """Two stages of a recipe have the same address; `name = "..."` tells them apart."""

    code, title, status = "OV115", "duplicate address", 2


class UnknownAddress(OvsskitError):
    """An override, removal or study names a stage or parameter that the recipe does not have."""

    code, title, status = "OV116", "unknown address", 2
    may_follow = True


class UnfilledSlot(OvsskitError):
    """A stage reads a slot that no stage above it writes."""

    code, title, status = "OV201", "unfilled slot", 2
    may_follow = True


class WrongKind(OvsskitError):
    """A stage reads a slot of another kind of value, such as a dense CRF before the softmax."""

    code, title, status = "OV202", "wrong kind of value", 2
    may_follow = True


class MissingCapability(OvsskitError):
    """A stage needs a capability that its model lacks."""

    code, title, status = "OV203", "the backbone cannot do that", 2
    may_follow = True


class BadInner(OvsskitError):
    """A wrapper's inner chain is empty, or does not write what the wrapper merges."""

    code, title, status = "OV204", "inner chain does not fit its wrapper", 2
    may_follow = True


class BadClasses(OvsskitError):
    """The list of classes is missing, empty, or names a class twice."""

    code, title, status = "OV301", "bad list of classes", 2


class BadImage(OvsskitError):
    """An image cannot be read, is too large, or is not an image at all."""

    code, title, status = "OV302", "unreadable image", 1


class NoImages(OvsskitError):
    """The given paths name no image."""

    code, title, status = "OV303", "no images", 2


class BadFile(OvsskitError):
    """A file that a recipe or data set names cannot be read as what it should be."""

    code, title, status = "OV304", "unreadable file", 2


class Refused(OvsskitError):
    """The system refuses to read or write a file: no permission, no room, or a failing disk."""

    code, title, status = "OV305", "the system refuses", 1


class NoDataset(OvsskitError):
    """No data set has this name, its files are missing, or it has no such split or layout."""

    code, title, status = "OV306", "no such data set", 2


class MissingWeights(OvsskitError):
    """The weights of a model are neither local nor in the cache, and cannot be fetched."""

    code, title, status = "OV401", "missing weights", 2


class BadWeights(OvsskitError):
    """A file of weights is broken or belongs to another architecture."""

    code, title, status = "OV402", "weights do not fit", 2


class UnknownDevice(OvsskitError):
    """The device does not exist on this machine."""

    code, title, status = "OV403", "unknown device", 2


class OutOfMemory(OvsskitError):
    """Even one item at a time does not fit into memory."""

    code, title, status = "OV404", "out of memory", 1


class MissingExtra(OvsskitError):
    """A stage needs an optional package that is not installed."""

    code, title, status = "OV405", "missing package", 2


class NoAnswer(OvsskitError):
    """A language model cannot be asked, or gave no text for a class; earlier answers are kept."""

    code, title, status = "OV406", "no usable answer", 1


class BadOutput(OvsskitError):
    """The output cannot be written, the folder holds another run, or the file already exists."""

    code, title, status = "OV501", "output cannot be used", 2


class CannotWrite(OvsskitError):
    """The disk became full or the folder unwritable during a run; earlier files are intact."""

    code, title, status = "OV503", "writing stopped", 1


class ReplicasDied(OvsskitError):
    """The processes of `--devices` keep dying; what they finished is kept."""

    code, title, status = "OV504", "processes died", 1


class BadPlugin(OvsskitError):
    """A plugin file cannot be imported or defines nothing, or a backbone lacks methods."""

    code, title, status = "OV502", "unusable plugin", 2


class BadSpace(OvsskitError):
    """A study's space has a range or parameter that cannot be searched, such as an empty one."""

    code, title, status = "OV601", "bad search space", 2


class BadStudy(OvsskitError):
    """Parts of a study do not fit together, such as a sampler that cannot search the space."""

    code, title, status = "OV602", "the study does not fit together", 2


class BadStorage(OvsskitError):
    """The storage of a study cannot be reached, or is of a kind that studies do not use."""

    code, title, status = "OV603", "storage cannot be used", 2


class OtherStudy(OvsskitError):
    """The storage or folder holds another study of this name: two studies never mix."""

    code, title, status = "OV604", "another study", 2


class NothingFound(OvsskitError):
    """No image gives the objective anything to judge, such as when no class is found in any."""

    code, title, status = "OV605", "nothing to judge", 2


class StudyFailed(OvsskitError):
    """Trial after trial fails, so the study itself is at fault."""

    code, title, status = "OV606", "the study fails", 1


_FOUND: ContextVar[list[OvsskitError] | None] = ContextVar("problems", default=None)


def report(*problems: OvsskitError) -> None:
    """Add problems to those that are collected; where none are, raise them.

    Raises:
        Problems: nothing collects them.
    """
    found = _FOUND.get()
    if found is not None:
        found += problems
    elif problems:
        raise Problems(problems)


@contextmanager
def collecting() -> Iterator[list[OvsskitError]]:
    """Collect the problems that are reported inside."""
    found: list[OvsskitError] = []
    token = _FOUND.set(found)
    try:
        yield found
    finally:
        _FOUND.reset(token)


@contextmanager
def all_at_once() -> Iterator[None]:
    """Go on where problems are reported inside, and raise them at the end.

    Raises:
        Problems: there are any.
    """
    with collecting() as found:
        yield
    if found:
        raise Problems(found)


def reason_of(error: Exception) -> str:
    """Return in one line why something failed."""
    if isinstance(error, OvsskitError):
        return error.reason
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def refusal(what: str, fix: str = "") -> PydanticCustomError:
    """Return what a field's validator raises: half a sentence on the value, and a remedy."""
    return PydanticCustomError("refusal", "{what}", {"what": what, "fix": fix})


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that is spelt most like this one, or None if none is."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return near[0] if near else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a question that names the nearest known word, or an empty string."""
    near = nearest(word, known)
    return f"Did you mean `{near}`?" if near else ""


def shorten(text: str, most: int = 80) -> str:
    """Return a text of at most this many characters; of a longer one, its two ends."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def first_of(names: Sequence[str], rest: str = "", most: int = 12) -> str:
    """Return names with commas between; of many, the first, and how many more or what lists all."""
    if len(names) <= most:
        return ", ".join(names) or "none"
    more = f"others (`{rest}` lists all)" if rest else f"{len(names) - most} more"
    return f"{', '.join(names[:most])} and {more}"
