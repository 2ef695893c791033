"""A wrapper of one's own: use it with --plugin two_views.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit import Image, S, Wrapper, Wraps
from ovsskit._lazy import torch


class TwoViews(Wrapper, writes="scores"):
    """Run the inner chain on the image and on its mirror image, and blend the two."""

    neutral: ClassVar[dict[str, Any]] = {"mirror_weight": 0.0}

    mirror_weight: Annotated[
        float, Field(ge=0, le=1, description="share of the mirror image; 0 leaves it out")
    ] = 0.5

    def run(self, image: Image) -> Wraps[S]:
        """Return the blend of both views."""
        hidden = None if image.hidden is None else image.hidden.flip(-1)
        mirror = replace(image, data=image.data.flip(-1), hidden=hidden)
        requests = [{}, {"image": mirror}] if self.mirror_weight else [{}]
        outs = yield requests
        first = outs[0]["scores"]
        if len(outs) == 1:
            return first
        return first.with_data(
            torch.lerp(first.data, outs[1]["scores"].data.flip(-1), self.mirror_weight)
        )
