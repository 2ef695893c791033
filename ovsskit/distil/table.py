"""The settings of teaching a student, as they stand in a recipe's table `[distil]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, PositiveInt, model_validator

from ovsskit.distil.students import StudentName, find_student
from ovsskit.errors import refusal
from ovsskit.recipe.describe import field_schemas, table_schema

Share = Annotated[float, Field(ge=0, lt=1)]


class DistilTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """Say how a student is taught.

    The optimiser, the decay of the rate and the tenfold rate of what starts at random are those of
    SegFormer (Xie et al. 2021, section 4.1).
    """

    student: Annotated[StudentName, Field(description="the network that is taught")] = (
        "segformer-b0"
    )
    start: Annotated[
        str,
        Field(
            description="what the student's encoder starts from: a hub id such as nvidia/mit-b0, or"
            " a folder; for vit, whose shape it has, of a CLIP, DINO or DINOv2, or `embedded`; if "
            "empty, it starts at random"
        ),
    ] = ""
    image_size: Annotated[
        int, Field(ge=32, description="side of the parts of images that it is taught on, in pixels")
    ] = 512
    updates: Annotated[PositiveInt, Field(description="how many steps")] = 20_000
    batch: Annotated[PositiveInt, Field(ge=2, description="images in one step")] = 8
    rate: Annotated[
        float,
        Field(
            gt=0,
            description="learning rate of what starts from weights; it falls to 0",
        ),
    ] = 6e-5
    random_start: Annotated[
        float,
        Field(gt=0, description="how many times as high the rate is of what starts at random"),
    ] = 10.0
    optimiser: Annotated[Literal["adamw", "sgd"], Field(description="what changes the weights")] = (
        "adamw"
    )
    power: Annotated[
        float, Field(gt=0, description="the rate falls by this power of the steps that are left")
    ] = 1.0
    warm_up: Annotated[
        Share, Field(description="share of the steps in which the rate rises from 0")
    ] = 0.05
    weight_decay: Annotated[
        float, Field(ge=0, description="decay of all parameters, apart from the gradient")
    ] = 0.01
    labels: Annotated[
        Literal["once", "each_step"],
        Field(
            description="what is taught: the teacher's labels of whole images, or what it says at "
            "each step of the very parts that the student sees"
        ),
    ] = "once"
    unsure_below: Annotated[
        float,
        Field(description="where the teacher's best value is below, pixels teach nothing"),
    ] = 0.0
    mean_over: Annotated[
        Literal["known", "all"],
        Field(description="the loss is a mean over pixels that teach something, or over all"),
    ] = "known"
    feature_weight: Annotated[
        float,
        Field(
            ge=0,
            description="weight of the distance to the teacher's vectors; for maskclip_plus, with "
            'labels = "each_step"',
        ),
    ] = 0.0
    smallest_part: Annotated[
        float, Field(gt=0, le=1, description="least share of an image's area that a step shows")
    ] = 0.3
    colour_change: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="how far brightness, contrast and saturation are changed at most",
        ),
    ] = 0.3
    held_out: Annotated[
        Share,
        Field(description="share of the images that it is not taught on, and is judged by"),
    ] = 0.1
    seed: Annotated[
        int, Field(ge=0, description="of the first weights, the order of images and their changes")
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
    ] = 500

    @model_validator(mode="after")
    def _shape_is_known(self) -> DistilTable:
        if find_student(self.student).needs_start and not self.start:
            fix = "Name a CLIP, DINO or DINOv2, or the packaged CLIP: --set distil.start=embedded."
            raise refusal(f"{self.student} has the shape of its `start`, which is empty", fix)
        return self

    @model_validator(mode="after")
    def _vectors_can_be_compared(self) -> DistilTable:
        if self.feature_weight and self.labels == "once":
            raise refusal('`feature_weight` takes labels = "each_step": vectors are not kept')
        if self.feature_weight and not find_student(self.student).reads_texts:
            who = f"not for {self.student}"
            raise refusal(f"`feature_weight` is for a student whose classifier are texts, {who}")
        return self


SETTINGS = DistilTable


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the table."""
    return table_schema(field_schemas(DistilTable))
