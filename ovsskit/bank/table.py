"""The settings of a bank, as they stand in a recipe's table `[bank]`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, PositiveInt

from ovsskit.ops.co_segmentation import Columns
from ovsskit.recipe.describe import field_schemas, table_schema
from ovsskit.texts.templates import Templates


class BankTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """Say how prototypes are made of images, by default as ReCo's released code makes them."""

    retrieval: Annotated[
        str, Field(description="model that finds the images of a class, by images and texts")
    ] = "retrieval"
    features: Annotated[
        str, Field(description="model whose patches the prototypes are made of")
    ] = "affinity"
    attention: Annotated[str, Field(description="model that says where in an image a text is")] = (
        "backbone"
    )
    images_per_class: Annotated[
        PositiveInt, Field(description="how many images are retrieved for each class")
    ] = 50
    templates: Annotated[
        Templates, Field(description="sentences for the names, for both models that read texts")
    ] = "clip_surgery_85"
    scale: Annotated[
        float, Field(gt=0, description="what cosines with texts are multiplied by: sharpness")
    ] = 10.0
    side: Annotated[
        int, Field(ge=16, description="side of the square that is seen of an image, in pixels")
    ] = 224
    context: Annotated[
        tuple[str, ...],
        Field(description="words for what usually stands around; their prototypes come first"),
    ] = ("tree", "sky", "building", "road", "person")
    same_as: Annotated[
        dict[str, str], Field(description="classes that take the prototype of a word of `context`")
    ] = {"vegetation": "tree"}
    columns: Annotated[
        Columns,
        Field(description="`own`: an image's own patches; `released`: sliced as in ReCo's code"),
    ] = "own"


SETTINGS = BankTable


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the table."""
    return table_schema(field_schemas(BankTable))
