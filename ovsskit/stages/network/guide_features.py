"""Ask another model which patches belong together."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.model import Facet, GuidesPatches
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import GuideFeatures as Kind
from ovsskit.engine.values import Image


class GuideFeatures(Stage, writes="guide_features"):
    """Return the features that a guide gives the patches of an image, on its own grid.

    A guide sees the same image as the model that it guides, in its own colours. Where it sees a
    window, its features differ from those of the whole image: where this stage stands decides.
    Source: ProxyCLIP (`token`), LPOSS (`value`), CorrCLIP (`query_key`).

    Example:
        [[stage]]
        use = "guide_features"
        reads = { backbone = "guide" }
        facet = "token"
    """

    facet: Annotated[
        Facet,
        Field(
            description="what leaves the network, or queries, keys, values or the sum of the first "
            "two in the last block"
        ),
    ] = "token"

    def run_batch(self, image: Batch[Image], backbone: GuidesPatches) -> Batch[Kind]:
        """Return one vector for every patch of the guide's grid."""
        return backbone.guide(image, self.facet)
