"""Read a recipe's published numbers: what its method is said to reach, where, and by whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from ovsskit.datasets.facts import dataset_names, facts_of
from ovsskit.datasets.matching import is_of
from ovsskit.datasets.protocol import PROTOCOLS
from ovsskit.errors import BadValue, NoDataset, did_you_mean, first_of, refusal, report
from ovsskit.recipe.toml_lines import Table
from ovsskit.recipe.validate import validate

Metric = Literal[
    "miou", "mean_accuracy", "pixel_accuracy", "frequency_weighted_iou", "boundary_iou"
]
"""The metrics that are published, by their names in the record of an evaluation."""


class PublishedNumber(BaseModel, frozen=True, extra="forbid", strict=True):
    """Hold one published number of a recipe's method, and what has to be the same to compare it."""

    dataset: Annotated[str, Field(description="the data set, as `ovsskit datasets` names it")]
    value: Annotated[float, Field(ge=0, le=100, description="the number, in per cent")]
    source: Annotated[str, Field(min_length=1, description="where it is printed")]
    metric: Annotated[Metric, Field(description="what was measured")] = "miou"
    split: Annotated[
        str, Field(description="the split; the one that papers report if left out")
    ] = ""
    layouts: Annotated[
        tuple[str, ...],
        Field(description="the layouts of the data set that hold these true masks; all if empty"),
    ] = ()
    protocol: Annotated[str, Field(description="the rules by which it was counted")] = (
        "mmsegmentation"
    )
    by: Annotated[
        Literal["authors", "rerun"],
        Field(description="who measured it: the method's authors, or others with its code"),
    ] = "authors"
    certainty: Annotated[
        Literal["sure", "second-hand"],
        Field(description="whether it was read where it is printed, or where others quote it"),
    ] = "sure"
    differs: Annotated[
        tuple[str, ...], Field(description="why the recipe's own number cannot be compared with it")
    ] = ()

    @field_validator("dataset")
    @classmethod
    def _is_a_dataset(cls, name: str) -> str:
        try:
            return facts_of(name).name
        except NoDataset as error:
            what = f"there is no such data set; available: {first_of(dataset_names())}"
            raise refusal(what, error.fix) from error

    @field_validator("protocol")
    @classmethod
    def _is_a_protocol(cls, name: str) -> str:
        if name not in PROTOCOLS:
            what = f"there is no such protocol; available: {', '.join(PROTOCOLS)}"
            raise refusal(what, did_you_mean(name, list(PROTOCOLS)))
        return name


def read_published(rows: Sequence[Table], dataset: str) -> tuple[PublishedNumber, ...]:
    """Return the published numbers that rows describe; what is wrong with a row is reported.

    `dataset` is the data set whose classes the recipe's are, if it names one.
    """
    found = []
    for row in rows:
        number = validate(PublishedNumber, row, "published")
        if number is not None:
            report(*_misfits(number, row, dataset))
            found.append(number)
    return tuple(found)


def _misfits(number: PublishedNumber, row: Table, dataset: str) -> Iterator[BadValue]:
    """Yield what of a number fits neither its data set nor the recipe's classes."""
    facts = facts_of(number.dataset)
    known = [one.name for one in facts.layouts]
    for name in number.layouts:
        if name not in known:
            what = f"The data set {facts.name} has no layout `{name}`."
            there, where = f"Its layouts: {first_of(known)}", row.place_of("layouts")
            yield BadValue(what, there=there, fix=did_you_mean(name, known), where=where)
    if dataset and not is_of(facts_of(dataset), facts):
        what = f"The number is for {facts.name}, but the recipe's classes are those of {dataset}."
        fix = "Move it to a variant with the classes of that data set."
        yield BadValue(what, fix=fix, where=row.place_of("dataset"))
