"""Compare whole images with texts."""

from __future__ import annotations

from ovsskit._lazy import torch
from ovsskit.engine.model import EncodesImageAndText
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Logits, TextFeatures


class Classify(Stage, writes="scores"):
    """Multiply the image's one vector, made unit length, with those of all texts.

    The maps have a single place, the whole image: a wrapper that shows pieces of an image puts them
    where the pieces lie, as `crop_grid` does. With texts of unit length these are cosines; texts
    that were mixed are shorter, and are left so. `softmax` makes probabilities of them.
    Source: Radford et al. 2021, CLIP.

    Example:
        [[stage]]
        use = "classify"
    """

    def run_batch(
        self, image: Batch[Image], text_features: Batch[TextFeatures], backbone: EncodesImageAndText
    ) -> Batch[Logits]:
        """Return one map of one place per text."""
        features = torch.nn.functional.normalize(backbone.encode_image(image).float(), dim=-1)
        return [
            Logits((texts.data.float() @ feature)[:, None, None], texts.labels)
            for feature, texts in zip(features, text_features, strict=True)
        ]
