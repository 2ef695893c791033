"""The network of a CLIP of open_clip, read from its weights, and how images go into it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from ovsskit._lazy import Float, open_clip, torch
from ovsskit.backbones._colours import standardise
from ovsskit.backbones._patches import hide_patches
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._clip_settings import ClipSettings
from ovsskit.backbones.clip._weights import (
    HUB_FILES,
    Blueprint,
    build_network,
    fill_network,
    hub_repository,
    read_blueprint,
)
from ovsskit.engine.values import Image
from ovsskit.errors import BadWeights
from ovsskit.hub.weights import HubFiles


class ClipNetwork(ClipSettings):
    """Read the network of a CLIP, as its settings say."""

    hub_files: ClassVar[HubFiles] = HUB_FILES

    @property
    def source(self) -> str:
        """Return where the weights come from: a hub id, a local path, or `embedded`.

        Raises:
            BadValue: open_clip knows no such architecture or tag.
        """
        return hub_repository(self.model, self.weights)

    @cached_property
    def blueprint(self) -> Blueprint:
        """Return the model's configuration and where its weights lie.

        Raises:
            MissingWeights, BadWeights: there are none, or nothing says what they are of.
        """
        found = read_blueprint(self.need_weights(), self.model, self.weights)
        if self.activation != "trained":
            found.config["quick_gelu"] = self.activation == "quick_gelu"
        return found

    @cached_property
    def network(self) -> Any:
        """Return the network, for evaluation and without gradients; layer norms stay in fp32."""
        return self.ready(self.load().to(self._device))

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        network = build_network(self.blueprint.config, self.number_format)
        fill_network(network, self.blueprint.file)
        for module in network.visual.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = self.epsilon
        return network

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        fill_network(
            build_network(self.blueprint.config, "fp32", device="meta"), self.blueprint.file
        )

    @cached_property
    def visual(self) -> Any:
        """Return the image encoder.

        Raises:
            BadWeights: it is not the vision transformer of open_clip, whose blocks can be run
                apart.
        """
        visual = self.network.visual
        if not vision.has_plain_blocks(visual):
            what = f"The image encoder is a {type(visual).__name__} without accessible patches."
            raise BadWeights(
                what,
                fix="Use a plain vision transformer, such as ViT-B-16, ViT-L-14 or ViT-L-14-336.",
            )
        return visual

    def normalise(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image's colours less the mean, divided by the deviation, at its own size."""
        settings, constants = self.blueprint.preprocessing, open_clip.constants
        own = (
            settings.get("mean", constants.OPENAI_DATASET_MEAN),
            settings.get("std", constants.OPENAI_DATASET_STD),
        )
        mean, deviation = ([255 * value for value in values] for values in own)
        return standardise(image.data, self.mean or mean, self.deviation or deviation)

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, own size, hidden patches at 0."""
        data = self.normalise(image)
        if image.hidden is not None:
            hide_patches(data, image, self.visual.patch_size[0])
        return data
