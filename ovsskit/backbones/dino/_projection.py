"""Talk2DINO's projection: linear layers with a hyperbolic tangent between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import read_tensors
from ovsskit.errors import BadWeights, Place
from ovsskit.hub.published_file import PublishedFile, need_file
from ovsskit.hub.weights import Published

PROJECTION = PublishedFile(
    "https://raw.githubusercontent.com/lorebianchi98/Talk2DINO/"
    "4918c2df1d00c644ecc7f34de070694af1a8bc69/weights/vitb_mlp_infonce.pth",
    "5f6efcc520f22916ecf3dfdfb01d6f57e701c1c2e1feda71a80d89e3cd752f0f",
    3_940_664,
    "talk2dino_vitb.pth",
)
"""The authors' file for ViT-B/14."""
KNOWN = Published(
    PROJECTION.address,
    "Talk2DINO's projection for DINOv2's ViT-B/14, trained on the captions of COCO",
    "none stated",
    "of the repository lorebianchi98/Talk2DINO, where we looked",
    4 * 984_576,
)
FIX = (
    "Give the file of the authors' repository that is for this DINO, such as vitb_mlp_infonce.pth "
    'for ViT-B/14 with registers: projection = "published".'
)
FIRST, OLD, FURTHER = "linear_layer", "linear_layer2", r"^hidden_layers\.(\d+)\.weight$"
Layers = list[tuple[Any, Any]]


def need_projection(named: str) -> Path:
    """Return the file of the projection; the published one is fetched once, and kept.

    Raises:
        MissingWeights: it cannot be fetched, or is not the file that was published.
        BadWeights: there is no file of this name.
        CannotWrite: the user's caches cannot be written.
    """
    return need_file(named, PROJECTION, FIX)


def read_projection(path: Path, width: int, *, shapes_only: bool = False) -> Layers:
    """Return the matrices and vectors of the layers, for patches of this width.

    Raises:
        BadWeights: the file is broken, holds something else, or is for another DINO.
    """
    state = read_tensors(path, FIX, torch.float32, shapes_only=shapes_only)
    further = sorted(int(found[1]) for name in state if (found := re.match(FURTHER, name)))
    names = [FIRST, *(OLD for name in state if name == f"{OLD}.weight")]
    names += [f"hidden_layers.{number}" for number in further]
    try:
        layers = [(state[f"{name}.weight"], state[f"{name}.bias"]) for name in names]
    except KeyError as error:
        what = f"The file holds no projection of Talk2DINO: it lacks {error.args[0]}."
        raise BadWeights(what, fix=FIX, where=Place(str(path))) from error
    sizes = [layers[0][0].shape[-1], *(len(weight) for weight, _ in layers)]
    for (weight, bias), entering, leaving in zip(layers, sizes, sizes[1:], strict=False):
        if weight.shape != (leaving, entering) or bias.shape != (leaving,):
            what = "The layers of the projection do not fit one another."
            raise BadWeights(what, fix=FIX, where=Place(str(path)))
    if sizes[-1] != width:
        what = (
            f"The projection is for patches of {sizes[-1]} numbers, but those of the model have "
            f"{width}."
        )
        raise BadWeights(what, fix=FIX, where=Place(str(path)))
    return layers


def run_projection(
    layers: Sequence[tuple[Any, Any]], vectors: Float[torch.Tensor, "text width"]
) -> Float[torch.Tensor, "text out"]:
    """Return what the layers make of vectors."""
    (weight, bias), *further = layers
    found: torch.Tensor = torch.nn.functional.linear(vectors, weight, bias)
    for weight, bias in further:
        found = torch.nn.functional.linear(found.tanh(), weight, bias)
    return found
