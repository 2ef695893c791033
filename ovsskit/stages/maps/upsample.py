"""Enlarge maps to the size of the picture."""

from __future__ import annotations

from ovsskit.lazy import torch
from ovsskit.stage import S, Stage
from ovsskit.values import Image


class Upsample(Stage, writes="scores"):
    """Resize maps bilinearly to the picture's size, corners on corners.

    Source: PnP-OVSS, released code (`align_corners=True`).
    """

    def run(self, scores: S, image: Image) -> S:
        """Return the maps at one value per pixel."""
        resized = torch.nn.functional.interpolate(scores.data[None], image.size, mode="bilinear", align_corners=True)
        return scores.with_data(resized[0])
