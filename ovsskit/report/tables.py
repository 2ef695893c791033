"""Lay results out in tables: the numbers, how they were made, and every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ovsskit.report.grid import Grid
from ovsskit.report.results import Result

METRICS = {
    "mean_accuracy": "mean accuracy",
    "pixel_accuracy": "pixel accuracy",
    "frequency_weighted_iou": "fw IoU",
    "boundary_iou": "boundary IoU",
    "calibration_error": "ECE",
}
"""What the metrics beside the mean IoU are called in a table."""
WORDS = frozenset({"recipe", "data set", "protocol"})
SETTINGS = (
    "resize",
    "window",
    "text",
    "presence",
    "background words",
    "thresholds",
    "refiners",
    "weights",
    "device",
    "seconds per image",
    "memory",
)
"""What a table tells of how a result was made, in the order of its rows."""
MIB = 2**20


def result_table(results: Sequence[Result]) -> Grid:
    """Return every result with its data set, protocol and metrics, a row for each."""
    columns = ("recipe", "data set", "images", "protocol", "mIoU", "95 %", *METRICS.values())
    notes = []
    for result in results:
        lacking = _lacking(result)
        if lacking:
            notes.append(f"{result.name} on {_data(result)}: {lacking}")
    return Grid("Results", columns, [_numbers(one) for one in results], WORDS, notes)


def setting_table(results: Sequence[Result]) -> Grid:
    """Return how every result was made, a column for each."""
    columns = ("setting", *_labels(results))
    rows = list(zip(SETTINGS, *(_settings(one.record) for one in results), strict=True))
    return Grid("How they were made", columns, rows, frozenset(columns))


def class_tables(results: Sequence[Result]) -> list[Grid]:
    """Return the IoU of every class, a table for each list of classes, a column for each result."""
    lists: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        names = tuple(one["name"] for one in result.record["classes"])
        lists.setdefault(names, []).append(result)
    grids = []
    for names, alike in lists.items():
        columns = ("class", *_labels(alike))
        shares = [[one["iou"] for one in result.record["classes"]] for result in alike]
        rows = [(name, *map(percent, values)) for name, *values in zip(names, *shares, strict=True)]
        rows.append(("mean", *(percent(one.record["metrics"]["miou"]) for one in alike)))
        grids.append(
            Grid(f"IoU of every class: {_data(alike[0])}", columns, rows, frozenset({"class"}))
        )
    return grids


def percent(value: float | None, digits: int = 2) -> str:
    """Return a share from 0 to 1 in per cent, or a dash where it is not known."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def _numbers(result: Result) -> tuple[str, ...]:
    record = result.record
    ends = record.get("interval", {}).get("miou", (None, None))
    interval = "-" if ends[0] is None else f"[{percent(ends[0])},{percent(ends[1])}]"
    data = record["dataset"]
    images = f"{record['images']['counted']}/{data.get('published_images', data['images'])}"
    return (
        result.name,
        _data(result),
        images,
        record["protocol"]["name"],
        percent(record["metrics"]["miou"]),
        interval,
        *(percent(record["metrics"].get(key)) for key in METRICS),
    )


def _data(result: Result) -> str:
    data = result.record["dataset"]
    parts = (data["name"], data["split"], data["layout"])
    return " ".join(part for part in parts if part)


def _labels(results: Sequence[Result]) -> list[str]:
    """Return the names of results, numbered where two have the same."""
    names = [one.name for one in results]
    return [
        name if names.count(name) == 1 else f"{name} {names[:index].count(name) + 1}"
        for index, name in enumerate(names)
    ]


def _lacking(result: Result) -> str:
    """Say what of the data set does not count in a result."""
    record = result.record
    parts = []
    if record["images"]["left_out"]:
        parts.append(f"{record['images']['left_out']} images could not be counted")
    missed = record.get("not_looked_for", [])
    if missed:
        parts.append(f"{len(missed)} classes were not looked for, and count as missed")
    return "; ".join(parts)


def _settings(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a record says of every one of the settings."""
    settings = record.get("settings", {})
    costs = record.get("costs", {})
    memory, seconds = costs.get("peak_memory"), costs.get("seconds", 0.0)
    words = settings.get("background_words", [])
    return (
        *(_stages(settings.get(key, {})) for key in ("resize", "window", "text", "presence")),
        str(len(words)) if words else "-",
        *(_stages(settings.get(key, {})) for key in ("thresholds", "refiners")),
        "; ".join(map(_weights, record.get("models", {}).values())) or "-",
        str(record.get("device", "-")),
        f"{seconds / record['images']['counted']:.3f}",
        f"{memory / MIB:.0f} MiB" if memory else "-",
    )


def _stages(stages: Mapping[str, Any]) -> str:
    """Return stages with the numbers and words of their parameters that say something."""
    shown = []
    for address, parameters in stages.items():
        told = [f"{key} {_value(value)}" for key, value in parameters.items() if _tells(value)]
        shown.append(f"{address} ({', '.join(told)})" if told else address)
    return "; ".join(shown) or "-"


def _tells(value: Any) -> bool:
    return value not in ("", None, False, [], {})


def _value(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _weights(model: Mapping[str, Any]) -> str:
    licence = model.get("licence") or "licence not known"
    return f"{model.get('use')} {model.get('source', '')} ({model.get('precision')}, {licence})"
