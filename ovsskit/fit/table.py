"""The settings of image-free tuning, as they stand in a recipe's table `[fit]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PositiveInt

from ovsskit.recipe.describe import field_schemas, table_schema

Share = Annotated[float, Field(ge=0, lt=1)]


class FitTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """Say how a model is tuned for a list of classes, by default as in IFSeg's released scripts."""

    weights: Annotated[
        str, Field(description="what tuning starts from; the backbone's own weights if empty")
    ] = ""
    updates: Annotated[PositiveInt, Field(description="how many steps")] = 2000
    batch: Annotated[PositiveInt, Field(description="artificial images in one step")] = 16
    at_once: Annotated[
        PositiveInt,
        Field(
            description="artificial images that the network sees at once; fewer take less memory"
        ),
    ] = 4
    rate: Annotated[
        float,
        Field(gt=0, description="learning rate of the first step; it falls to 0 along a cosine"),
    ] = 5e-5
    weight_decay: Annotated[
        float, Field(ge=0, description="decay of all tuned parameters, apart from the gradient")
    ] = 0.1
    dropout: Annotated[
        Share, Field(description="share of numbers that are dropped in branches and inputs")
    ] = 0.1
    drop_path: Annotated[
        Share, Field(description="share of branches that are dropped in the last layers")
    ] = 0.1
    clip: Annotated[float, Field(gt=0, description="greatest length of the gradient")] = 1.0
    seed: Annotated[
        int, Field(ge=0, description="of the artificial images and of what is dropped")
    ] = 0
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Field(
            description=(
                "`auto` is bf16 on a GPU that has it, where weights stay in fp32, and fp32 else"
            )
        ),
    ] = "auto"
    save_every: Annotated[
        PositiveInt, Field(description="steps after which the state is saved, to go on from")
    ] = 100


SETTINGS = FitTable


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the table."""
    return table_schema(field_schemas(FitTable))
