"""Say how the channels inside an image encoder speak for the words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import ExplainsPatches
from ovsskit.engine.sending import send_places
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import NEGATIVE, Explanation, Hidden, Present, TextFeatures
from ovsskit.stages.attention._layers import Layer, layers_in


class ExplainQueries(Stage, writes="explanation"):
    """Compare an image with texts, and derive that by the channels of the patches in a block.

    The image is the mean of its patches among the texts, and its logits are scaled cosines. Of the
    classes only those that are `present` take part, if that is known.
    Each text costs one vector-Jacobian product, and that is all there is to pay: the gradient of
    the probability of a class among any of the texts is then a matrix product (`channel_cam`).
    Negatives that always compete together cost one as well: their logits become one, the logarithm
    of the sum of their exponentials, which leaves all probabilities of classes as they are.
    Source: Lin et al. 2023, CLIP-ES, released code, which goes forward and back through the last
    block for every class; that this is the same is ours.

    Example:
        [[stage]]
        use = "explain_queries"
        scale = 100.0
    """

    layer: Layer = -1
    scale: Annotated[
        float, Field(gt=0, description="what cosines are multiplied by to become logits")
    ] = 100.0
    negatives: Annotated[
        Literal["together", "apart"],
        Field(description="one logit for all negatives, or one for each; probabilities are equal"),
    ] = "together"

    def run(
        self,
        hidden: Annotated[Hidden, TakesLayers("layer")],
        text_features: TextFeatures,
        backbone: ExplainsPatches,
        present: Present | None = None,
    ) -> Explanation:
        """Return activations, logits, and gradients in the mean over the patches.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        [layer] = layers_in(self.address, (self.layer,), hidden, backbone)
        all_labels = sorted(set(text_features.labels))
        wanted = all_labels if present is None else (0, *present.labels)
        rows = [
            row
            for label in wanted
            for row, mine in enumerate(text_features.labels)
            if mine == label != NEGATIVE
        ]
        against = [row for row, label in enumerate(text_features.labels) if label == NEGATIVE]
        texts = torch.nn.functional.normalize(text_features.data.float(), dim=-1)
        chosen = [send_places(some, texts.device) for some in (rows, against)]

        def score(vector: Float[torch.Tensor, " width"]) -> Float[torch.Tensor, " score"]:
            logits = self.scale * (texts @ torch.nn.functional.normalize(vector.float(), dim=0))
            mine, rivals = (logits.index_select(0, places) for places in chosen)
            if against and self.negatives == "together":
                rivals = rivals.logsumexp(0, keepdim=True)
            return torch.cat([mine, rivals])

        found = backbone.explain(hidden, layer, score)
        labels = [text_features.labels[row] for row in rows]
        labels += [NEGATIVE] * (len(found.scores) - len(rows))
        return Explanation(*found, tuple(labels))
