"""Bring texts of one model among the patches of another."""

from __future__ import annotations

from dataclasses import replace

from ovsskit._lazy import torch
from ovsskit.engine.model import ProjectsText
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import TextFeatures
from ovsskit.errors import BadValue


class ProjectText(Stage, writes="text_features"):
    """Project vectors of texts to where a model has its patches, and make them unit length.

    The vectors are those of the text encoder with which the projection was trained. Talk2DINO's
    takes the mean of a word's sentences as it is: `encode_text` with `lengths = "as_is"`.
    Source: Barsellotti et al. 2025, Talk2DINO, section 3.2.

    Example:
        [[stage]]
        use = "project_text"
    """

    def run_batch(
        self, text_features: Batch[TextFeatures], backbone: ProjectsText
    ) -> Batch[TextFeatures]:
        """Return the projected vectors, of length 1.

        Raises:
            BadValue: they are of another text encoder, whose vectors have another width.
        """
        return [self._project(one, backbone) for one in text_features]

    def _project(self, texts: TextFeatures, backbone: ProjectsText) -> TextFeatures:
        width = texts.data.shape[1]
        if width != backbone.text_width:
            what = (
                f"The texts have {width} numbers each, and the projection takes "
                f"{backbone.text_width}."
            )
            fix = "Encode them with the text encoder that it was trained with."
            raise BadValue(what, fix=fix)
        projected = backbone.project_text(texts.data)
        return replace(texts, data=torch.nn.functional.normalize(projected, dim=-1))
