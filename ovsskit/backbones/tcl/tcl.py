"""TCL: texts are grounded by a branch of CLIP that was trained on captions for just that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.backbones._checkpoint import FOLDER_FILES, weights_file
from ovsskit.backbones._colours import Colour
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._weights import Blueprint
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.tcl import _checkpoint as checkpoint
from ovsskit.backbones.tcl._grounder import ground
from ovsskit.backbones.tcl._published import TCL
from ovsskit.engine.model import GroundsText
from ovsskit.engine.values import Hidden, PatchFeatures
from ovsskit.hub.weights import HubFiles, Published

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of ImageNet, which TCL was trained with, other than its CLIP."""


class Tcl(Clip, GroundsText):
    """Encode texts and patches by the CLIP inside TCL, and ground texts by its other branch.

    Weights are the authors' checkpoint (`tcl.pth`, 713 MB, MIT), which holds both branches and the
    text encoder; the architecture is read off the shapes of its tensors.
    Source: Cha et al. 2023, TCL; code kakaobrain/tcl bc2b551.
    """

    embedded: ClassVar[Path] = Path()
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES)
    published: ClassVar[Mapping[str, Published]] = TCL

    weights: Annotated[
        str, Field(description="the authors' checkpoint, or what `ovsskit models` converts it to")
    ]
    model: Annotated[
        Literal[""], Field(description="the architecture follows from the checkpoint")
    ] = ""
    positions: Annotated[
        vision.Positions, Field(description="how position embeddings are resized: see `clip`")
    ] = "size_exact"
    mean: Annotated[
        Colour, Field(description="red, green and blue to subtract, on a scale to 255")
    ] = MEAN
    deviation: Annotated[
        Colour, Field(description="red, green and blue to divide by, on a scale to 255")
    ] = DEVIATION
    activation: Annotated[
        Literal["trained"], Field(description="of the feed-forward parts: quick GELU")
    ] = "trained"

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return TCL's name if tensors of such names are one of it, else an empty text."""
        return checkpoint.recognise(names)

    @property
    def source(self) -> str:
        """Return where the weights come from: a hub id or a local path."""
        return self.weights

    @cached_property
    def blueprint(self) -> Blueprint:
        """Return the model's configuration and where its weights lie.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        path = self.need_weights()
        file = weights_file(path, checkpoint.FIX)
        return Blueprint(file, checkpoint.configuration(path), {})

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return checkpoint.read_network(self.need_weights(), self.precision, self.epsilon)

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.check(self.need_weights())

    def convert_weights(self, file: Path) -> None:
        """Write the checkpoint as safetensors, without what only its training looks at.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.convert(self.need_weights(), file)

    def ground(self, hidden: Hidden) -> PatchFeatures:
        """Return vectors on a grid four times as fine as the patches."""
        with torch.no_grad():
            tokens = hidden.entering(self.block_count).to(self.dtype)
            return PatchFeatures(ground(self.network.grounder, tokens, hidden.grid).float())

    @property
    def calibration(self) -> tuple[float, float]:
        """Return the learned scale of cosines, and what is added."""
        grounder = self.network.grounder
        return float(grounder.w), float(grounder.b)
