"""Charts of a study as plain coordinates, which the report's template draws as SVG."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ovsskit.recipe.describe import toml
from ovsskit.study.search.trials import Row, progress
from ovsskit.study.spec.space import Dimension

LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 40


@dataclass(frozen=True)
class Tick:
    """Hold a mark on an axis: where it is, and what stands there."""

    place: int | float
    text: str


@dataclass(frozen=True)
class Scale:
    """Turn values of one kind into places along an axis: numbers, logarithms, or words in a row."""

    first: int | float
    last: int | float
    low: int | float = 0
    high: int | float = 1
    log: bool = False
    words: tuple[str, ...] = ()
    whole: bool = False

    @classmethod
    def of(cls, values: Sequence[float], first: int | float, last: int | float) -> Scale:
        """Return a scale that holds some numbers, with a margin."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        margin = 0.06 * (high - low) or abs(high) * 0.06 or 1.0
        return cls(first, last, low - margin, high + margin)

    @classmethod
    def along(cls, dimension: Dimension, first: int | float, last: int | float) -> Scale:
        """Return the scale of a searched parameter."""
        if dimension.choices:
            return cls(first, last, words=tuple(map(toml, dimension.choices)))
        return cls(
            first, last, dimension.low, dimension.high, dimension.log, whole=dimension.kind == "int"
        )

    def place(self, value: Any) -> float:
        """Return where a value stands."""
        if self.words:
            text = toml(value)
            part = (self.words.index(text) + 0.5) / len(self.words) if text in self.words else 0.0
        elif self.log:
            part = math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return round(self.first + min(max(part, 0.0), 1.0) * (self.last - self.first), 1)

    def ticks(self, count: int = 4) -> list[Tick]:
        """Return marks at round numbers, two or more, or at every word."""
        if self.words:
            return [Tick(self.place_of_word(word), word.strip('"')) for word in self.words]
        if self.log:
            values = [self.low * (self.high / self.low) ** (index / 3) for index in range(4)]
            return [Tick(self.place(value), f"{value:.2g}") for value in values]
        step = _round_step((self.high - self.low) / count)
        step = max(1, round(step)) if self.whole else step
        start = math.ceil(self.low / step - 1e-9)
        values = [index * step for index in range(start, math.floor(self.high / step + 1e-9) + 1)]
        if len(values) < 2:
            return self.ticks(count + 1)
        return [Tick(self.place(value), f"{value:.6g}") for value in values]

    def place_of_word(self, word: str) -> float:
        """Return where a word stands."""
        part = (self.words.index(word) + 0.5) / len(self.words)
        return round(self.first + part * (self.last - self.first), 1)


@dataclass(frozen=True)
class Point:
    """Hold a dot: where it is, its class in the style sheet, and what it tells when pointed at."""

    x: int | float
    y: int | float
    kind: str
    title: str


@dataclass(frozen=True)
class Path:
    """Hold a line through places, its class in the style sheet, and how strong it is drawn."""

    places: tuple[tuple[int | float, int | float], ...]
    kind: str
    title: str = ""
    hue: float | None = None

    @property
    def text(self) -> str:
        """Return the places as SVG takes them."""
        return " ".join(f"{x},{y}" for x, y in self.places)


@dataclass(frozen=True)
class Chart:
    """Hold a chart: its size, its axes, and what is drawn."""

    title: str
    width: int
    height: int
    across: list[Tick] = field(default_factory=list)
    up: list[Tick] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    label: str = ""


def history_chart(
    rows: Sequence[Row], objective: str, sign: int, default: float | None, width: int = 900
) -> Chart:
    """Return the value of every trial in the order in which they ended, and the best so far."""
    height = 300
    judged = [(index, row) for index, row in enumerate(rows, 1) if row.values]
    values = [row.values[0] for _, row in judged if row.values] + (
        [default] if default is not None else []
    )
    x = Scale(LEFT, width - RIGHT, 0, max(len(rows), 1) + 1)
    y = Scale.of(values, height - BOTTOM, TOP)
    points = [
        Point(
            x.place(index), y.place(row.values[0]), "broken" if row.broken else "trial", _told(row)
        )
        for index, row in judged
        if row.values
    ]
    steps = [(x.place(count), y.place(best)) for count, _, best in progress(rows, sign)]
    stairs = [
        place
        for before, after in itertools.pairwise(steps)
        for place in (before, (after[0], before[1]))
    ]
    paths = [Path((*stairs, *steps[-1:]), "best", f"best {objective} so far")] if steps else []
    if default is not None:
        line = ((x.first, y.place(default)), (x.last, y.place(default)))
        paths.append(Path(line, "default", f"the unchanged recipe: {default:.4g}"))
    return Chart("History", width, height, x.ticks(8), y.ticks(), points, paths, "trial")


def slice_charts(
    rows: Sequence[Row], space: Sequence[Dimension], start: dict[str, Any], default: float | None
) -> list[Chart]:
    """Return for each parameter the values of all trials over it."""
    width, height = 290, 220
    values = [row.values[0] for row in rows if row.values] + (
        [default] if default is not None else []
    )
    y = Scale.of(values, height - BOTTOM, TOP)
    charts = []
    for one in space:
        x = Scale.along(one, LEFT, width - RIGHT)
        points = [
            Point(x.place(row.params[one.address]), y.place(row.values[0]), "trial", _told(row))
            for row in rows
            if row.values and one.address in row.params
        ]
        was = start.get(one.address)
        if default is not None and was is not None and (not one.choices or was in one.choices):
            points.append(
                Point(
                    x.place(was),
                    y.place(default),
                    "was",
                    f"the unchanged recipe: {toml(was)}, {default:.4g}",
                )
            )
        charts.append(Chart(one.address, width, height, x.ticks(3), y.ticks(), points))
    return charts


def parallel_chart(
    rows: Sequence[Row], space: Sequence[Dimension], objective: str, sign: int, width: int = 900
) -> Chart:
    """Return a line through the parameters of each trial, the better the warmer."""
    height = 320
    judged = sorted(
        (row for row in rows if row.values), key=lambda row: sign * (row.values or [0.0])[0]
    )
    columns = [LEFT + index * (width - LEFT - 60) / len(space) for index in range(len(space) + 1)]
    scales = [Scale.along(one, height - BOTTOM, TOP) for one in space]
    last = Scale.of([row.values[0] for row in judged if row.values], height - BOTTOM, TOP)
    paths = [Path(((round(x, 1), TOP), (round(x, 1), height - BOTTOM)), "axis") for x in columns]
    for rank, row in enumerate(judged):
        places = [
            (round(x, 1), scale.place(row.params[one.address]))
            for x, scale, one in zip(columns, scales, space, strict=False)
            if one.address in row.params
        ]
        assert row.values is not None
        places.append((round(columns[-1], 1), last.place(row.values[0])))
        paths.append(Path(tuple(places), "strand", _told(row), hue=rank / max(1, len(judged) - 1)))
    names = [*(one.address for one in space), objective]
    ends = []
    for x, scale in zip(columns, [*scales, last], strict=True):
        ends += [Point(round(x, 1), tick.place, "word", tick.text) for tick in scale.ticks(4)]
    return Chart(
        "Parallel coordinates",
        width,
        height,
        [Tick(round(x, 1), n) for x, n in zip(columns, names, strict=True)],
        [],
        ends,
        paths,
    )


def front_chart(
    rows: Sequence[Row], front: Sequence[Row], names: Sequence[str], default: Sequence[float]
) -> Chart:
    """Return the first two objectives of all trials, and the Pareto front among them."""
    width, height = 900, 340
    judged = [row for row in rows if row.values]
    pairs = [(row.values[0], row.values[1]) for row in judged if row.values] + [
        (default[0], default[1])
    ]
    x, y = (
        Scale.of([a for a, _ in pairs], LEFT, width - RIGHT),
        Scale.of([b for _, b in pairs], height - BOTTOM, TOP),
    )
    kept = {row.number for row in front}
    points = [
        Point(
            x.place(row.values[0]),
            y.place(row.values[1]),
            "front" if row.number in kept else "trial",
            _told(row),
        )
        for row in judged
        if row.values
    ]
    points.append(Point(x.place(default[0]), y.place(default[1]), "was", "the unchanged recipe"))
    return Chart(
        f"{names[1]} over {names[0]}", width, height, x.ticks(8), y.ticks(), points, [], names[0]
    )


def _told(row: Row) -> str:
    values = ", ".join(f"{value:.4g}" for value in row.values or [])
    params = ", ".join(
        f"{address} = {value:.4g}" if isinstance(value, float) else f"{address} = {toml(value)}"
        for address, value in row.params.items()
    )
    return f"trial {row.turn}: {values}; {params}"


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * (1 - 1e-9))
