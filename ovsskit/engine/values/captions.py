"""The value of captions that name classes."""

from __future__ import annotations

from dataclasses import dataclass

from ovsskit.engine.examples import NAMES
from ovsskit.engine.values.value import Value


@dataclass(frozen=True)
class Span:
    """Say which characters of a caption name the class at a position of `Present.labels`."""

    position: int
    start: int
    end: int


@dataclass(frozen=True)
class Caption:
    """Hold one sentence and where in it the classes are named."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, eq=False)
class Captions(Value):
    """Hold the captions of an image: one, or several where one cannot hold all classes."""

    captions: tuple[Caption, ...]

    @classmethod
    def example(cls, seed: int = 0) -> Captions:
        """Return one caption that names every class."""
        text, spans = "A picture of", []
        for position, name in enumerate(NAMES):
            spans.append(Span(position, len(text) + 1, len(text) + 1 + len(name)))
            text += f" {name}"
        return cls((Caption(text, tuple(spans)),))
